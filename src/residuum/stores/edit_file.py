"""Edits in a file: JSON that people can read, the tensors in a folder beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from residuum.core import Edit, EditError, StoreError, edit_from_json
from residuum.core.paths import as_path
from residuum.stores.atomic import write_atomically
from residuum.stores.tensor_store import TensorStore

_FORMAT = "residuum-edits/1"


def save_edits(edits: Iterable[Edit] | Edit, path: str | Path) -> Path:
    """Write edits to ``path``, and the tensors they refer to into the folder ``<path>.tensors``.

    Args:
        edits: in the order in which they act, or one.
        path: of the JSON file.

    Returns:
        The path of the JSON file; it appears only after every tensor is there.

    Raises:
        EditError: something that is no edit.
        StoreError: an edit refers to a tensor that this process does not have; no path, or a
            folder.

    >>> import tempfile
    >>> from residuum.core import Add
    >>> edits = (Add("L1.resid_post@-1", [1.0, 0.0]),)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_edits(save_edits(edits, Path(folder) / "edits.json")) == edits
    True
    """
    path, edits = _file(path), _edits(edits)
    store = tensors_beside(path)
    for edit in edits:
        for ref in edit.tensors().values():
            store.put(ref)
    record = {"format": _FORMAT, "edits": [edit.to_json() for edit in edits]}
    text = json.dumps(record, indent=1, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())
    return path


def load_edits(path: str | Path) -> tuple[Edit, ...]:
    """Read what :func:`save_edits` wrote, in order, with the tensors' numbers.

    Args:
        path: of the JSON file; the folder ``<path>.tensors`` is beside it.

    Returns:
        Edits equal to those that were saved, ready for ``model.run``.

    Raises:
        StoreError: no path, or a folder; the file is missing or not of this format, or a tensor
            is missing or damaged.
        EditError: an edit in it is of an unknown kind or has unknown fields.

    >>> import tempfile
    >>> from residuum.core import Zero
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_edits(save_edits([Zero("L2.z[H3]")], Path(folder) / "edits.json"))
    (Zero('L2.z[H3]'),)
    """
    path = _file(path)
    store = tensors_beside(path)
    bare = [edit_from_json(each) for each in _read(path)]
    refs = [ref for edit in bare for ref in edit.tensors().values()]
    live = {ref.hash: store.attach(ref).payload for ref in refs}
    return tuple(edit_from_json(edit.to_json(), live) for edit in bare)


def tensors_beside(path: Path) -> TensorStore:
    """The store that belongs to a JSON file: the folder ``<path>.tensors``."""
    return TensorStore(path.with_name(f"{path.name}.tensors"))


def _file(path: Any) -> Path:
    target = as_path(path)
    if target.is_dir():
        raise StoreError(
            "this is a folder, not a file of edits",
            mend="add the file's name",
            where=str(target),
        )
    return target


def _edits(edits: Any) -> tuple[Edit, ...]:
    several = isinstance(edits, Iterable) and not isinstance(edits, str)
    listed: tuple[Any, ...] = (*edits,) if several else (edits,)
    for each in listed:
        if not isinstance(each, Edit):
            raise EditError(
                f"{each!r:.40} is not an edit", mend="give edits such as rz.Zero('L2.z[H3]')"
            )
    return listed


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(
            "there is no such file of edits", mend="check the path", where=str(path)
        ) from None
    except ValueError as error:
        raise _foreign(path, f"not JSON ({error})") from error
    if not isinstance(record, dict) or set(record) != {"format", "edits"}:
        raise _foreign(path, 'its keys are not "format" and "edits"')
    if record["format"] != _FORMAT:
        raise _foreign(path, f"its format is {record['format']!r}")
    if not isinstance(record["edits"], list) or not all(
        isinstance(e, dict) for e in record["edits"]
    ):
        raise _foreign(path, '"edits" is not a list of objects')
    return record["edits"]


def _foreign(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"this is not a file of edits: {reason}",
        mend=f"give a file that save_edits wrote ({_FORMAT})",
        where=str(path),
    )
