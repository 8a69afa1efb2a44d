"""One head of a head table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from residuum.heads.head_types import HeadType


@dataclass(frozen=True)
class HeadRow:
    """One head.

    Attributes:
        at: address, ``L1.z[H0]``.
        types: all that it may be called, confirmed ones first.
        scores: detector -> mean over prompts.
        costs: prompts -> what removing it costs.
    """

    layer: int
    head: int
    types: tuple[HeadType, ...]
    scores: Mapping[str, float]
    costs: Mapping[str, float]

    @property
    def at(self) -> str:
        """Address of the head's output."""
        return f"L{self.layer}.z[H{self.head}]"

    @property
    def type(self) -> str:
        """The first confirmed type; empty where none is."""
        return next((each.name for each in self.types if each.status == "confirmed"), "")
