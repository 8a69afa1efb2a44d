"""Closed records as plain JSON data and back, by their annotations. NaN travels as ``null``.

A field whose default is None is optional: it is left out where it is None, so that a record may
grow by such fields without a change of what was written before, or of its hash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from residuum.core import StoreError

R = TypeVar("R")


def to_plain(value: Any) -> Any:
    """Turn a record, tuple, mapping or scalar into plain JSON data.

    >>> to_plain((1.5, float("nan"), "a"))
    [1.5, None, 'a']
    """
    if is_dataclass(value):
        held = {
            each.name: getattr(value, each.name) for each in fields(value) if _kept(each, value)
        }
        return {name: to_plain(item) for name, item in held.items()}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(kind: type[R], data: Any, where: str = "") -> R:
    """Build the record that :func:`to_plain` wrote.

    Raises:
        StoreError: an unknown key, a missing one, or a value of another type.
    """
    return _read(kind, data, where or getattr(kind, "__name__", str(kind)))


def _kept(field: Field[Any], value: Any) -> bool:
    return not optional(field) or getattr(value, field.name) is not None


def optional(field: Field[Any]) -> bool:
    """Whether a record's field may be left out: its default is None."""
    return field.default is None


def _read(kind: Any, data: Any, where: str) -> Any:
    if kind is Any:
        return data
    if is_dataclass(kind):
        return _record(kind, data, where)
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if data is None else _read(inside[0], data, where)
    if origin is Literal:
        _expect(data in inside, where, f"one of {', '.join(map(str, inside))}", data)
        return data
    if origin is tuple:
        return _tuple(inside, data, where)
    if origin is dict:
        _expect(isinstance(data, dict), where, "an object", data)
        return {key: _read(inside[1], item, f"{where}.{key}") for key, item in data.items()}
    return _scalar(kind, data, where)


def _record(kind: Any, data: Any, where: str) -> Any:
    _expect(isinstance(data, dict), where, "an object", data)
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind)]
    needed = {each.name for each in fields(kind) if not optional(each)}
    unknown, missing = sorted(set(data) - set(names)), sorted(needed - set(data))
    if unknown or missing:
        parts = [f"unknown {name!r}" for name in unknown] + [f"no {name!r}" for name in missing]
        raise StoreError(
            f"{where} cannot be read: {', '.join(parts)}",
            mend=f"its keys are exactly: {', '.join(names)}; was another version at work?",
        )
    read = {name: _read(hints[name], item, f"{where}.{name}") for name, item in data.items()}
    return kind(**read)


def _tuple(inside: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    _expect(isinstance(data, list), where, "a list", data)
    if len(inside) == 2 and inside[1] is Ellipsis:
        return tuple(_read(inside[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    _expect(len(data) == len(inside), where, f"a list of {len(inside)}", data)
    pairs = zip(inside, data, strict=True)
    return tuple(_read(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(pairs))


def _scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is float:
        if data is None:
            return math.nan
        _expect(
            isinstance(data, (int, float)) and not isinstance(data, bool), where, "a number", data
        )
        return float(data)
    if kind is int:
        _expect(isinstance(data, int) and not isinstance(data, bool), where, "a whole number", data)
    if kind is str:
        _expect(isinstance(data, str), where, "text", data)
    if kind is bool:
        _expect(isinstance(data, bool), where, "true or false", data)
    return data


def _expect(holds: bool, where: str, wanted: str, got: Any) -> None:
    if not holds:
        raise StoreError(
            f"{where} must be {wanted}, got {type(got).__name__}",
            mend="use a file that this version wrote, unchanged",
        )
