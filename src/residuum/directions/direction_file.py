"""A direction as plain data, and as a file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import torch

from residuum.core import Address, Provenance, StoreError
from residuum.core.paths import as_path
from residuum.directions.origin import Origin
from residuum.directions.proof import Proof

_FORMAT = 2
_HASH = "sha256"
_NUMBERS = ("typical_norm", "threshold")
_MEND = "give a file that direction.save(...) wrote"


def written(direction: Any) -> dict[str, Any]:
    """Plain data, the vector included; NaN as None; with a hash over all of it.

    Args:
        direction: a ``Direction``; its type is not named, since its module writes with this one.
    """
    data: dict[str, Any] = {
        "format": _FORMAT,
        "at": str(direction.at),
        "vector": direction.vector.tolist(),
        **{name: _or_none(getattr(direction, name)) for name in _NUMBERS},
        "method": direction.method,
        "origin": direction.origin.to_json(),
        "weight_hash": direction.weight_hash,
        "provenance": direction.provenance.to_json(),
        "proof": None if direction.proof is None else direction.proof.to_json(),
        "notes": dict(direction.notes),
    }
    return data | {_HASH: _content_hash(data)}


def _content_hash(data: Mapping[str, Any]) -> str:
    """SHA-256 over the data as JSON, keys in order; the hash itself left out."""
    plain = json.loads(json.dumps({key: data[key] for key in data if key != _HASH}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def parts_of(data: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    """What :func:`written` wrote, as the fields of a direction.

    Raises:
        StoreError: keys missing or unknown, another format, values of another kind, or a content
            that is not the one that was written: a vector that was changed has no proof.
    """
    _need_whole(data, names)
    try:
        numbers = {n: math.nan if data[n] is None else float(data[n]) for n in _NUMBERS}
        return numbers | {
            "at": Address.parse(data["at"]),
            "vector": torch.tensor(data["vector"], dtype=torch.float64),
            "method": str(data["method"]),
            "origin": Origin.from_json(data["origin"]),
            "weight_hash": str(data["weight_hash"]),
            "provenance": Provenance.from_json(dict(data["provenance"])),
            "proof": None if data["proof"] is None else Proof.from_json(data["proof"]),
            "notes": dict(data["notes"]),
        }
    except (TypeError, ValueError, KeyError) as error:
        raise StoreError(f"a direction with values of another kind: {error}", mend=_MEND) from error


def _need_whole(data: Any, names: Set[str]) -> None:
    """Refuse what is no direction, an earlier format, and a content that its hash is not of."""
    if isinstance(data, Mapping) and data.get("format") == 1:
        raise StoreError(
            "a direction of an earlier format, which has no hash of its content",
            mend="find the direction again and save it",
        )
    known = isinstance(data, Mapping) and set(data) == names | {"format", _HASH}
    if not known or data["format"] != _FORMAT:
        raise StoreError(f"not a direction of format {_FORMAT}", mend=_MEND)
    if data[_HASH] != _content_hash(data):
        raise StoreError(
            "the direction was changed after it was written: its hash is of another content",
            mend="give the file as direction.save(...) wrote it, or find the direction again",
        )


def read(path: str | Path) -> Any:
    """The data in a file.

    Raises:
        StoreError: no such file, or no JSON.
    """
    try:
        return json.loads(as_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(
            "there is no such file, so it cannot be read as a direction",
            mend=_MEND,
            where=str(path),
        ) from error
    except (OSError, ValueError) as error:
        raise StoreError(
            f"cannot be read as a direction: {error}", mend=_MEND, where=str(path)
        ) from error


def _or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None
