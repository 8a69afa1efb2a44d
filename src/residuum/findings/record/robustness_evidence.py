"""Does it hold: on other templates, other draws, new pairs, other removals, other models."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.mechanism import Kind


@dataclass(frozen=True)
class Fold:
    """Parts chosen on pairs of some templates, measured on pairs of the others.

    Attributes:
        chosen_on, measured_on: labels of the templates.
        n: pairs measured on.
        parts: what was chosen; of a stated mechanism what is stated.
        jaccard: parts shared with the named ones, over all of both; NaN for a stated mechanism.
        recovered: what the corrupt run gains from their clean values, over the distance.
        lost: what the clean run loses from their corrupt values, over the distance.
    """

    chosen_on: tuple[str, ...]
    measured_on: tuple[str, ...]
    n: int
    parts: tuple[str, ...]
    jaccard: float
    recovered: Estimate
    lost: Estimate


@dataclass(frozen=True)
class Draw:
    """Parts chosen on another half of the pairs.

    Attributes:
        seed: of the half.
        parts: what was chosen.
        jaccard: parts shared with the named ones, over all of both.
    """

    seed: int
    parts: tuple[str, ...]
    jaccard: float


@dataclass(frozen=True)
class NewPairs:
    """The named parts on pairs that had no part in anything before.

    Attributes:
        seed: of the pairs.
        n: how many; pairs that were used before are left out.
        recovered, lost: as in a fold.
    """

    seed: int
    n: int
    recovered: Estimate
    lost: Estimate


@dataclass(frozen=True)
class Way:
    """One way of removal, all named parts together, on the measuring half.

    Attributes:
        how: ``swapped``, ``resampled``, ``mean`` or ``silenced``.
        lost: by the clean run, over the distance.
        worst_random: the most that a random set of as many other parts costs; NaN without any.
    """

    how: str
    lost: Estimate
    worst_random: float


@dataclass(frozen=True)
class OtherModel:
    """The same question asked of another model: searched there, and the same parts if it has them.

    Attributes:
        name, weight_hash: of the model.
        n: pairs measured on.
        choice: share of prompts that rank the answer above the wrong one.
        contrast: metric on clean minus on corrupt prompts.
        present: whether the model shows the behaviour.
        parts: what a search on half of the pairs names there; empty where the behaviour is absent.
        recovered, lost: of these, on the other half; None where the behaviour is absent.
        same_recovered, same_lost: of the parts named in the first model; None where the model has
            another shape, or the behaviour is absent.
    """

    name: str
    weight_hash: str
    n: int
    choice: Estimate
    contrast: Estimate
    present: bool
    parts: tuple[str, ...]
    recovered: Estimate | None
    lost: Estimate | None
    same_recovered: Estimate | None
    same_lost: Estimate | None


@dataclass(frozen=True)
class RobustnessEvidence:
    """How far the finding carries beyond the pairs that it was found on.

    What is recovered and lost is, of a circuit, what its edges alone do and what is lost without
    them; of a direction, what adding and erasing it closes.

    Attributes:
        kind: of the mechanism.
        parts: addresses of what the claim names.
        folds: some templates and the others, both ways round.
        draws: other halves of the pairs; none for a stated mechanism.
        new: new pairs from the same source.
        ways: ways of removal.
        models: other models, where given.
        left_out: what could not be asked, and why.
    """

    kind: Kind
    parts: tuple[str, ...]
    folds: tuple[Fold, ...]
    draws: tuple[Draw, ...]
    new: tuple[NewPairs, ...]
    ways: tuple[Way, ...]
    models: tuple[OtherModel, ...]
    left_out: tuple[str, ...]

    @property
    def always(self) -> tuple[str, ...]:
        """Named parts that every draw chooses as well."""
        return tuple(at for at in self.parts if all(at in draw.parts for draw in self.draws))
