"""A fact edit on disk: its factors as safetensors, the rest as JSON that holds their hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from residuum.core import Provenance, StoreError
from residuum.core.paths import as_path
from residuum.directions.facts.fact import Fact
from residuum.directions.facts.methods import Factors
from residuum.stores.atomic import write_atomically

FORMAT = 1
TENSORS, RECORD = "difference.safetensors", "fact_edit.json"


def write(folder: str | Path, factors: dict[int, Factors], record: dict[str, Any]) -> None:
    """Write ``difference.safetensors`` and ``fact_edit.json`` into a folder, made if new.

    Raises:
        StoreError: no path, a file, a folder in one that does not exist, or one that cannot be
            written to.
    """
    target = as_path(folder)
    tensors = {}
    for layer, (left, right) in factors.items():
        tensors[f"L{layer}.left"] = left.float().contiguous()
        tensors[f"L{layer}.right"] = right.float().contiguous()
    content = save(tensors)
    data = record | {"tensors": hashlib.sha256(content).hexdigest()}
    try:
        target.mkdir(exist_ok=True)
        write_atomically(target / TENSORS, content)
        write_atomically(target / RECORD, json.dumps(data, indent=1).encode())
    except OSError as error:
        raise StoreError(
            f"cannot write here: {error.strerror or error}",
            mend="give a folder that can be written to",
            where=str(target),
        ) from error


def read(folder: str | Path) -> dict[str, Any]:
    """What :func:`write` wrote, as the fields of a `FactEdit`.

    Raises:
        StoreError: no such folder, or a damaged or foreign file in it.
    """
    source = as_path(folder)
    try:
        data = json.loads((source / RECORD).read_text(encoding="utf-8"))
        content = (source / TENSORS).read_bytes()
        if data["format"] != FORMAT:
            raise ValueError("another format")
        if hashlib.sha256(content).hexdigest() != data["tensors"]:
            raise ValueError("the tensors are not those of the record")
        return {
            "requests": tuple(Fact(**each) for each in data["requests"]),
            "keep": tuple(Fact(**each) for each in data["keep"]),
            **{name: tuple(data[name]) for name in ("prefixes", "phrasings", "probs", "kl_bits")},
            **{name: tuple(data.get(name, ())) for name in ("reached", "holds")},
            "factors": _factors(load(content)),
            "provenance": Provenance.from_json(data["provenance"]),
        }
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise StoreError(
            f"no fact edit can be read here: {str(error).splitlines()[0][:80]}",
            mend=f"give the folder that FactEdit.save wrote: {RECORD} and {TENSORS}",
            where=str(source),
        ) from error


def _factors(tensors: dict[str, Tensor]) -> dict[int, Factors]:
    found: dict[int, Factors] = {}
    for layer in sorted({int(name[1:].split(".")[0]) for name in tensors}):
        left, right = tensors[f"L{layer}.left"].double(), tensors[f"L{layer}.right"].double()
        if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
            raise ValueError(f"factors of shapes {list(left.shape)} and {list(right.shape)}")
        if not np.isfinite(float(left.sum() + right.sum())):
            raise ValueError("it holds NaN or infinity")
        found[layer] = (left, right)
    return found
