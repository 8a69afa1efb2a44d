"""What was measured where there should be nothing: other weights, labels, pushes and heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.mechanism import Kind

Weights = Literal["permuted", "fresh"]
Place = Literal["the answer", "what differs", "the token before", "the same token", "what followed"]
"""Where a head looks: from the last token to where the answer stands, or to where the prompts of a
pair differ; from every token to the one before it, to the same token earlier, or to what followed
that."""
Use = Literal["causal", "not causal", "unclear"]


@dataclass(frozen=True)
class WeightControl:
    """The same pairs and the same parts in a model of the same shape without a mechanism.

    Attributes:
        kind: ``permuted``: the entries of each weight matrix at other places; ``fresh``: new
            weights, as the model's own code draws them before training.
        seed: of the weights.
        choice: share of prompts that rank the answer above the wrong one.
        shuffled: the same with random labels: mean, and what holds 95 % of them.
        contrast: metric on clean minus metric on corrupt prompts.
        present: whether the rules on the behaviour call it present there.
        gained: what the corrupt run gains from the parts' clean values, over the *intact* model's
            distance from corrupt to clean.
        recovered, lost: what it gains, and what the clean run loses from their corrupt values,
            over this model's own distance; None where the behaviour is absent.
        found: whether the same mechanism would be named there: the behaviour present, at least
            half as far from random labels as in the intact model, and the parts enough and needed.
    """

    kind: Weights
    seed: int
    choice: Estimate
    shuffled: Estimate
    contrast: Estimate
    present: bool
    gained: Estimate
    recovered: Estimate | None
    lost: Estimate | None
    found: bool


@dataclass(frozen=True)
class LabelControl:
    """What the parts' clean values gain in the corrupt run when answers are handed out at random.

    The logits are the same; only what counts as right is not: right and wrong answers of other
    prompts, and exchanged by a coin.

    Attributes:
        own: gain with the right labels.
        mean, low, high: over shuffles: mean, and what holds 95 % of them.
        p: share of labellings, the right one among them, with at least this gain.
        shuffles: how many.
    """

    own: Estimate
    mean: float
    low: float
    high: float
    p: float
    shuffles: int


@dataclass(frozen=True)
class PushControl:
    """The parts moved as far, in random directions.

    Attributes:
        recovered, lost: shares of the distance with the parts' own clean and corrupt values.
        random_recovered, random_lost: the same for each draw of directions, one for each part: as
            far from what is there as the other side's value is, place by place.
    """

    recovered: Estimate
    lost: Estimate
    random_recovered: tuple[float, ...]
    random_lost: tuple[float, ...]


@dataclass(frozen=True)
class AttendingHead:
    """A head that attends strikingly, and whether the answer depends on it.

    Attributes:
        at: its address.
        place: what it looks at.
        attention: share of its attention that goes there, on clean prompts.
        recovered: the corrupt run given its clean value, over the distance.
        swapped: what the clean run loses given its corrupt value, over the distance.
        averaged: the same given its mean over the prompts; None where that cannot be taken.
        beyond: what its corrupt value costs the clean run in which the named parts already have
            theirs: what it does when it has to stand in. None for a named part.
        use: ``causal`` if one of these is at least the least share with its interval, ``not
            causal`` if all lie below it with their intervals, else ``unclear``.
    """

    at: str
    place: Place
    attention: Estimate
    recovered: Estimate
    swapped: Estimate
    averaged: Estimate | None
    beyond: Estimate | None
    use: Use


@dataclass(frozen=True)
class ControlsEvidence:
    """What the same measurements say where there should be nothing.

    Attributes:
        weights: models of the same shape without a mechanism.
        labels: answers handed out at random; None where that changes nothing.
        pushes: random directions of the same length; None where the parts do not move.
        attending: every head of the model that attends strikingly.
        more_attending: how many more there are than were tested.
        left_out: what was not done, and why.
        kind: of the mechanism. What "parts" restore and lose is, of a circuit, what its edges alone
            do and what is lost without them; of a direction, what adding and erasing it closes.
    """

    weights: tuple[WeightControl, ...]
    labels: LabelControl | None
    pushes: PushControl | None
    attending: tuple[AttendingHead, ...]
    more_attending: int
    left_out: tuple[str, ...]
    kind: Kind = "components"

    @property
    def idle(self) -> tuple[AttendingHead, ...]:
        """Heads that attend strikingly and are not causal."""
        return tuple(head for head in self.attending if head.use == "not causal")
