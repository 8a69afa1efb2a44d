"""A direction as plain data, and as a file."""

from __future__ import annotations

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

_FORMAT = 1
_NUMBERS = ("typical_norm", "threshold")
_MEND = "give a file that direction.save(...) wrote"


def written(direction: Any) -> dict[str, Any]:
    """Plain data, the vector included; NaN as None.

    Args:
        direction: a ``Direction``; its type is not named, since its module writes with this one.
    """
    return {
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


def parts_of(data: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    """What :func:`written` wrote, as the fields of a direction.

    Raises:
        StoreError: keys missing or unknown, another format, or values of another kind.
    """
    if (
        not isinstance(data, Mapping)
        or set(data) != names | {"format"}
        or data["format"] != _FORMAT
    ):
        raise StoreError(f"not a direction of format {_FORMAT}", mend=_MEND)
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


def read(path: str | Path) -> Any:
    """The data in a file.

    Raises:
        StoreError: no such file, or no JSON.
    """
    try:
        return json.loads(as_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"cannot be read as a direction: {error}", mend=_MEND, where=str(path)
        ) from error


def _or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None
