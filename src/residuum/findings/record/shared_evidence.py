"""Heads that the answer needs on both prompts of a pair alike: patching between them is blind."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.findings.record.evidence import Estimate

LEAST_LOST = 0.1
"""Share of the distance that must be lost for a head to be called needed, interval and all."""


@dataclass(frozen=True)
class SharedHead:
    """A head that is not named, held at its mean over both sides' prompts.

    Attributes:
        at: its address.
        lost: what the clean run loses, over the distance from corrupt to clean.
        recovered: what its clean value alone recovers in the corrupt run.
        p: joint sign-flip p of the loss over all heads.
        needed: whether ``lost`` is at least :data:`LEAST_LOST`, interval and all.
    """

    at: str
    lost: Estimate
    recovered: float
    p: float
    needed: bool

    @property
    def alike(self) -> bool:
        """Whether it is needed and patching sees less than half of that."""
        return self.needed and self.recovered < self.lost.value / 2


@dataclass(frozen=True)
class SharedEvidence:
    """What else the answer needs.

    Attributes:
        heads: chosen on the choosing half for what they cost, measured on the other, largest first.
        tested: heads of the model that are not named.
        left_out: what was not done, and why.
    """

    heads: tuple[SharedHead, ...]
    tested: int
    left_out: tuple[str, ...]

    @property
    def needed(self) -> tuple[SharedHead, ...]:
        """Those that are needed."""
        return tuple(head for head in self.heads if head.needed)

    @property
    def open(self) -> tuple[SharedHead, ...]:
        """Those that are not shown to be needed, and may be: the interval reaches the least loss,
        or is not known."""
        return tuple(
            head for head in self.heads if not head.needed and not head.lost.high < LEAST_LOST
        )
