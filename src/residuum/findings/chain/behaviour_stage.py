"""Stage 1: does the model show the behaviour, and would random labels look the same?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from residuum.core import SILENT, Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.record.evidence import BehaviourEvidence, Estimate
from residuum.runs.metrics import accuracy, logit_diff


def behaviour(bench: Bench, shuffles: int, progress: Progress = SILENT) -> BehaviourEvidence:
    """Measure both sides, and the clean side again under labels handed out at random.

    Args:
        bench: model and pairs.
        shuffles: how many random labellings.
        progress: told of the two passes and of the shuffles.

    Shows: that the answer follows what the pairs differ in. Does not show: how.
    """
    progress.start("behaviour", 3)
    clean, corrupt = bench.logits("clean"), bench.logits("corrupt")
    progress.advance(2)
    on_clean, on_corrupt = bench.measure(clean), bench.measure(corrupt)
    random = shuffled_choice(bench, clean, shuffles)
    progress.advance()
    progress.finish()
    answers, wrong = bench.task.answers, bench.task.wrong
    return BehaviourEvidence(
        accuracy=Estimate.of_share(_list(accuracy(clean, answers))),
        accuracy_corrupt=Estimate.of_share(_list(accuracy(corrupt, answers))),
        choice=Estimate.of_share(choices(bench, clean, answers, wrong)),
        choice_corrupt=Estimate.of_share(choices(bench, corrupt, answers, wrong)),
        metric_clean=mean_over(bench, on_clean),
        metric_corrupt=mean_over(bench, on_corrupt),
        contrast=mean_over(bench, on_clean - on_corrupt),
        shuffled=random,
        shuffles=shuffles,
    )


def mean_over(bench: Bench, values: np.ndarray) -> Estimate:
    """The mean of ``[example]``, with an interval that holds both that of drawing pairs and that
    of drawing templates: a behaviour that one template turns round is not told from nothing."""
    pairs = Estimate.of_mean(values.tolist())
    drawn = Estimate.of_mean(values.tolist(), clusters=bench.clusters)
    return replace(pairs, low=min(pairs.low, drawn.low), high=max(pairs.high, drawn.high))


def shuffled_choice(bench: Bench, logits: Tensor, shuffles: int) -> Estimate:
    """How often a random label is preferred: mean over shuffles, and their middle 95 %."""
    rng = np.random.default_rng(bench.seed)
    n = len(bench.task)
    answers, wrong = bench.task.answers, bench.task.wrong
    shares = []
    for _ in range(shuffles):
        order = torch.as_tensor(rng.permutation(n))
        coin = torch.as_tensor(rng.integers(0, 2, n)).bool()
        right, other = relabelled(answers, wrong, order, coin if bench.has_wrong else None)
        shares.append(float(np.mean(choices(bench, logits, right, other))))
    low, high = np.quantile(shares, [0.025, 0.975])
    return Estimate(float(np.mean(shares)), float(low), float(high), n)


def relabelled(
    answers: Tensor, wrong: Tensor, order: Tensor, coin: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Labels of other prompts, right and wrong exchanged where the coin says so."""
    if coin is None:
        return answers[order], wrong
    width = max(answers.shape[1], wrong.shape[1])
    right, other = _widened(answers, width)[order], _widened(wrong, width)[order]
    swap = coin[:, None]
    return torch.where(swap, other, right), torch.where(swap, right, other)


def _widened(ids: Tensor, width: int) -> Tensor:
    out = torch.full((ids.shape[0], width), -1, dtype=ids.dtype)
    out[:, : ids.shape[1]] = ids
    return out


def choices(bench: Bench, logits: Tensor, answers: Tensor, wrong: Tensor) -> list[float]:
    """1 where the answer is preferred to the wrong one (or, without those, to every token)."""
    if not bench.has_wrong:
        return _list(accuracy(logits, answers))
    return [float(each > 0) for each in logit_diff(logits, answers, wrong)]


def _list(values: Tensor) -> list[float]:
    return [float(each) for each in values]
