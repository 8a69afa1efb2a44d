"""How sure: intervals for a share and for a mean, from the examples of one task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from residuum.core import OptionError

Interval = tuple[float, float]
"""Lower and upper end."""


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
    _check_level(level)
    if resamples < 1 or (clusters is not None and len(clusters) != len(values)):
        raise OptionError(
            f"{resamples} resamples of {len(values)} values with "
            f"{'no' if clusters is None else len(clusters)} labels",
            mend="give at least one resample, and one label per value",
            where="bootstrap",
        )
    numbers = np.asarray(values, dtype=np.float64)
    labels = np.arange(len(numbers)) if clusters is None else _codes(clusters)
    n_units = int(labels.max()) + 1 if len(labels) else 0
    if n_units < 2 or np.isnan(numbers).any():
        return (math.nan, math.nan)
    sums = np.bincount(labels, weights=numbers, minlength=n_units)
    counts = np.bincount(labels, minlength=n_units)
    drawn = np.random.default_rng(seed).integers(0, n_units, size=(resamples, n_units))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high))


def _codes(clusters: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(clusters, dtype=object), return_inverse=True)[1]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise OptionError(f"level={level}", mend="give a level between 0 and 1, such as 0.95")
