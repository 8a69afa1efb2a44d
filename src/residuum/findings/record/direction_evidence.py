"""Whether one direction of the stream carries the behaviour, and its proof."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.findings.record.evidence import Estimate

LEAST_CLOSED = 0.1
"""Share of the gap that adding, erasing and swapping must each close."""


@dataclass(frozen=True)
class DirectionSite:
    """One place that was tried on the choosing half.

    Attributes:
        at: address: the stream after a layer, at the last token (``@-1``) or at every token.
        swapped, added: share of the gap between clean and corrupt answers closed there.
    """

    at: str
    swapped: float
    added: float

    @property
    def strength(self) -> float:
        """The smaller of the two, by which a place is taken."""
        return min(self.swapped, self.added)


@dataclass(frozen=True)
class DirectionTest:
    """One edit along the direction on the measuring half.

    Attributes:
        kind: ``add`` (corrupt prompts are moved by the mean distance, clean ones back), ``erase``
            (the component is set to its mean), ``leace`` (with all that goes with it linearly) or
            ``swap`` (each prompt gets its partner's component).
        closed: share of the gap between clean and corrupt answers.
        p: against the random directions; corrected over adding, erasing and swapping.
        random_mean, random_high: mean and 95th percentile of directions drawn with the activations'
            covariance, of the same norm.
        isotropic_high: 95th percentile of directions drawn evenly.
        decides: whether p is asked for.
    """

    kind: str
    closed: Estimate
    p: float
    random_mean: float
    random_high: float
    isotropic_high: float
    decides: bool


@dataclass(frozen=True)
class DirectionEvidence:
    """The direction and its proof; without tests, why there is none.

    Attributes:
        at: where it was taken.
        sites: every place tried, on the choosing half.
        n_fit: pairs that it is the difference of means of.
        left_aside: pairs of the choosing half with a prompt of the measuring half.
        turned: pairs of both halves whose sides were exchanged, so that clean means one class.
        tests: the four edits.
        accuracy: share of prompts told apart along it, thresholds from other templates.
        majority: share of the larger class.
        control: 95th percentile of the accuracy of directions found for random labels.
        readable: whether the accuracy is above both; None where one template gives no interval.
        causal: whether the edits are beyond random directions and large; None likewise.
        n_random: random directions.
        n_templates: templates that it was proven on.
        strength: length of what is added, in mean norms of the stream there.
        split: how found and proven pairs are kept apart.
        left_out: what was not done, and why.
    """

    at: str
    sites: tuple[DirectionSite, ...]
    n_fit: int
    left_aside: int
    turned: int
    tests: tuple[DirectionTest, ...]
    accuracy: Estimate
    majority: float
    control: float
    readable: bool | None
    causal: bool | None
    n_random: int
    n_templates: int
    strength: float
    split: str
    left_out: tuple[str, ...]

    def test(self, kind: str) -> DirectionTest | None:
        """One edit; None without tests."""
        return next((each for each in self.tests if each.kind == kind), None)
