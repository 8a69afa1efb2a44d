"""What an investigation measured, stage by stage: closed records of plain numbers and texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from residuum.findings.record.intervals import mean_interval, ratio_interval
from residuum.runs import wilson_interval


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        value: mean over examples.
        low, high: ends of the interval; NaN where there are too few examples.
        n: number of examples.
    """

    value: float
    low: float
    high: float
    n: int

    @staticmethod
    def of_mean(
        values: Sequence[float], seed: int = 0, clusters: Sequence[str] | None = None
    ) -> Estimate:
        """Mean with a bootstrap interval (2,000 resamples), widened where units are few.

        Args:
            values: one for each example.
            seed: of the draws.
            clusters: a label for each example; whole clusters are then drawn, and are the units.
        """
        numbers = [float(value) for value in values]
        low, high = mean_interval(numbers, seed, clusters)
        return Estimate(sum(numbers) / len(numbers), low, high, len(numbers))

    @staticmethod
    def of_share(hits: Sequence[float]) -> Estimate:
        """Share of ones with Wilson's interval."""
        low, high = wilson_interval(int(sum(hits)), len(hits))
        return Estimate(float(sum(hits)) / len(hits), low, high, len(hits))

    @staticmethod
    def of_ratio(
        values: Sequence[float],
        distances: Sequence[float],
        seed: int = 0,
        clusters: Sequence[str] | None = None,
    ) -> Estimate:
        """Mean value over mean distance, pairs drawn together; NaN where the distance is 0.

        Drawing value and distance of a pair together keeps what only makes all of a pair's numbers
        larger out of the interval. With ``clusters``, a label for each pair, whole clusters are
        drawn. There is no interval where the distance itself may be 0.
        """
        n, total = len(values), float(sum(distances))
        if not total:
            return Estimate(math.nan, math.nan, math.nan, n)
        low, high = ratio_interval(values, distances, seed, clusters)
        return Estimate(float(sum(values)) / total, low, high, n)


@dataclass(frozen=True)
class BehaviourEvidence:
    """Does the model do it at all.

    Attributes:
        accuracy, accuracy_corrupt: share of prompts whose most likely next token is an answer.
        choice, choice_corrupt: share of prompts that rank the answer above the wrong answer;
            where a task has no wrong answers, the accuracy again.
        metric_clean, metric_corrupt: the task's metric, larger is more of the behaviour.
        contrast: clean minus corrupt, pair by pair.
        shuffled: ``choice`` with labels handed out at random (pairs of right and wrong answers
            exchanged between prompts, and right with wrong by a coin): mean, and the range that
            holds 95 % of the shuffles.
        shuffles: how many.
    """

    accuracy: Estimate
    accuracy_corrupt: Estimate
    choice: Estimate
    choice_corrupt: Estimate
    metric_clean: Estimate
    metric_corrupt: Estimate
    contrast: Estimate
    shuffled: Estimate
    shuffles: int


@dataclass(frozen=True)
class LensEvidence:
    """What each layer would answer if the model stopped there.

    Attributes:
        layers: row labels, ``embed`` and then a layer each.
        difference: mean over prompts of the answers' minus the wrong answers' lens logits at the
            last position, by layer.
        tokens: the example prompt.
        words: ``[layer][position]`` most likely next token of the example.
        probabilities: ``[layer][position]`` of that token.
        tracked: answer and wrong answer of the example.
        tracked_probs: ``[layer][tracked]`` their probability at the last position.
    """

    layers: tuple[str, ...]
    difference: tuple[Estimate, ...]
    tokens: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]
    tracked: tuple[str, ...]
    tracked_probs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class GridEvidence:
    """A sweep: one patch for each cell, clean value into the corrupt run.

    Attributes:
        site: what was patched.
        rows, cols: labels.
        effects: ``[row][col]`` mean change of the metric towards clean.
        low, high: ``[row][col]`` ends of the 95 % intervals, by template.
        p: ``[row][col]`` joint sign-flip p over all cells (max-T), by template.
        verdict: ``[row][col]`` ``shown``, ``not shown`` or ``undecided``.
        recovered: ``[row][col]`` effect over the distance from corrupt to clean.
        n: pairs.
        floor: smallest p that these pairs can give.
        sure: how many cells are shown, and by what test, in words.
        warnings: what a reader must know before quoting a verdict.
    """

    site: str
    rows: tuple[str, ...]
    cols: tuple[str, ...]
    effects: tuple[tuple[float, ...], ...]
    low: tuple[tuple[float, ...], ...]
    high: tuple[tuple[float, ...], ...]
    p: tuple[tuple[float, ...], ...]
    verdict: tuple[tuple[str, ...], ...]
    recovered: tuple[tuple[float, ...], ...]
    n: int
    floor: float
    sure: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class WhereEvidence:
    """Where the answer can be moved from: the stream, heads, and whole sub-layers.

    Attributes:
        stream: residual stream, layers by positions; None where prompts do not align.
        heads: ``z``, layers by heads, on the measuring half.
        parts: ``attn_out`` and ``mlp_out``, layers by the two.
        chosen: heads chosen on the choosing half, largest first, then MLPs that add to these.
        chosen_recovered: what each recovered alone on the choosing half.
    """

    stream: GridEvidence | None
    heads: GridEvidence
    parts: GridEvidence
    chosen: tuple[str, ...]
    chosen_recovered: tuple[float, ...]

    def cell(self, at: str) -> tuple[int, int, GridEvidence]:
        """Row and column of a head or an MLP, and the sweep that it is a cell of."""
        if at.endswith(".mlp_out"):
            layer = int(at.removeprefix("L").removesuffix(".mlp_out"))
            return layer, self.parts.cols.index("mlp_out"), self.parts
        layer, head = at.removesuffix("]").split(".z[H")
        return int(layer.removeprefix("L")), int(head), self.heads


@dataclass(frozen=True)
class Sample:
    """One pair of the data, as text, with what the model says."""

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    says_clean: str
    says_corrupt: str
    metric_clean: float
    metric_corrupt: float
