"""What the mechanism's removal does to other behaviours of the model, and to plain text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.mechanism import Kind

Spared = Literal["spared", "needed", "as random", "unclear", "absent"]
"""What removal does to something else: nothing that counts; more than that, and more than random
parts do; more than that, but no more than random parts do; not decided; or the model does not do
it, so that nothing can be lost."""


@dataclass(frozen=True)
class Loss:
    """What is lost when the mechanism is removed from the clean prompts of a task.

    Attributes:
        how: ``mean`` or ``resampled``, over that task's own prompts; of a circuit ``swapped``, the
            corrupt prompts' values, or ``mean``.
        lost: over the task's own distance from corrupt to clean.
        random: the same for random ones of its size (sets of as many other parts, connected
            circuits of as many edges, directions), removed where it costs more than a spared task
            may lose; none elsewhere.
    """

    how: str
    lost: Estimate
    random: tuple[float, ...]

    @property
    def worst_random(self) -> float:
        """The most that a random set costs; NaN without any."""
        return max(self.random, default=math.nan)


@dataclass(frozen=True)
class OtherTask:
    """Another behaviour of the same model, with the mechanism removed.

    Attributes:
        task: its name.
        n: pairs.
        present: whether the model shows this behaviour, by the rules on behaviour.
        distance: mean metric on clean minus on corrupt prompts.
        unit: of that.
        losses: by each way of removal; none where the behaviour is absent.
        verdict: what follows.
    """

    task: str
    n: int
    present: bool
    distance: float
    unit: str
    losses: tuple[Loss, ...]
    verdict: Spared

    @property
    def worst(self) -> Loss | None:
        """The way of removal that costs most; None where the behaviour is absent."""
        return max(self.losses, key=lambda each: each.lost.value, default=None)


@dataclass(frozen=True)
class TextLoss:
    """Next-token loss on plain text, with the mechanism held at its mean over it.

    Attributes:
        source: where the text comes from.
        texts, tokens: how many, and how many tokens were foretold.
        before: loss of the intact model, mean over texts, nats per token.
        up: how much it rises, text by text.
        random_up: the same for random ones of its size.
        verdict: what follows.
    """

    source: str
    texts: int
    tokens: int
    before: Estimate
    up: Estimate
    random_up: tuple[float, ...]
    verdict: Spared

    @property
    def factor(self) -> float:
        """The loss without the mechanism over that of the intact model."""
        return 1 + self.up.value / self.before.value if self.before.value else math.nan

    @property
    def random_factor(self) -> float:
        """The largest such factor of a random one; NaN without any."""
        most = max(self.random_up, default=math.nan)
        return 1 + most / self.before.value if self.before.value else math.nan


@dataclass(frozen=True)
class SpecificityEvidence:
    """Is it this behaviour, or does much else break with it?

    Attributes:
        kind: of the mechanism.
        parts: addresses of what is removed, or lies in it.
        own: what the same removal costs the behaviour itself.
        others: every other task of the model.
        text: plain text; None where there is none.
        left_out: what could not be asked, and why.
    """

    kind: Kind
    parts: tuple[str, ...]
    own: tuple[Loss, ...]
    others: tuple[OtherTask, ...]
    text: TextLoss | None
    left_out: tuple[str, ...]

    @property
    def tested(self) -> tuple[OtherTask, ...]:
        """Tasks that the model does, so that something could be lost."""
        return tuple(each for each in self.others if each.present)

    def judged(self, verdict: Spared) -> tuple[OtherTask, ...]:
        """Tasks with this verdict."""
        return tuple(each for each in self.others if each.verdict == verdict)
