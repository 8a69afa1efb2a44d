"""A circuit or a direction under examination: what it does as a whole, and what chance does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import Estimate


@dataclass(frozen=True)
class WholeEvidence:
    """What a circuit or a direction does, on pairs of the measuring half.

    Attributes:
        kind: ``circuit`` or ``direction``.
        name: in words.
        size: edges of the circuit; 1 for a direction.
        total: edges of the model's graph; width of the site for a direction.
        recovered: circuit: what it does alone, every other edge at the corrupt prompt's value,
            over the distance between whole and empty circuit. Direction: what adding it to
            corrupt prompts (and taking it from clean ones) closes of the distance.
        lost: circuit: what is lost with its edges at the corrupt prompt's values. Direction: what
            erasing it closes.
        random_recovered, random_lost: the same for each random connected circuit of its size; of
            random directions of its norm the 95th percentile alone.
        p: direction: the larger p of adding, erasing and swapping, corrected. Circuit: where
            ``every``, the share of all circuits of its size, itself among them, that do as much
            alone; else None.
        controls: how many random circuits or directions.
        note: what else must be known.
        every: whether these are all other connected circuits of its size that the graph has.
        tried, idle: circuit: how many of its edges were left out one by one, and how many of these
            changed less than half a percent of the distance, in the circuit and in the model.
        last: direction: whether only the final norm and the unembedding stand behind its place.
    """

    kind: Literal["circuit", "direction"]
    name: str
    size: int
    total: int
    recovered: Estimate
    lost: Estimate
    random_recovered: tuple[float, ...]
    random_lost: tuple[float, ...]
    p: float | None
    controls: int
    note: str
    every: bool = False
    tried: int = 0
    idle: int = 0
    last: bool = False
