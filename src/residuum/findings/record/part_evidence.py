"""What was measured on heads: one by one, together, against random ones, and what each does."""

from __future__ import annotations

import math
from dataclasses import dataclass

from residuum.findings.record.evidence import Estimate

SWAP, RESAMPLE, MEAN, ZERO = "swapped", "resampled", "mean", "silenced"
"""Ways of removal: its corrupt value, another prompt's value, the mean over prompts, zeros."""


@dataclass(frozen=True)
class RemovalEvidence:
    """Parts removed from the clean run: each alone, one after the other, and random ones instead.

    Attributes:
        how: ``swapped``, ``resampled``, ``mean`` or ``silenced``.
        parts: addresses in the order of removal.
        alone: what each costs alone, in the metric's unit.
        together: what the first one, two, … cost together.
        summed: the sum over ``alone``.
        backup: what they cost together beyond ``summed``: others stand in for one that is missing.
        random: what each random set of as many other parts of the same kinds costs.
        layers_matched: whether these sets have as many of each kind in each layer.
        lost: what all cost together, over the distance from corrupt to clean.
    """

    how: str
    parts: tuple[str, ...]
    alone: tuple[Estimate, ...]
    together: tuple[Estimate, ...]
    summed: float
    backup: Estimate
    random: tuple[float, ...]
    layers_matched: bool
    lost: Estimate

    @property
    def control(self) -> float:
        """Mean absolute cost of the random sets; NaN without any."""
        costs = [abs(each) for each in self.random]
        return sum(costs) / len(costs) if costs else math.nan


@dataclass(frozen=True)
class PartEvidence:
    """One named part, head or MLP, on pairs that it was not chosen on.

    Attributes:
        at: its address.
        patch: effect of its clean value in the corrupt run.
        recovered: the same over the distance from corrupt to clean.
        lost: what its corrupt value costs the clean run, over the same distance.
        more_recovered, more_lost: what all named parts recover and lose, less what they do without
            this one, over the same distance.
        does: the largest of these four in size, with its interval by pair: what it does on these
            pairs, whatever it may do in other templates; below 0 where it works against the answer.
        p: joint over all cells of its sweep (max-T), by template: every head, or every layer's
            attention and MLP.
        verdict: ``shown``, ``not shown`` or ``undecided``, of the same test.
        patch_values: the patch effect of every pair.
    """

    at: str
    patch: Estimate
    recovered: Estimate
    lost: Estimate
    more_recovered: Estimate
    more_lost: Estimate
    does: Estimate
    p: float
    verdict: str
    patch_values: tuple[float, ...]


@dataclass(frozen=True)
class SetEvidence:
    """The named parts together, against as many random ones of the same kinds.

    Attributes:
        recovered: patched together, over the distance from corrupt to clean.
        swap_drop, zero_drop: lost by the clean run, over the same distance.
        random_recovered, random_swap_drop, random_zero_drop: the same for each random set.
        pushed_recovered, pushed_swap_drop: the same for the named parts themselves, moved as far in
            random directions; only where too few random sets are possible.
        all_heads_recovered: all heads patched at once: what heads can carry at most.
    """

    recovered: Estimate
    swap_drop: Estimate
    zero_drop: Estimate
    random_recovered: tuple[float, ...]
    random_swap_drop: tuple[float, ...]
    random_zero_drop: tuple[float, ...]
    pushed_recovered: tuple[float, ...]
    pushed_swap_drop: tuple[float, ...]
    all_heads_recovered: Estimate

    @property
    def chance(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What chance recovers and costs: all random sets and random directions."""
        return (
            self.random_recovered + self.pushed_recovered,
            self.random_swap_drop + self.pushed_swap_drop,
        )

    @property
    def controls(self) -> str:
        """What chance was, in words."""
        sets, pushes = len(self.random_recovered), len(self.pushed_recovered)
        said = [f"{sets} random sets of as many other parts of the same kinds"] if sets else []
        said += [f"{pushes} random directions of the same length"] if pushes else []
        return " and ".join(said) or "nothing: no random set is possible"


@dataclass(frozen=True)
class Picture:
    """Attention of one head on one prompt, ``weights[query][key]``."""

    at: str
    tokens: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RivalEvidence:
    """As many parts as were stated, or fewer, that a search on the choosing half names instead.

    Attributes:
        parts: their addresses, those first that recover most alone.
        recovered: patched together, over the distance from corrupt to clean.
        lost: given their corrupt values, over the same distance.
        more_recovered, more_lost: the same less what the stated parts recover and lose, pair by
            pair.
    """

    parts: tuple[str, ...]
    recovered: Estimate
    lost: Estimate
    more_recovered: Estimate
    more_lost: Estimate


@dataclass(frozen=True)
class PartsEvidence:
    """The named parts (heads and MLPs), one by one and together.

    Attributes:
        named: each by itself.
        together: shares of the distance, beside random sets.
        removals: the parts removed in several ways, each alone and together.
        left_out: ways of removal that these pairs do not allow, and why.
        floor: smallest joint p that these pairs can give.
        rival: what a search names instead of stated parts; None where the parts are the search's
            own, or the search names no others.
    """

    named: tuple[PartEvidence, ...]
    together: SetEvidence
    removals: tuple[RemovalEvidence, ...]
    left_out: tuple[str, ...]
    floor: float
    rival: RivalEvidence | None = None

    @property
    def main(self) -> RemovalEvidence:
        """The removal that is told first: other prompts' values, else the pair's."""
        return self.removal(RESAMPLE) or self.removals[0]

    def removal(self, how: str) -> RemovalEvidence | None:
        """The removal of this kind; None where it was left out."""
        return next((each for each in self.removals if each.how == how), None)


@dataclass(frozen=True)
class RoleEvidence:
    """What one head does for the answer at the last token.

    Attributes:
        at: its address.
        direct: effect on the answer by the direct path to the logits alone, everything between
            held: its clean value in the corrupt run.
        p, verdict: of the direct path, joint over all heads and MLPs.
        attends_answer: attention from the last token to the answer in the prompt; None where the
            answer does not stand there.
        attends_wrong: the same to the wrong answers, all their places together.
        prefers: the first minus the second, pair by pair.
        removal: what the clean run loses when this head alone takes its corrupt value.
        mover: whether the direct path is shown and positive, at least a tenth of the attention goes
            to the answer, and ``prefers`` and ``removal`` lie above 0, each with its interval.
    """

    at: str
    direct: Estimate
    p: float
    verdict: str
    attends_answer: Estimate | None
    attends_wrong: Estimate | None
    prefers: Estimate | None
    removal: Estimate
    mover: bool


@dataclass(frozen=True)
class RolesEvidence:
    """Who writes the answer, and which of them move it from where it stands.

    Attributes:
        heads: the heads that matter and the heads that write.
        writers: heads with a direct path to the logits, chosen on the choosing half.
        removal: the writers given their corrupt values; None without writers.
        mlps: address of every MLP.
        mlp_direct: the direct effect of each, as of heads.
        sure: how many direct paths are shown, in words.
        pictures: attention of each head on an example.
    """

    heads: tuple[RoleEvidence, ...]
    writers: tuple[str, ...]
    removal: RemovalEvidence | None
    mlps: tuple[str, ...]
    mlp_direct: tuple[Estimate, ...]
    sure: str
    pictures: tuple[Picture, ...]

    @property
    def movers(self) -> tuple[str, ...]:
        """Addresses of the heads that are movers."""
        return tuple(head.at for head in self.heads if head.mover)
