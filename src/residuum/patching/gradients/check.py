"""How far off an approximation is: some of its cells patched exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from residuum.core import SITES, Address, Progress
from residuum.core.progress import track
from residuum.patching.gradients.problem import Problem, axis_in


@dataclass(frozen=True)
class CheckedCell:
    """One cell, predicted and patched.

    Attributes:
        cell: axis -> index, as in the sweep's coordinates.
        predicted, exact: mean effects over the prompts, in the metric's unit, signed like the
            sweep's.
    """

    cell: Mapping[str, int]
    predicted: float
    exact: float

    @property
    def error(self) -> float:
        """Predicted minus exact."""
        return self.predicted - self.exact


@dataclass(frozen=True)
class Approximation:
    """What a sweep was approximated by, and how far off it was where it was checked.

    Shows: the error on the cells that matter most (half of those checked are the largest predicted)
    and on cells drawn at random (the other half). Does not show: the error of any other cell; a
    large effect that was predicted as none is met only by chance. Its mean is of the cells checked,
    not of all: the largest predicted have a larger share in it.

    Attributes:
        method: name of the method, with what it corrects.
        options: its options.
        unit: of effects and errors.
        cells: number of cells of the sweep.
        checked: the cells patched exactly, the largest predicted first.
        drawn: how they were chosen.
    """

    method: str
    options: Mapping[str, Any]
    unit: str
    cells: int
    checked: tuple[CheckedCell, ...]
    drawn: str

    @property
    def mean_error(self) -> float | None:
        """Mean absolute error of the cells checked; None if none was."""
        return float(np.mean(self._errors())) if self.checked else None

    @property
    def largest_error(self) -> float | None:
        """Largest absolute error of the cells checked; None if none was."""
        return float(np.max(self._errors())) if self.checked else None

    @property
    def largest_effect(self) -> float | None:
        """Largest absolute exact effect of the cells checked; None if none was."""
        return max((abs(each.exact) for each in self.checked), default=None)

    @property
    def relative_error(self) -> float | None:
        """Largest error over the largest effect; None if none was checked or all effects are 0."""
        error, effect = self.largest_error, self.largest_effect
        return error / effect if error is not None and effect else None

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's, predicted against exact; None for fewer than two cells, or all alike."""
        return rank_correlation(
            [each.predicted for each in self.checked], [each.exact for each in self.checked]
        )

    def _errors(self) -> np.ndarray:
        return np.abs([each.error for each in self.checked])

    def __str__(self) -> str:
        if not self.checked:
            return f"{self.method}: error not measured"
        share = self.relative_error
        part = "every exact effect is 0"
        if share is not None:
            part = f"{_percent(share)} of the largest effect"
        return (
            f"{self.method}: on {len(self.checked)} of {self.cells} cells checked exactly, mean "
            f"error {self.mean_error:.2g} {self.unit}, largest {self.largest_error:.2g} ({part})"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "method": self.method,
            "options": dict(self.options),
            "unit": self.unit,
            "cells": self.cells,
            "checked": [
                {"cell": dict(each.cell), "predicted": each.predicted, "exact": each.exact}
                for each in self.checked
            ],
            "drawn": self.drawn,
            "mean_error": self.mean_error,
            "largest_error": self.largest_error,
            "largest_effect": self.largest_effect,
            "relative_error": self.relative_error,
            "rank_correlation": self.rank_correlation,
        }


def check_cells(
    problem: Problem, attributions: np.ndarray, how_many: int, seed: int, progress: Progress
) -> tuple[tuple[CheckedCell, ...], str]:
    """Patch some cells exactly, one forward pass each; the cells, and how they were drawn.

    Args:
        attributions: predicted effects ``[...by example]``.
        how_many: cells to check, at most.
        seed: of the random half.
    """
    sign = 1.0 if problem.measure.larger_is_better else -1.0
    grid = problem.grid
    possible = [index for index, _ in grid.cells()]
    predicted = sign * np.array([attributions[index].mean() for index in possible])
    largest, random = draw_cells(predicted, how_many, seed)
    checked = []
    for number in track([*largest, *random], progress, "checking", len(largest) + len(random)):
        at = zip(grid.by, grid.coords, possible[number], strict=True)
        cell = {axis: indices[i] for axis, indices, i in at}
        effect = (exact_metric(problem, cell) - problem.base.metric).mean()
        checked.append(CheckedCell(cell, float(predicted[number]), float(sign * effect)))
    drawn = f"the {len(largest)} largest predicted, {len(random)} others at random, seed {seed}"
    return tuple(checked), drawn if checked else "none"


def draw_cells(predicted: np.ndarray, how_many: int, seed: int) -> tuple[list[int], list[int]]:
    """Cells to check: half with the largest absolute predictions, half at random of the rest.

    >>> draw_cells(np.array([0.0, -3.0, 1.0, 2.0]), 2, seed=0)[0]
    [1]
    >>> sum(map(len, draw_cells(np.zeros(3), 24, seed=0)))
    3
    """
    how_many = min(how_many, len(predicted))
    order = np.argsort(-np.abs(predicted), kind="stable")
    half = (how_many + 1) // 2
    rest = np.random.default_rng(seed).choice(order[half:], how_many - half, replace=False)
    return [int(i) for i in order[:half]], [int(i) for i in rest]


def exact_metric(problem: Problem, cell: Mapping[str, int]) -> np.ndarray:
    """The metric with one cell truly patched, by a whole forward pass, ``[example]``."""
    at = Address(problem.grid.site, cell["layer"])
    mixed = mixed_cell(problem.base.values[at], problem.given.values[at], at, cell)
    return problem.run(problem.target, [], {at: mixed}).metric


def mixed_cell(base: Tensor, given: Tensor, at: Address, cell: Mapping[str, int]) -> Tensor:
    """A whole site with the donor's values in one cell and the base run's elsewhere."""
    dims = SITES[at.name].dims
    where: list[Any] = [slice(None)] * len(dims)
    for axis, index in cell.items():
        if axis != "layer":
            where[axis_in(dims, axis)] = index
    mixed = base.clone()
    mixed[tuple(where)] = given[tuple(where)]
    return mixed


def rank_correlation(one: list[float], other: list[float]) -> float | None:
    """Spearman's rank correlation, ties sharing their mean rank; None where it is not defined.

    >>> rank_correlation([1.0, 2.0, 3.0], [10.0, 30.0, 20.0])
    0.5
    """
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return round(float(np.corrcoef(_ranks(one), _ranks(other))[0, 1]), 12)


def _ranks(values: list[float]) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return ((ends - counts + ends - 1) / 2)[places]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 1 else f"{100 * share:.0f} %"
