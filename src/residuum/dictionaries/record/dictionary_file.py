"""A folder with tensors and their record: ``dictionary.safetensors``, ``dictionary.json``.

No pickle. The record holds the hash of the tensors and one of itself, and is written last: tensors
or entries that were changed since are refused. Labels are changed with ``dictionary.with_labels``
and saved again. The hashes show accidents and edits by hand; whoever writes new ones is not seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from residuum.core import StoreError, content_hash
from residuum.core.paths import as_path
from residuum.stores.atomic import write_atomically

_FORMAT = "residuum-dictionary-2"
_WITHOUT_HASH = "residuum-dictionary-1"
"""Written before the record had a hash of its own; still read."""
_TENSORS = "dictionary.safetensors"
_RECORD = "dictionary.json"
_HASH, _OWN_HASH = "tensors_sha256", "record_sha256"
_FOREIGN = ("reading.json", "harvest.json")
"""Records of other results: two in one folder could not be told apart by who reads it."""
_AGAIN = "copy the folder again from where it came"


def write_folder(folder: str | Path, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> None:
    """Write tensors and a record of plain data into a folder, made where it is missing.

    Raises:
        StoreError: it cannot be written to, it holds another result, or the record is no plain
            data.
    """
    target = as_path(folder)
    refuse_foreign(target, _FOREIGN)
    raw = safetensors.torch.save(_apart(tensors))
    own = {"format": _FORMAT, _HASH: hashlib.sha256(raw).hexdigest(), **record}
    try:
        plain = json.loads(json.dumps(own, allow_nan=False))
        text = json.dumps({**plain, _OWN_HASH: content_hash(plain)}, indent=1)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"the declared figures or labels are no plain data: {error}",
            mend="use finite numbers and text",
        ) from error
    try:
        write_atomically(target / _TENSORS, raw)
        write_atomically(target / _RECORD, text.encode())
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror}",
            mend="give a folder that can be made",
            where=str(target),
        ) from error


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each with memory of its own; safetensors refuses a decoder that is a view of the encoder."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, each in tensors.items():
        plain = each.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        found[name] = plain.clone() if place in seen else plain
        seen.add(place)
    return found


def read_folder(
    folder: str | Path, keys: Iterable[str]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_folder` wrote: the tensors, and the record with these keys.

    Raises:
        StoreError: no such folder, another format, keys that are missing, or tensors that are
            missing or were changed since.
    """
    target = as_path(folder)
    record = _record(target, keys)
    raw = _bytes(target / _TENSORS)
    if hashlib.sha256(raw).hexdigest() != record[_HASH]:
        raise StoreError(
            "the tensors are not those that the record was written with",
            mend=_AGAIN,
            where=str(target / _TENSORS),
        )
    try:
        return safetensors.torch.load(raw), record
    except SafetensorError as error:
        raise StoreError(
            f"the tensors cannot be read: {error}",
            mend=_AGAIN,
            where=str(target / _TENSORS),
        ) from error


def refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    """Refuse to write into a folder that another result lies in.

    Raises:
        StoreError: a file of one of these names is there.
    """
    for name in names:
        if (folder / name).exists():
            raise StoreError(
                f"the folder holds another result: {name} is there",
                mend="give a folder of its own",
                where=str(folder),
            )


def _record(folder: Path, keys: Iterable[str]) -> dict[str, Any]:
    where = str(folder / _RECORD)
    try:
        record = json.loads(_bytes(folder / _RECORD))
    except RecursionError as error:
        raise StoreError(
            "the record cannot be read: it is nested too deeply", mend=_AGAIN, where=where
        ) from error
    except ValueError as error:
        raise StoreError(f"the record cannot be read: {error}", mend=_AGAIN, where=where) from error
    if not isinstance(record, dict) or record.get("format") not in (_FORMAT, _WITHOUT_HASH):
        raise StoreError(
            f"no dictionary of the format {_FORMAT}",
            mend="give a folder that dictionary.save(...) wrote",
            where=str(folder),
        )
    hashes = {_HASH} if record["format"] == _WITHOUT_HASH else {_HASH, _OWN_HASH}
    missing = sorted({*hashes, *keys} - set(record))
    if missing:
        raise StoreError(
            f"the record lacks {', '.join(missing)}",
            mend="give a folder that dictionary.save(...) wrote",
            where=str(folder),
        )
    found = record.pop(_OWN_HASH, None)
    if record["format"] == _FORMAT and found != content_hash(record):
        raise StoreError(
            "the record was changed after it was written",
            mend=_AGAIN + "; to change labels: dictionary.with_labels({...}).save(folder)",
            where=where,
        )
    return record


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path.name} cannot be read: {error.strerror}",
            mend="give a folder that dictionary.save(...) wrote",
            where=str(path.parent),
        ) from error
