"""Reading facts from a record of another tool: right kind, right range, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from residuum.core import LoadError
from residuum.dictionaries.formats.untrusted import damaged

NOTE = "residuum"
"""Key, in each format's own record, under which this project writes what the format lacks."""
_TEXT = 4096


def text(record: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that holds a text; empty where none does."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value[:_TEXT]
    return ""


def word(record: Mapping[str, Any], name: str, path: Path, default: str) -> str:
    """A field that decides what the tensors mean; ``default`` where it is absent.

    Raises:
        LoadError: it holds something else than a text.
    """
    value = record.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or not value:
        raise damaged(path, f"{name} is no text: {value!r:.40}")
    return value[:_TEXT]


def count(record: Mapping[str, Any], name: str, path: Path) -> int | None:
    """A field that holds a whole number above 0; None where it is absent.

    Raises:
        LoadError: it holds something else.
    """
    value = record.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise damaged(path, f"{name} is no count: {value!r:.40}")
    return value


def switch(record: Mapping[str, Any], name: str, path: Path, default: bool) -> bool:
    """A field that is true or false.

    Raises:
        LoadError: it is something else.
    """
    value = record.get(name, default)
    if not isinstance(value, bool):
        raise damaged(path, f"{name} is neither true nor false: {value!r:.40}")
    return value


def number(record: Mapping[str, Any], name: str) -> float | None:
    """A field that holds a finite number; None where it does not."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None


def inner(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A record within a record; empty where there is none."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def need(tensors: Mapping[str, Tensor], names: tuple[str, ...], path: Path) -> None:
    """Refuse a file in which tensors are missing, or have too many or too few axes.

    Names that begin with ``W`` or ``w``, or end in ``weight``, are matrices.

    Raises:
        LoadError: it is such a file.
    """
    missing = [name for name in names if name not in tensors]
    if missing:
        raise damaged(path, f"it lacks {', '.join(missing)}")
    for name, tensor in tensors.items():
        matrix = name[0] in "Ww" or name.endswith("weight") or name == "affine_skip_connection"
        if tensor.ndim != (2 if matrix else min(tensor.ndim, 1)) or not tensor.numel():
            raise damaged(path, f"{name} is {list(tensor.shape)}")


def agree(path: Path, **pairs: tuple[int | None, int]) -> None:
    """Refuse a record whose sizes are not those of its tensors.

    Raises:
        LoadError: the first that differs: what the record says, and what the tensors have.
    """
    for name, (said, found) in pairs.items():
        if said is not None and said != found:
            raise LoadError(
                f"{path.name} says {name} {said}, the tensors have {found}",
                mend="the files are of two dictionaries; fetch them again",
                where=str(path.parent),
            )
