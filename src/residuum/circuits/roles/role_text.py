"""Roles in words and as rows of a table."""

from __future__ import annotations

from typing import Any, Protocol

from residuum.circuits.roles.part_role import ROLES, PartEffect, PartRole
from residuum.circuits.roles.rules import short

__all__ = ["Named", "row", "short", "summary"]

_SHOWS = (
    "Shows: where each head looks from where it works, and what its measured edges change. Does "
    "not show: that a part does nothing else, or what an unknown one does; a head that attends is "
    "not a head that matters."
)


class Named(Protocol):
    """A circuit's parts with their names."""

    @property
    def parts(self) -> tuple[PartRole, ...]:
        """In forward order."""
        ...

    @property
    def effects(self) -> tuple[PartEffect, ...]:
        """Every measured edge."""
        ...

    @property
    def task(self) -> str:
        """Its name."""
        ...

    @property
    def unit(self) -> str:
        """Of the effects."""
        ...

    @property
    def n_pairs(self) -> int:
        """How many pairs."""
        ...

    @property
    def n_edges(self) -> int:
        """Of the circuit."""
        ...

    @property
    def measured(self) -> int:
        """How many edges were measured."""
        ...

    @property
    def reference(self) -> str:
        """What an edge carried instead."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        ...


def summary(roles: Named) -> str:
    """Every role with its parts, and what was measured."""
    known = sum(each.known for each in roles.parts)
    lines = [
        f"Roles({known} of {len(roles.parts)} parts named on {roles.task}, {roles.n_pairs} pairs, "
        f"{roles.measured} of {roles.n_edges} edges measured, {roles.reference})"
    ]
    for name in ROLES:
        parts = [short(each.at) for each in roles.parts if name in each.names]
        if parts:
            lines.append(f"  {name}: {', '.join(parts)}")
    lines += [f"  ! {each}" for each in roles.warnings]
    return "\n".join([*lines, f"  {_SHOWS}"])


def row(part: PartRole) -> dict[str, Any]:
    """One part as a row."""
    logits = part.logits
    holds = [each for each in part.attention if each.holds]
    return {
        "part": part.at,
        "role": part.role,
        "roles": "; ".join(part.names),
        "works_at": "; ".join(part.works_at),
        "logits": None if logits is None else logits.value,
        "logits_low": None if logits is None else logits.low,
        "logits_high": None if logits is None else logits.high,
        "feeds": "; ".join(f"{each.receiver} {each.value:+.3g}" for each in _sure(part.feeds)),
        "fed_by": "; ".join(
            f"{each.slot} from {short(each.sender)} {each.value:+.3g}"
            for each in _sure(part.fed_by)
        ),
        "attention": "; ".join(f"{a.from_} to {a.to} {a.share:.2f}" for a in holds),
        "evidence": "; ".join(part.evidence),
        "against": "; ".join(part.against),
        **part.detectors,
    }


def _sure(effects: tuple[PartEffect, ...]) -> list[PartEffect]:
    return [each for each in effects if each.counts]
