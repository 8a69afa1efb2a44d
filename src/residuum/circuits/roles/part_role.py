"""Records: what one part of a circuit is called, and on what evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

UNKNOWN = "unknown"

HEAD_ROLES = (
    "name mover",
    "moves through MLP",
    "S-inhibition-like",
    "induction",
    "duplicate-token",
    "previous-token",
    "copying",
    "negative",
    "first-token",
)
"""Names of heads; of several the first is shown first."""

MLP_ROLES = ("MLP to logits", "negative", "MLP relay", "MLP on tokens")
"""Names of MLPs (and of single neurons and latents)."""

ROLES = tuple(dict.fromkeys((*HEAD_ROLES, *MLP_ROLES, UNKNOWN)))
"""Every name that a part can have."""


@dataclass(frozen=True)
class PartEffect:
    """One edge of the circuit, measured: what is lost when it alone carries its reference value.

    Attributes:
        sender: part that sends, ``L0.head_out[H2]``.
        receiver: where it is read, ``L1.k_in[H1]``, ``L1.mlp_in`` or ``logits``.
        readers: parts that read there: several where heads share a key or value.
        position: name of the position, empty where all tokens are meant.
        value: mean over pairs in the metric's unit, positive where it supports the behaviour.
        low, high: 95 % bootstrap interval over pairs.
        p: joint over all edges that were measured with it, by sign flips.
        counts: whether it is told from zero and large enough for a name to rest on it.
    """

    sender: str
    receiver: str
    readers: tuple[str, ...]
    position: str
    value: float
    low: float
    high: float
    p: float
    counts: bool

    @property
    def slot(self) -> str:
        """``q``, ``k``, ``v``, ``mlp`` or ``logits``: through which input it is read."""
        name = self.receiver.split(".")[-1].split("[")[0].split("/")[0]
        return {"mlp_in": "mlp", "mlp_pre": "mlp"}.get(name, name.removesuffix("_in"))

    def __str__(self) -> str:
        at = f" @{self.position}" if self.position else ""
        return f"{self.sender} -> {self.receiver}{at} {self.value:+.3g}"


@dataclass(frozen=True)
class HeadAttention:
    """Where a head looks from one place of the task's clean prompts.

    Attributes:
        from_: name of the position it looks from; ``"rest"`` are all tokens without a name.
        to: kind of place: ``previous``, ``duplicate``, ``induction`` (what followed the token's
            earlier occurrences), ``first``, ``answer``, ``wrong again`` (a wrong answer's later
            occurrence), or ``@NAME``, a position that the task names.
        share: mean attention, 0 to 1.
        low, high: 95 % bootstrap interval over pairs.
        null: what uniform attention would give.
        pairs: how many had such a place.
        holds: whether share less null is large enough, interval and all.
    """

    from_: str
    to: str
    share: float
    low: float
    high: float
    null: float
    pairs: int
    holds: bool


@dataclass(frozen=True)
class PartRole:
    """One part of a circuit.

    Attributes:
        at: its name as a sender, ``L1.head_out[H0]`` or ``L2.mlp_out``.
        names: its roles; ``("unknown",)`` where the evidence gives none.
        works_at: positions at which its strongest edge has its effect, largest first.
        logits: its edge into the logits, None where that is not in the circuit.
        feeds, fed_by: measured edges out of it and into it, largest first.
        by_position: its strongest edge, position by position.
        attention: of a head, at the positions where it works.
        detectors: of a head: scores of ``rz.detect_heads`` on random repeats, and their nulls as
            ``NAME null``; ``ov_copying`` from the weights.
        evidence: in words, what each name rests on.
        against: in words, what was seen and is not enough for a name.
    """

    at: str
    names: tuple[str, ...]
    works_at: tuple[str, ...] = ()
    logits: PartEffect | None = None
    feeds: tuple[PartEffect, ...] = ()
    fed_by: tuple[PartEffect, ...] = ()
    by_position: tuple[PartEffect, ...] = ()
    attention: tuple[HeadAttention, ...] = ()
    detectors: Mapping[str, float] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    against: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        """The first of its names."""
        return self.names[0]

    @property
    def known(self) -> bool:
        """Whether it has a name."""
        return self.role != UNKNOWN

    @property
    def strongest(self) -> PartEffect | None:
        """The edge out of it with the largest absolute effect."""
        return self.feeds[0] if self.feeds else None

    def __str__(self) -> str:
        return f"{self.at}: {', '.join(self.names)}"

    def to_json(self) -> dict[str, Any]:
        """Plain data, NaN as None; the edges stand with the roles' own."""
        data = asdict(self)
        del data["feeds"], data["fed_by"]
        return plain(data)


def plain(value: Any) -> Any:
    """Lists and mappings of plain values; NaN as None, ``from_`` as ``from``."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key.rstrip("_"): plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value
