"""Roles as a file: parts with their evidence, and the measured edges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from residuum.circuits.judging.sealed import sealed, unsealed
from residuum.circuits.roles.effects import into_and_out_of
from residuum.circuits.roles.part_role import HeadAttention, PartEffect, PartRole, plain
from residuum.core import Provenance, StoreError

_KIND, _NOUN = "circuit_roles", "a circuit's roles"
_PLAIN = (
    "reference",
    "task",
    "metric",
    "unit",
    "n_pairs",
    "n_edges",
    "measured",
    "least_attention",
    "least_effect",
    "passes",
    "circuit_hash",
)
_TEXTS = ("names", "works_at", "evidence", "against")


def role_record(roles: Any) -> dict[str, Any]:
    """Plain data with a hash; NaN as None."""
    data = {name: getattr(roles, name) for name in _PLAIN} | {
        "parts": [each.to_json() for each in roles.parts],
        "effects": [plain(asdict(each)) for each in roles.effects],
        "positions": list(roles.positions),
        "warnings": list(roles.warnings),
        "provenance": roles.provenance.to_json(),
    }
    return sealed(data, _KIND)


def fields_of(data: Any) -> dict[str, Any]:
    """The fields of the roles that :func:`role_record` wrote.

    Raises:
        StoreError: another kind or format, or a content that was changed after it was written.
    """
    read = unsealed(data, _KIND, _NOUN)
    try:
        effects = _effects(read["effects"])
        return {name: read[name] for name in _PLAIN} | {
            "parts": tuple(_part(each, effects) for each in read["parts"]),
            "effects": effects,
            "positions": tuple(read["positions"]),
            "warnings": tuple(read["warnings"]),
            "provenance": Provenance.from_json(dict(read["provenance"])),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{_NOUN} with values of another kind: {error}", mend="name the parts again"
        ) from error


def _part(data: Mapping[str, Any], effects: tuple[PartEffect, ...]) -> PartRole:
    feeds, fed_by = into_and_out_of(effects, data["at"])
    return PartRole(
        at=data["at"],
        logits=None if data["logits"] is None else _effect(data["logits"]),
        feeds=feeds,
        fed_by=fed_by,
        by_position=_effects(data["by_position"]),
        attention=tuple(map(_attention, data["attention"])),
        detectors={name: _number(each) for name, each in data["detectors"].items()},
        **{name: tuple(data[name]) for name in _TEXTS},
    )


def _effects(data: Iterable[Mapping[str, Any]]) -> tuple[PartEffect, ...]:
    return tuple(map(_effect, data))


def _effect(data: Mapping[str, Any]) -> PartEffect:
    own = _numbers(data, PartEffect)
    own["readers"] = tuple(own["readers"])
    return PartEffect(**own)


def _attention(data: Mapping[str, Any]) -> HeadAttention:
    own = {"from_" if key == "from" else key: value for key, value in data.items()}
    return HeadAttention(**_numbers(own, HeadAttention))


def _numbers(data: Mapping[str, Any], record: Any) -> dict[str, Any]:
    """The values of a record, with NaN where None was written for a float."""
    floats = {each.name for each in fields(record) if each.type == "float"}
    return {key: _number(value) if key in floats else value for key, value in data.items()}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
