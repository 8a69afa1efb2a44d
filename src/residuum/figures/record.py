"""Closed records: frozen dataclasses that go to plain JSON data and back.

``pack`` turns a record into dicts, lists, text and numbers; ``unpack`` builds the record
again and refuses keys it does not know. NaN, which JSON does not have, travels as ``null``.
The ``as_*`` functions are what the records use to check and settle what a caller hands in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from residuum.core.errors import OptionError, ShapeError

R = TypeVar("R")
FLOAT32_MAX = float(np.finfo(np.float32).max)


def pack(value: Any) -> Any:
    """Turn a record, array, sequence or scalar into plain JSON data.

    >>> pack((1.5, float("nan"), "a"))
    [1.5, None, 'a']
    """
    if is_dataclass(value):
        return {f.name: pack(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        listed = value.tolist()
        return pack(listed) if np.isnan(value).any() else listed
    if isinstance(value, Mapping):
        return {str(key): pack(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def unpack(cls: type[R], data: Mapping[str, Any], name: str) -> R:
    """Build the record ``cls`` from plain data; ``name`` is what errors call it.

    Raises:
        OptionError: a key that the record does not have, or one that is missing.
    """
    if not isinstance(data, Mapping):
        raise OptionError(
            f"{name} data must be a JSON object, got {type(data).__name__}",
            mend="pass the dict that to_json() returned",
        )
    known = fields(cls)  # pyright: ignore[reportArgumentType]
    names = [f.name for f in known]
    unknown = sorted(set(data) - set(names))
    if unknown:
        raise OptionError(
            f"{name} has no field {unknown[0]!r}",
            mend=f"use only {', '.join(names)}",
        )
    for f in known:
        required = f.default is MISSING and f.default_factory is MISSING
        if required and f.name not in data:
            raise OptionError(f"{name} lacks its field {f.name!r}", mend=f"add {f.name!r}")
    return cls(**data)


def settle(record: object, **values: Any) -> None:
    """Write checked values into a frozen record, from its ``__post_init__`` only."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def as_values(value: Any, ndim: int, where: str) -> np.ndarray:
    """Return a read-only float64 copy with ``ndim`` axes; ``None`` becomes NaN.

    Raises:
        ShapeError: wrong number of axes, ragged or not numeric, or infinite values.
    """
    if hasattr(value, "detach"):  # a torch tensor, on any device and of any float dtype
        value = value.detach().cpu().double().numpy()
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"{where} is not a {ndim}-D array of numbers: {error}",
            mend="pass a rectangular array or nested lists of numbers",
            where=where,
        ) from error
    if array.ndim != ndim:
        raise ShapeError(
            f"{where} must have {ndim} axes, got shape {tuple(array.shape)}",
            mend=f"reshape or select until {ndim} axes are left",
            where=where,
        )
    if (np.abs(array) > FLOAT32_MAX).any():
        raise ShapeError(
            f"{where} holds infinite values, or some beyond float32, which pages carry",
            mend="write NaN where a value is impossible: it is greyed out",
            where=where,
        )
    array.flags.writeable = False
    return array


def as_texts(labels: Iterable[Any] | None, count: int, where: str) -> tuple[str, ...]:
    """Return ``labels`` as ``count`` texts; none given means 0, 1, 2, …

    Raises:
        ShapeError: another number of labels than ``count``.
    """
    texts = tuple(str(label) for label in labels) if labels is not None else ()
    if not texts:
        return tuple(str(index) for index in range(count))
    if len(texts) != count:
        raise ShapeError(
            f"{where} has {len(texts)} entries for {count} values",
            mend=f"pass {count} entries, or none at all",
            where=where,
        )
    return texts


def as_limits(limits: Sequence[float] | None, where: str) -> tuple[float, float] | None:
    """Check colour limits: two finite numbers, the lower one first."""
    if limits is None:
        return None
    pair = tuple(float(limit) for limit in limits)
    if len(pair) != 2 or not all(map(math.isfinite, pair)) or pair[0] >= pair[1]:
        raise OptionError(
            f"{where} must be two finite numbers, low before high, got {list(pair)}",
            mend="pass (low, high), or None to take them from the values",
            where=where,
        )
    return (pair[0], pair[1])


def as_choice(value: str, choices: Sequence[str], where: str) -> str:
    """Check that ``value`` is one of ``choices``."""
    if value not in choices:
        raise OptionError(
            f"unknown {where} {value!r}", mend=f"use one of {', '.join(choices)}", where=where
        )
    return value
