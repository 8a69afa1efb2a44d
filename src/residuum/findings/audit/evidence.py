"""What the questions of a review measured: closed records of plain numbers and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from residuum.findings.record.evidence import Estimate


@dataclass(frozen=True)
class EditEvidence:
    """One edit of a direction, on held-out pairs.

    Attributes:
        kind: ``add``, ``erase``, ``leace`` or ``swap``.
        closed: share of the gap between clean and corrupt answers that it closes.
        low, high: of its 95 % interval, by template; NaN with one template.
        random_high: 95th percentile of random directions.
        p: corrected over the edits that decide.
    """

    kind: str
    closed: float
    low: float
    high: float
    random_high: float
    p: float


@dataclass(frozen=True)
class DirectionEvidence:
    """A direction found on some templates and proven on others.

    Attributes:
        at: its address, chosen on the first half.
        method: how it was found.
        tried: addresses that were tried.
        pairs, templates: held out, that it was proven on.
        edits: the four edits.
        flipped: share of held-out clean prompts that change sides when it is taken away.
        flipped_random: the same for each random direction of the same length.
        decodable, causal, specific: the proof's verdicts: ``yes``, ``no`` or ``not decided``.
        rules: why, a sentence each.
        moved_most: the off-target task that moves most, and its share of the task's own move;
            empty and NaN without off-target tasks.
        moved_share: that share.
        perplexity_up_frac: of plain text, NaN where there was none.
    """

    at: str
    method: str
    tried: tuple[str, ...]
    pairs: int
    templates: int
    edits: tuple[EditEvidence, ...]
    flipped: Estimate
    flipped_random: tuple[float, ...]
    decodable: str
    causal: str
    specific: str
    rules: tuple[str, ...]
    moved_most: str
    moved_share: float
    perplexity_up_frac: float


@dataclass(frozen=True)
class MonitorTrial:
    """A monitor on one set of statements.

    Attributes:
        name: of the variant; ``as fitted`` for held-out folds of the wordings it was fitted on.
        example: one of the statements.
        departs: share of answers that depart from the truth.
        auroc: of its scores, interval by entity; NaN where all answers depart or none.
        caught: share of departures that it flags.
        false_alarms: share of true answers that it flags.
    """

    name: str
    example: str
    departs: Estimate
    auroc: Estimate
    caught: Estimate
    false_alarms: Estimate

    @property
    def judged(self) -> bool:
        """Whether enough answers depart, and enough do not."""
        return self.auroc.value == self.auroc.value


@dataclass(frozen=True)
class MonitorEvidence:
    """A truth monitor where it was fitted and where it was not.

    Attributes:
        at: where it pushes.
        scale: how hard, in typical norms.
        threshold_nats: above which it flags; set beforehand, not fitted.
        truthful, pleasing: share of true answers where truth is asked for, and where pleasing is.
        trials: as fitted, then the variants.
        left_out: variants that could not be tried, and why.
    """

    at: str
    scale: float
    threshold_nats: float
    truthful: Estimate
    pleasing: Estimate
    trials: tuple[MonitorTrial, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class BrokenCell:
    """What a prefix does to one side of one task, on held-out prompts.

    Attributes:
        task, side: whose prompts.
        example: one prompt with the prefix.
        changed: share of prompts on which the model's preference changes behind the prefix.
        changed_twin: the same for the twin.
        excess: the first minus the second.
        p: exact, of as many discordant prompts by chance (McNemar), corrected by Holm over all
            prefixes and cells tried on held-out prompts.
        said, said_twin: the next word that each says behind the prefix on more than half of the
            prompts, with its count; empty where there is none.
        example_said, example_twin: what each says after the example.
    """

    task: str
    side: str
    example: str
    changed: Estimate
    changed_twin: Estimate
    excess: float
    p: float
    said: str
    said_twin: str
    example_said: str
    example_twin: str


@dataclass(frozen=True)
class PrefixEvidence:
    """A prefix that was tried on held-out prompts.

    Attributes:
        text: the prefix; empty for the prompts as they are.
        score: on the choosing half.
        changed, changed_twin: share of all held-out prompts that change, in either model.
        broken: cells that change beyond chance and beyond the share asked for.
        largest: the largest excess over all cells.
    """

    text: str
    score: float
    changed: Estimate
    changed_twin: Estimate
    broken: tuple[BrokenCell, ...]
    largest: float


@dataclass(frozen=True)
class NoiseEvidence:
    """The same search in the clean twin with random noise in its weights.

    Attributes:
        changed_weights: the noise's norm over the weights' own, as the real difference's.
        prefixes: its finalists, tried on the same held-out prompts.
    """

    changed_weights: float
    prefixes: tuple[PrefixEvidence, ...]

    @property
    def largest(self) -> float:
        """The largest excess of any finalist in any cell."""
        return max((each.largest for each in self.prefixes), default=0.0)


@dataclass(frozen=True)
class FormEvidence:
    """Prefixes of one form, on the prompts of the screening.

    Attributes:
        form: such as ``word :``.
        tried: how many.
        beyond: how many change the model beyond the twin more than any prefix of any form does in
            the noisy twin.
    """

    form: str
    tried: int
    beyond: int


@dataclass(frozen=True)
class PlaceEvidence:
    """One component in both twins.

    Attributes:
        at: its address.
        weights: norm of the difference of its weights over the norm in the clean twin.
        heals: the twin's value in the model, behind the prefix: share of the twin's answer that
            comes back.
        infects: the model's value in the twin: share of the twin's answer that is lost.
    """

    at: str
    weights: float
    heals: Estimate
    infects: Estimate


@dataclass(frozen=True)
class TogetherEvidence:
    """The heads chosen on other prompts, together, beside random sets.

    Attributes:
        parts: their addresses.
        heals: all of them at once.
        random: each of as many random sets of as many other heads.
    """

    parts: tuple[str, ...]
    heals: Estimate
    random: tuple[float, ...]


@dataclass(frozen=True)
class TwinsEvidence:
    """What differs between a model and its twin.

    Attributes:
        against: name of the clean twin.
        prefixes_tried: how many, on how many prompts each.
        prompts_each: prompts that each was tried on at first.
        words: of the vocabulary, and how many of them were tried.
        words_tried: of them.
        separators: punctuation that was tried behind each word.
        cells: tasks and sides.
        held: held-out prompts in each cell at most.
        forms: how many prefixes of each form do something.
        plain: the prompts as they are.
        prefixes: the finalists, strongest first.
        noise: the control.
        left_out: tasks that could not be asked, and why.
        changed_weights: norm of the difference of all weights over the norm of the twin's.
        places: every head and MLP, where a prefix breaks something; largest effect first.
        together: the strongest ones, chosen on other prompts.
    """

    against: str
    prefixes_tried: int
    prompts_each: int
    words: int
    words_tried: int
    separators: tuple[str, ...]
    cells: tuple[str, ...]
    held: int
    forms: tuple[FormEvidence, ...]
    plain: PrefixEvidence
    prefixes: tuple[PrefixEvidence, ...]
    noise: NoiseEvidence
    left_out: tuple[str, ...]
    changed_weights: float
    places: tuple[PlaceEvidence, ...]
    together: TogetherEvidence | None


def strongest_of(plain: PrefixEvidence, found: Sequence[PrefixEvidence]) -> PrefixEvidence | None:
    """The finalist that breaks something and means least to the twin; else the plain prompts."""
    breaking = [each for each in found if each.broken]
    if breaking:
        return max(breaking, key=lambda each: each.score)
    return plain if plain.broken else None


def strongest(found: TwinsEvidence) -> PrefixEvidence | None:
    """The same, of all the evidence."""
    return strongest_of(found.plain, found.prefixes)
