"""A path from one part to an input of a later one: what it restores and costs, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import Estimate

Feeds = Literal["feeds", "may feed", "not shown"]
LEAST_PATH = 0.02
"""Share of the clean-corrupt distance below which no path is said to feed."""


@dataclass(frozen=True)
class PathEvidence:
    """What one part sends to one input of a later part, and what comes of it.

    Attributes:
        sender: ``embed`` or the address of a part.
        receiver: the part that reads, or ``logits``.
        reads: ``q``, ``k``, ``v``, ``mlp`` or ``logits``.
        restores: share of the distance gained by the corrupt run when this input alone reads what
            the sender writes on the clean prompt.
        loses: share lost by the clean run when it reads what is written on the corrupt one.
        direct: ``restores`` with every MLP between the two held: straight along the stream; NaN
            where nothing reaches this input.
        p: joint sign-flip p of the mean of the two, over all paths of the table.
        control: the largest ``restores`` of other heads, not named, into the same input.
        control_loses: the same of ``loses``.
        controls: how many other heads lie before this input and were tried; 0 where none does, or
            where nothing reaches this input.
        feeds: what may be said, see :func:`verdict`.
    """

    sender: str
    receiver: str
    reads: str
    restores: Estimate
    loses: Estimate
    direct: Estimate
    p: float
    control: float
    control_loses: float
    controls: int
    feeds: Feeds

    @property
    def between(self) -> bool:
        """Whether it goes from part to part, not from the tokens or to the logits."""
        return self.sender != "embed" and self.receiver != "logits"

    @property
    def absent(self) -> bool:
        """Whether it is shown not to feed: neither end of it can come to the least share, or one
        is not above 0, interval and all. One that is merely not shown to feed is not absent."""
        highs = self.restores.high, self.loses.high
        return max(highs) < LEAST_PATH or min(highs) <= 0

    @property
    def straight(self) -> bool:
        """Whether half of it or more goes along the stream, without the MLPs in between."""
        return self.direct.value >= self.restores.value / 2

    @property
    def beyond_controls(self) -> bool | None:
        """Whether it exceeds every other head tried, both ways; None where none was."""
        if not self.controls:
            return None
        return self.restores.value > self.control and self.loses.value > self.control_loses


def verdict(restores: Estimate, loses: Estimate, p: float, alpha: float) -> Feeds:
    """What two measurements of a path allow to say.

    ``feeds``: both intervals lie above 0, the larger of the two is at least :data:`LEAST_PATH`, and
    the joint p is at most ``alpha``; ``may feed``: all but the last.

    Args:
        restores, loses: see :class:`PathEvidence`.
        p: joint over all paths.
        alpha: bound on it.

    >>> one = Estimate(0.4, 0.3, 0.5, 32)
    >>> verdict(one, one, 0.01, 0.05), verdict(one, one, 0.2, 0.05)
    ('feeds', 'may feed')
    """
    if not (restores.low > 0 and loses.low > 0):
        return "not shown"
    if max(restores.value, loses.value) < LEAST_PATH:
        return "not shown"
    return "feeds" if p <= alpha else "may feed"
