"""Does an edit leave other behaviours alone: the same edits on off-target tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import TaskError
from residuum.directions.decodability import folds_of
from residuum.directions.interventions import KINDS, Pairs, answers_edited
from residuum.runs import Model, bootstrap_mean_interval

MOST = 0.25
"""A direction is specific if no off-target task moves by more than this share of the target."""
FLIPPED = 0.9
"""The dose of adding is the smallest at which this share of the target's answers changes side."""
_DOSES = tuple(step / 10 for step in range(1, 11))


@dataclass(frozen=True)
class OffTarget:
    """What the direction's edits do to another task.

    Attributes:
        task: its name.
        kind: the edit with the largest ratio.
        moved_frac: mean absolute change of the metric under that edit, as a share of that task's
            own mean distance between clean and corrupt prompts.
        interval: its 95 % interval, clustered by template; NaN for a single template.
        ratio: the upper end of the interval (the mean, where there is none) over the share by which
            the same edit, at the same dose, moves the direction's own task.
        random_frac: the same as ``moved_frac`` for random directions, their mean.
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


def flipping_dose(
    model: Model, pairs: Pairs, basis: Float[Tensor, "k d"], shift: Float[Tensor, " d"]
) -> float:
    """The smallest share of the vector that makes nine in ten answers change side; 1 if none does.

    The sides are those of the middle between the mean clean and the mean corrupt answer. More than
    this is not needed to change the answer, and the norms of the model turn a larger push against
    every other behaviour.
    """
    shifts = [shift * dose for dose in _DOSES]
    after = answers_edited(model, pairs, "add", [basis] * len(shifts), shifts)
    middle = float(pairs.base.mean())
    flipped = torch.cat([after[:, 0] < middle, after[:, 1] > middle], dim=1).double().mean(dim=1)
    enough = [dose for dose, share in zip(_DOSES, flipped, strict=True) if share >= FLIPPED]
    return enough[0] if enough else 1.0


def moved(
    model: Model,
    pairs: Pairs,
    basis: Float[Tensor, "k d"],
    shift: Float[Tensor, " d"],
    fitted: Pairs | None = None,
) -> dict[str, np.ndarray]:
    """For each edit, the absolute change of the metric per pair, in shares of the task's gap.

    Args:
        fitted: pairs that LEACE's matrix is fitted on, so that every task gets the same.

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
    found = {}
    for kind in KINDS:
        after = answers_edited(model, pairs, kind, [basis], [shift], fitted)[0]
        found[kind] = ((after - pairs.base).abs().mean(dim=0) / scale).numpy()
    return found


def side_effect(
    model: Model,
    pairs: Pairs,
    found: tuple[Tensor, Tensor],
    fitted: Pairs,
    on_target: Mapping[str, float],
    random: Sequence[tuple[Tensor, Tensor]],
    seed: int = 0,
) -> OffTarget:
    """What the edits do to an off-target task: of them, the one with the largest ratio.

    Args:
        pairs: of the off-target task, at the direction's site.
        found: basis ``[k d]`` and the vector ``[d]`` that adding adds, at its dose.
        fitted: pairs of the direction's own task.
        on_target: the shares by which the edits, at this dose, move their own task.
        random: (basis, vector) of random directions, for comparison.
    """
    clusters = folds_of(pairs.task.templates, len(pairs))[1]
    shares = moved(model, pairs, *found, fitted=fitted)
    ratios, intervals = {}, {}
    for kind, each in shares.items():
        interval = bootstrap_mean_interval(each.tolist(), clusters=clusters, seed=seed)
        most = float(each.mean()) if np.isnan(interval[1]) else interval[1]
        intervals[kind] = interval
        ratios[kind] = most / on_target[kind] if on_target[kind] > 0 else float("inf")
    kind = max(ratios, key=lambda each: ratios[each])
    others = [float(moved(model, pairs, *each, fitted=fitted)[kind].mean()) for each in random]
    return OffTarget(
        pairs.task.name,
        kind,
        float(shares[kind].mean()),
        intervals[kind],
        ratios[kind],
        float(np.mean(others)) if others else float("nan"),
    )
