"""Heads taken out of the clean run by the patching room's own verb, as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from residuum.core import SILENT, Progress, TaskError
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.replacement import share_of
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.part_evidence import MEAN, RESAMPLE, SWAP, ZERO, RemovalEvidence
from residuum.patching import (
    Knockout,
    MeanAblation,
    ResampleAblation,
    SwapAblation,
    ZeroAblation,
    knock_out,
)
from residuum.patching.ablations import same_answers

MOST_SAME = 0.25
"""Share of donors with the prompt's own answer, at most: their values take nothing out."""


def ways(seed: int) -> dict[str, Any]:
    """Name -> ablation, in the order in which they are reported."""
    return {
        SWAP: SwapAblation(),
        RESAMPLE: ResampleAblation(seed=seed, other_answer=True),
        MEAN: MeanAblation(),
        ZERO: ZeroAblation(),
    }


def need_other_donors(bench: Bench) -> None:
    """That prompts resampled from any other prompt mostly take the value of another answer.

    Raises:
        TaskError: more than a quarter of the donors have the prompt's own answer.
    """
    donors = ResampleAblation(seed=bench.seed).donors(bench.model, bench.task)
    n = len(bench.task)
    same = int(same_answers(bench.task, bench.task)[torch.arange(n), donors].sum())
    if same > MOST_SAME * n:
        raise TaskError(
            f"{same} of {n} donors have the same answer", mend="take pairs with several answers"
        )


def knocked_out(
    bench: Bench, heads: Sequence[str], random_sets: int, progress: Progress = SILENT
) -> tuple[dict[str, Knockout], tuple[str, ...]]:
    """The heads removed in every way that the pairs allow, and what they do not allow."""
    found, left_out = {}, []
    for name, how in ways(bench.seed).items():
        try:
            found[name] = removed(bench, heads, how, random_sets, progress)
        except TaskError as error:
            if name in (SWAP, ZERO):
                raise
            left_out.append(f"{name}: {error.what}")
    return found, tuple(left_out)


def removed(
    bench: Bench,
    heads: Sequence[str],
    how: Any,
    random_sets: int,
    progress: Progress = SILENT,
    *,
    backwards: bool = False,
) -> Knockout:
    """The heads removed one by one and together, and random sets.

    Args:
        backwards: clean and corrupt exchanged: with :class:`SwapAblation` the heads' clean values
            are put into the corrupt run.
    """
    task = bench.task.swap(answers=False) if backwards else bench.task
    return knock_out(
        bench.model, task, list(heads), how=how, controls=random_sets, seed=bench.seed,
        progress=progress,
    )  # fmt: skip


def removal(name: str, out: Knockout, bench: Bench) -> RemovalEvidence:
    """A knockout as a record of costs: positive where the answer loses."""

    def cost(effects: Any) -> Estimate:
        return Estimate.of_mean((-effects).tolist(), clusters=bench.clusters)

    return RemovalEvidence(
        how=name,
        parts=out.cells,
        alone=tuple(cost(each) for each in out.singles),
        together=tuple(cost(each) for each in out.joint),
        summed=-out.summed,
        backup=cost(out.joint[-1] - out.singles.sum(axis=0)),
        random=tuple((-out.random_joint.mean(axis=1)).tolist()),
        layers_matched=out.layers_matched,
        lost=share_of(bench, -out.joint[-1]),
    )
