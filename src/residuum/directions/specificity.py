"""Does an edit leave other behaviours alone: the same edits on off-target tasks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from residuum.core import Address, TaskError
from residuum.directions.decodability import folds_of
from residuum.directions.interventions import KINDS, Pairs, answers_after, edited, read_pairs
from residuum.runs import Model, Task, bootstrap_mean_interval

MOST = 0.25
"""A direction is specific if no off-target task moves by more than this share of the target."""


@dataclass(frozen=True)
class OffTarget:
    """What the direction's edits do to another task.

    Attributes:
        task: its name.
        kind: the edit that moves it most.
        moved_frac: mean absolute change of the metric under that edit, as a share of that task's
            own mean distance between clean and corrupt prompts.
        interval: its 95 % interval, clustered by template; NaN for a single template.
        ratio: the upper end of the interval (the mean, where there is none) over the on-target
            share.
        random_frac: the same for random directions, their mean.
    """

    task: str
    kind: str
    moved_frac: float
    interval: tuple[float, float]
    ratio: float
    random_frac: float

    @property
    def spared(self) -> bool:
        """Whether the task moves little against the target."""
        return self.ratio <= MOST


def moved(
    model: Model, pairs: Pairs, basis: Float[Tensor, "k d"], shift: Float[Tensor, " d"]
) -> dict[str, np.ndarray]:
    """For each edit, the absolute change of the metric per pair, in shares of the task's gap.

    Raises:
        TaskError: clean and corrupt prompts are answered alike.
    """
    scale = float((pairs.base[0] - pairs.base[1]).abs().mean())
    if scale == 0:
        raise TaskError(
            "the model answers clean and corrupt prompts alike",
            mend="leave this task out, or check it with task.evaluate(model)",
            where=pairs.task.name,
        )
    after = answers_after(model, pairs, [edited(pairs, kind, basis, shift) for kind in KINDS])
    shares = (after - pairs.base).abs().mean(dim=1) / scale
    return {kind: shares[row].numpy() for row, kind in enumerate(KINDS)}


def side_effect(
    model: Model,
    at: Address,
    task: Task,
    basis: Float[Tensor, "k d"],
    shift: Float[Tensor, " d"],
    on_target: float,
    random: list[tuple[Tensor, Tensor]],
    seed: int = 0,
) -> OffTarget:
    """The largest of the three edits' effects on an off-target task.

    Args:
        on_target: the largest share by which the three edits move their own task.
        random: (basis, shift) of random directions, for comparison.
    """
    pairs = read_pairs(model, at, task)
    shares = moved(model, pairs, basis, shift)
    kind = max(shares, key=lambda each: float(shares[each].mean()))
    mean = float(shares[kind].mean())
    clusters = folds_of(task.templates, len(task))[1]
    interval = bootstrap_mean_interval(shares[kind].tolist(), clusters=clusters, seed=seed)
    most = mean if np.isnan(interval[1]) else interval[1]
    others = [moved(model, pairs, *each)[kind].mean() for each in random]
    ratio = most / on_target if on_target > 0 else float("inf")
    return OffTarget(
        task.name, kind, mean, interval, ratio, float(np.mean(others)) if others else float("nan")
    )


def largest_share(
    model: Model, pairs: Pairs, basis: Float[Tensor, "k d"], shift: Float[Tensor, " d"]
) -> float:
    """The largest mean share by which the three edits move the direction's own task."""
    return max(float(each.mean()) for each in moved(model, pairs, basis, shift).values())
