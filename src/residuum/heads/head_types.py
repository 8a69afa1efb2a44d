"""What a head may be called, and what has to be shown first.

A head that attends is not a head that matters: a type is *confirmed* only where the score lies
above its null, removing the head changes what the model does on the same prompts, and, for types
that say what is moved, the head writes it. Else it only attends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from residuum.heads.head_scores import HeadScore, RemovalCost

Status = Literal["confirmed", "attends only", "not tested"]
Scores = Mapping[str, HeadScore]

TYPES: tuple[str, ...] = (
    "name mover",
    "S-inhibition-like",
    "copy suppression",
    "induction",
    "previous-token",
    "duplicate-token",
    "skip-trigram",
    "first-token",
)
"""All types; where several are confirmed for a head, the first of them is its type."""
SHORT: dict[str, str] = dict(
    zip(TYPES, ("mover", "S-inh", "supp", "ind", "prev", "dup", "skip", "first"), strict=True)
)

BY_SCORE = {
    "induction": "induction",
    "previous-token": "previous_token",
    "duplicate-token": "duplicate_token",
    "skip-trigram": "skip_trigram",
    "first-token": "first_token",
}
"""Type -> the score it rests on, on repeats and texts. Types are written with hyphens, scores with
underscores: several types may rest on one score, and some scores name no type."""
LEAST_LOGITS = 0.1


@dataclass(frozen=True)
class HeadType:
    """A name for what a head does.

    Attributes:
        name: one of ``TYPES``.
        status: ``"confirmed"``; ``"attends only"`` where the attention is there and the effect or
            the copying is not; ``"not tested"`` where nothing was removed.
        on: prompts it was seen on.
    """

    name: str
    status: Status
    on: str

    def __str__(self) -> str:
        return self.name if self.status == "confirmed" else f"{self.name} ({self.status})"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"name": self.name, "status": self.status, "on": self.on}


def score_of_type(head: HeadType) -> str:
    """Name of the score that a type rests on."""
    on_task = {"name mover": "name_mover", "S-inhibition-like": "s_inhibition"}
    if head.on not in ("repeats", "text"):
        return on_task.get(head.name, "name_mover")
    prefix = "text." if head.on == "text" else ""
    return prefix + BY_SCORE.get(head.name, "copying")


@dataclass(frozen=True, eq=False)
class Claims:
    """Where, on the grid of heads, a type is claimed and where its copying holds.

    Attributes:
        attends: ``[layer head]`` the score lies above the null.
        writes: ``[layer head]`` what the type says is written is written.
        helps: True where removal must cost something; False where any effect will do.
    """

    name: str
    attends: np.ndarray
    writes: np.ndarray
    helps: bool = False

    def types(self, cost: RemovalCost | None, on: str) -> np.ndarray:
        """``[layer head]`` of ``HeadType`` or None."""
        matters = np.zeros_like(self.attends) if cost is None else cost.matters
        if cost is not None and self.helps:
            matters = matters & (cost.values > 0)
        found = np.full(self.attends.shape, None, dtype=object)
        for at in zip(*np.nonzero(self.attends), strict=True):
            sure = bool(matters[at] and self.writes[at])
            status: Status = (
                "not tested" if cost is None else "confirmed" if sure else "attends only"
            )
            found[at] = HeadType(self.name, status, on)
        return found


def types_on(
    scores: Scores,
    cost: RemovalCost | None,
    on: str,
    ov_copying: np.ndarray,
    least: float,
    prefix: str = "",
) -> list[np.ndarray]:
    """Types seen on repeats or texts, one grid ``[layer head]`` for each."""
    found = []
    direct = scores[f"{prefix}direct"]
    for name, key in BY_SCORE.items():
        score = scores[f"{prefix}{key}"]
        writes = direct.low > direct.null_high if name == "induction" else True
        attends = above(score, least)
        if name == "skip-trigram":
            attends = attends & _most_of_all(scores, prefix)
        claims = Claims(
            name, attends, np.broadcast_to(writes, direct.values.shape),
            helps=name in ("induction", "skip-trigram"),
        )  # fmt: skip
        found.append(claims.types(cost, on))
    copying = scores[f"{prefix}copying"]
    against = (copying.high < copying.null_low) & (copying.values <= -LEAST_LOGITS)
    suppresses = Claims("copy suppression", against & (ov_copying < 0), against)
    return [suppresses.types(cost, on), *found]


def types_on_task(
    scores: Scores, cost: RemovalCost | None, indirect: HeadScore | None, on: str, least: float
) -> list[np.ndarray]:
    """Types seen where a task's answer is read."""
    direct, found = scores["task_direct"], []
    if "name_mover" in scores:
        looks = above(scores["name_mover"], least)
        adds, takes = direct.low > 0, direct.high < 0
        found += [
            Claims("name mover", looks & ~takes, adds, helps=True).types(cost, on),
            Claims("copy suppression", looks & takes, takes).types(cost, on),
        ]
    if "s_inhibition" in scores:
        through = np.zeros(direct.values.shape, bool) if indirect is None else indirect.low > 0
        looks = above(scores["s_inhibition"], least)
        found.append(Claims("S-inhibition-like", looks, through, helps=True).types(cost, on))
    return found


def _most_of_all(scores: Scores, prefix: str) -> np.ndarray:
    """``[layer head]`` where the interval of skip-trigrams' share lies above all other shares'."""
    others = [scores[f"{prefix}{key}"].high for key in BY_SCORE.values() if key != "skip_trigram"]
    return scores[f"{prefix}skip_trigram"].low > np.nanmax(np.stack(others), axis=0)


def above(score: HeadScore, least: float) -> np.ndarray:
    """``[layer head]`` whether a share of attention is beyond its null, and by enough.

    In short contexts uniform attention is itself a large share; without a null nothing is above it.
    """
    return (score.values - score.null >= least) & (score.low > score.null_high)


def combined(grids: list[np.ndarray]) -> tuple[tuple[tuple[HeadType, ...], ...], ...]:
    """All types of each head, ``[layer][head]``: confirmed ones first, then as in ``TYPES``."""
    layers, heads = grids[0].shape
    return tuple(
        tuple(
            _in_order([grid[layer, head] for grid in grids if grid[layer, head] is not None])
            for head in range(heads)
        )
        for layer in range(layers)
    )


def _in_order(types: list[HeadType]) -> tuple[HeadType, ...]:
    types = sorted(types, key=lambda t: (t.status != "confirmed", TYPES.index(t.name)))
    return tuple({each.name: each for each in reversed(types)}[name]
                 for name in dict.fromkeys(each.name for each in types))  # fmt: skip
