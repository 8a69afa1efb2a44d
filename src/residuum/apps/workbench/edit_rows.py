"""Reading edits that came as JSON: every field checked before the library sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from residuum.core import DTYPES, Edit, EditError, ResiduumError, TensorRef, edit_from_json
from residuum.stores import TensorStore

_SEEDS = 2**63
_REFERENCE = {"hash", "shape", "dtype"}


def read_edits(rows: Sequence[dict[str, Any]], store: TensorStore) -> tuple[Edit, ...]:
    """Edits with the numbers they refer to.

    Args:
        rows: the library's edit JSON.
        store: holds the tensors.

    Raises:
        EditError, AddressError, ShapeError, StoreError: which edit cannot be read, and why.
    """
    return tuple(_numbered(index, row, store) for index, row in enumerate(rows))


def read_edit(row: dict[str, Any], store: TensorStore) -> Edit:
    """One edit; see :func:`read_edits`."""
    live = {}
    for name, value in row.items():
        if isinstance(value, dict):
            ref = _reference(name, value)
            live[ref.hash] = store.attach(ref).payload
    seed = row.get("seed", 0)
    if type(seed) is int and not 0 <= seed < _SEEDS:
        raise EditError(f"seed {seed} is out of range", mend="use a whole number from 0 to 2^63-1")
    return edit_from_json(row, live)


def _numbered(index: int, row: dict[str, Any], store: TensorStore) -> Edit:
    try:
        return read_edit(row, store)
    except ResiduumError as error:
        place = error.where or f"edit {index}"
        raise type(error)(error.what, mend=error.mend, where=place) from error


def _reference(name: str, value: dict[str, Any]) -> TensorRef:
    if set(value) != _REFERENCE or not _fits(**value):
        raise EditError(
            f"{name} is not a reference to a tensor",
            mend='write {"hash": ..., "shape": [...], "dtype": ...} as POST /api/values returns it',
        )
    return TensorRef.from_json(value)


def _fits(hash: Any, shape: Any, dtype: Any) -> bool:
    sizes = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    return isinstance(hash, str) and sizes and isinstance(dtype, str) and dtype in DTYPES
