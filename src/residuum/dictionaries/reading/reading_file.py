"""Readings on disk: ``reading.safetensors`` and ``reading.json``; and a pass that is under way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from residuum.core import StoreError
from residuum.core.paths import as_path
from residuum.dictionaries.record.dictionary_file import refuse_foreign
from residuum.stores.atomic import write_atomically

FORMAT = "residuum-feature-reading-2"
_TENSORS, _RECORD, _STATE = "reading.safetensors", "reading.json", "pass.safetensors"
_AGAIN = "give a folder that reading.save(...) wrote, or read the features again"


def write_reading(reading: Any, folder: str | Path) -> None:
    """Write a reading into a folder, made where it is missing; the record last.

    Raises:
        StoreError: it cannot be written to, or holds a dictionary or a harvest.
    """
    target = as_path(folder)
    refuse_foreign(target, ("dictionary.json", "harvest.json"))
    tensors = dict(reading.counted.tensors())
    for group in ("effects", "near"):
        tensors.update({f"{group}.{n}": each for n, each in getattr(reading, group).items()})
    raw = _bytes_of(tensors)
    record = {
        "format": FORMAT,
        "tensors_sha256": hashlib.sha256(raw).hexdigest(),
        "name": reading.name, "noun": reading.noun, "basis": reading.basis_hash,
        "n_latents": reading.n_latents, "sizes": reading.counted.sizes_json(),
        "labels": {str(i): words for i, words in reading.labels.items()},
        "texts": list(reading.texts), "left_out": dict(reading.left_out),
        "tokens": {str(i): text for i, text in reading.tokens.items()},
        "provenance": reading.provenance.to_json(),
    }  # fmt: skip
    _write(target / _TENSORS, raw)
    _write(target / _RECORD, json.dumps(record, ensure_ascii=True).encode())


def read_record(folder: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and record of a saved reading.

    Raises:
        StoreError: no such folder, another format, or tensors changed since.
    """
    target = as_path(folder)
    try:
        record = json.loads((target / _RECORD).read_bytes())
        raw = (target / _TENSORS).read_bytes()
        good = record["format"] == FORMAT
        same = hashlib.sha256(raw).hexdigest() == record["tensors_sha256"]
        if good and same:
            return load(raw), record
        what = "its tensors were changed since" if good else f"it is no {FORMAT}"
    except OSError as error:
        what = f"{Path(error.filename).name} cannot be read: {error.strerror}"
    except (ValueError, TypeError, KeyError, RecursionError, SafetensorError):
        what = "the record is damaged"
    raise StoreError(f"no reading: {what}", mend=_AGAIN, where=str(target))


def write_state(
    folder: str | Path, work: str, done: int, gone: Mapping[str, int],
    tensors: dict[str, np.ndarray],
) -> None:  # fmt: skip
    """Keep how far a pass is.

    Raises:
        StoreError: it cannot be written.
    """
    about = {"work": work, "done": str(done), "gone": json.dumps(dict(gone))}
    _write(as_path(folder) / _STATE, _bytes_of(tensors, about))


def read_state(
    folder: str | Path, work: str
) -> tuple[int, dict[str, int], dict[str, np.ndarray]] | None:
    """How far a pass was: rows done, tokens left out, and what was gathered; None at the start.

    Raises:
        StoreError: the folder holds another pass, or a damaged one.
    """
    path = as_path(folder) / _STATE
    if not path.exists():
        return None
    try:
        raw = path.read_bytes()
        size = int.from_bytes(raw[:8], "little")
        about = json.loads(raw[8 : 8 + size])["__metadata__"]
        found = int(about["done"]), json.loads(about["gone"]), load(raw)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise StoreError(
            "the kept pass cannot be read", mend="delete it and start again", where=str(path)
        ) from error
    if about["work"] != work:
        raise StoreError(
            "the folder holds a pass of other units, text, model or options",
            mend="give the same to go on, or another folder to start again",
            where=str(path),
        )
    return found


def _bytes_of(tensors: dict[str, np.ndarray], about: dict[str, str] | None = None) -> bytes:
    whole = {name: np.ascontiguousarray(each) for name, each in tensors.items()}
    return save(whole, metadata=about)


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise StoreError(
            f"cannot write {path.name}: {error.strerror or error}",
            mend="give a folder that can be written to and has room",
            where=str(path.parent),
        ) from error
