"""How sure: intervals for a share and for a mean, from the examples of one task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from residuum.core import OptionError
from residuum.runs.clusters import cluster_numbers, cluster_sums

Interval = tuple[float, float]
"""Lower and upper end."""

_AT_ONCE = 1_000_000


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share.

    Args:
        successes: how many of ``n`` succeeded.
        n: how many were tried, independently.
        level: confidence, between 0 and 1.

    Returns:
        Lower and upper end within [0, 1]; ``(nan, nan)`` for ``n = 0``.

    Raises:
        OptionError: a level outside (0, 1), or more successes than trials.

    Shows: which true shares the count does not contradict. Does not show: anything about prompts
    unlike those tried; examples from one template are not independent.
    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927), without continuity correction.

    >>> [round(end, 4) for end in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    _check_level(level)
    if not 0 <= successes <= n:
        raise OptionError(
            f"{successes} successes of {n}", mend="successes lie between 0 and n", where="wilson"
        )
    if n == 0:
        return (math.nan, math.nan)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return (low, high)


def bootstrap_mean_interval(
    values: Sequence[float],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    clusters: Sequence[str] | None = None,
) -> Interval:
    """Percentile bootstrap interval for the mean.

    Args:
        values: one number per example.
        level: confidence, between 0 and 1.
        resamples: how many samples are drawn with replacement.
        seed: the same seed gives the same interval.
        clusters: a label per example; whole clusters are then drawn instead of examples.

    Returns:
        Lower and upper end in the values' unit; ``(nan, nan)`` for fewer than two examples (or
        clusters), where resampling says nothing, and where a value is NaN.

    Raises:
        OptionError: a level outside (0, 1), no resamples, or labels of another number.

    Shows: how far the mean moves when the examples are drawn again from the same source. Does
    not show: bias, or what other templates would give; below about 20 examples it is too narrow.
    Source: B. Efron, Ann. Stat. 7 (1979), percentile method.
    """
    low, high = bootstrap_mean_intervals(
        np.asarray(values, dtype=np.float64), level, resamples, seed, clusters
    )
    return (float(low), float(high))


def bootstrap_mean_intervals(
    values: np.ndarray | Sequence[Any],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    clusters: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap intervals for the mean of every cell of a grid.

    The same draws serve every cell, and each cell's interval is that of
    :func:`bootstrap_mean_interval` with the same seed.

    Args:
        values: ``[... example]``, one number for each cell and example.
        level: confidence, between 0 and 1, of each interval by itself.
        resamples: how many samples are drawn with replacement.
        seed: the same seed gives the same intervals.
        clusters: a label per example; whole clusters are then drawn instead of examples.

    Returns:
        Lower and upper ends ``[...]`` in the values' unit; NaN in cells that hold a NaN or an
        infinite value, and everywhere for fewer than two examples (or clusters).

    Raises:
        OptionError: a level outside (0, 1), no resamples, or labels of another number.

    Shows: how far each mean moves when the examples are drawn again from the same source. Does not
    show: bias, other templates, or joint confidence: of 100 intervals some 5 miss.
    Source: B. Efron, Ann. Stat. 7 (1979), percentile method.

    >>> low, high = bootstrap_mean_intervals([[0.0, 1.0], [2.0, 2.0]])
    >>> low.tolist(), high.tolist()
    ([0.0, 2.0], [1.0, 2.0])
    """
    _check_level(level)
    table = np.asarray(values, dtype=np.float64)
    examples = table.shape[-1] if table.ndim else 0
    if resamples < 1 or (clusters is not None and len(clusters) != examples):
        raise OptionError(
            f"{resamples} resamples of {examples} values with "
            f"{'no' if clusters is None else len(clusters)} labels",
            mend="give at least one resample, and one label per value",
            where="bootstrap",
        )
    shape = table.shape[:-1]
    cells = table.reshape(math.prod(shape), examples)
    ends = np.full((2, len(cells)), math.nan)
    numbers = cluster_numbers(clusters, examples)
    units = int(numbers.max()) + 1 if examples else 0
    finite = np.isfinite(cells).all(axis=1)
    if units >= 2 and finite.any():
        quantiles = [(1 - level) / 2, (1 + level) / 2]
        weights = _weights(numbers, units, resamples, seed)
        ends[:, finite] = _ends(cells[finite], numbers, weights, quantiles)
    return ends[0].reshape(shape), ends[1].reshape(shape)


def _weights(numbers: np.ndarray, units: int, resamples: int, seed: int) -> np.ndarray:
    """How much each unit's sum counts in each resample's mean, ``[resample unit]``."""
    drawn = np.random.default_rng(seed).integers(0, units, size=(resamples, units))
    flat = (drawn + units * np.arange(resamples)[:, None]).ravel()
    times = np.bincount(flat, minlength=units * resamples).reshape(resamples, units)
    counts = np.bincount(numbers, minlength=units)
    return times / (times @ counts)[:, None]


def _ends(
    cells: np.ndarray, numbers: np.ndarray, weights: np.ndarray, quantiles: list[float]
) -> np.ndarray:
    """Quantiles of the resampled means, ``[2 cell]``; a part of the cells at a time."""
    centres = cells.mean(axis=1)  # taken off, so that equal values give their own value exactly
    sums = cluster_sums(cells - centres[:, None], numbers)
    step = max(1, _AT_ONCE // len(weights))
    parts = [
        np.quantile(sums[start : start + step] @ weights.T, quantiles, axis=1)
        for start in range(0, len(sums), step)
    ]
    return np.concatenate(parts, axis=1) + centres


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise OptionError(f"level={level}", mend="give a level between 0 and 1, such as 0.95")
