"""A dictionary as a folder: ``dictionary.safetensors`` and ``dictionary.json``; no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from residuum.core import Provenance, ResiduumError, StoreError
from residuum.core.paths import as_path
from residuum.dictionaries.activations import activation_json, read_activation
from residuum.dictionaries.dictionary import TENSORS, Dictionary
from residuum.stores.atomic import write_atomically

_FORMAT = "residuum-dictionary-1"
_TENSORS = "dictionary.safetensors"
_RECORD = "dictionary.json"
_PLAIN = ("scale", "model_name", "weight_hash", "tokenizer_hash")


def save_dictionary(dictionary: Dictionary, folder: str | Path) -> Path:
    """Write a dictionary into a folder, which is made where it is missing.

    The record, written last, holds the hash of the tensors.

    Returns:
        The folder.

    Raises:
        StoreError: it cannot be written to.
    """
    target = as_path(folder)
    tensors = {name: value.cpu().contiguous() for name, value in dictionary.tensors().items()}
    raw = safetensors.torch.save(tensors)
    record = {
        "format": _FORMAT,
        "tensors_sha256": hashlib.sha256(raw).hexdigest(),
        "reads": list(map(str, dictionary.reads)),
        "writes": list(map(str, dictionary.writes)),
        "activation": activation_json(dictionary.activation),
        "models": list(dictionary.models),
        **{name: getattr(dictionary, name) for name in _PLAIN},
        "declared": dict(dictionary.declared),
        "labels": {str(latent): words for latent, words in dictionary.labels.items()},
        "provenance": None if dictionary.provenance is None else dictionary.provenance.to_json(),
    }
    try:
        text = json.dumps(record, indent=1, allow_nan=False)
        write_atomically(target / _TENSORS, raw)
        write_atomically(target / _RECORD, text.encode())
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"the dictionary's declared figures or labels are no plain data: {error}",
            mend="use finite numbers and text",
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error}", mend="give a folder that can be made", where=str(target)
        ) from error
    return target


def read_dictionary(folder: str | Path) -> Dictionary:
    """Read what :func:`save_dictionary` wrote.

    Raises:
        StoreError: no such folder, another format, or tensors that are missing, changed since,
            or do not fit the record.
    """
    target = as_path(folder)
    record = _record(target)
    raw = _bytes(target / _TENSORS)
    if hashlib.sha256(raw).hexdigest() != record["tensors_sha256"]:
        raise StoreError(
            "the tensors are not those that the record was written with",
            mend="copy the folder again from where it came",
            where=str(target / _TENSORS),
        )
    try:
        tensors = safetensors.torch.load(raw)
        return _dictionary(record, tensors)
    except (SafetensorError, ResiduumError, KeyError, TypeError, ValueError) as error:
        what = error.what if isinstance(error, ResiduumError) else str(error)
        raise StoreError(
            f"the tensors and the record make no dictionary: {what}",
            mend="copy the folder again from where it came",
            where=str(target),
        ) from error


def _dictionary(record: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Dictionary:
    unknown = sorted(set(tensors) - set(TENSORS))
    missing = sorted({"W_enc", "W_dec", "b_dec"} - set(tensors))
    if unknown or missing:
        raise ValueError(f"tensors {', '.join(unknown or missing)} are unknown or missing")
    given: dict[str, Any] = dict(tensors)
    provenance = record["provenance"]
    return Dictionary(
        reads=tuple(record["reads"]),
        writes=tuple(record["writes"]),
        activation=read_activation(record["activation"]),
        **given,
        **{name: record[name] for name in _PLAIN},
        models=tuple(record["models"]),
        declared=record["declared"],
        labels={int(latent): words for latent, words in record["labels"].items()},
        provenance=None if provenance is None else Provenance.from_json(provenance),
    )


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads(_bytes(folder / _RECORD))
    except ValueError as error:
        raise StoreError(
            f"the record cannot be read: {error}",
            mend="copy the folder again from where it came",
            where=str(folder / _RECORD),
        ) from error
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise StoreError(
            f"no dictionary of the format {_FORMAT}",
            mend="give a folder that dictionary.save(...) wrote",
            where=str(folder),
        )
    missing = {"tensors_sha256", "reads", "writes", "activation", "models", "declared", "labels"}
    missing = sorted((missing | set(_PLAIN) | {"provenance"}) - set(record))
    if missing:
        raise StoreError(
            f"the record lacks {', '.join(missing)}",
            mend="give a folder that dictionary.save(...) wrote",
            where=str(folder),
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
