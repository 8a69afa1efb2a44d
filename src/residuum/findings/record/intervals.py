"""Intervals of a finding: bootstrap ends, moved out for the few templates that there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from residuum.runs import bootstrap_mean_interval
from residuum.runs.intervals import Interval

RESAMPLES = 2000
TAIL = 0.025
"""Of a 95 % interval; also the share of draws that may have no distance at all."""
_STEPS = 20_000


def mean_interval(values: Sequence[float], seed: int, clusters: Sequence[str] | None) -> Interval:
    """Bootstrap interval of a mean, widened by :func:`widening`; NaN for fewer than two units."""
    ends = bootstrap_mean_interval(values, seed=seed, clusters=clusters)
    units = len(values) if clusters is None else len(set(clusters))
    return widened(sum(values) / len(values), ends, units)


def ratio_interval(
    values: Sequence[float], distances: Sequence[float], seed: int, clusters: Sequence[str] | None
) -> Interval:
    """Bootstrap interval of a ratio of sums, both drawn together, widened by :func:`widening`.

    NaN where there are fewer than two units, and where more than 2.5 % of the draws have no
    distance, or one of the other sign: a ratio over such a distance says nothing.
    """
    parts, wholes = np.asarray(values, dtype=float), np.asarray(distances, dtype=float)
    if clusters is not None:
        _, unit = np.unique(np.asarray(clusters), return_inverse=True)
        parts, wholes = np.bincount(unit, parts), np.bincount(unit, wholes)
    units, total = len(parts), wholes.sum()
    if units < 2:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(0, units, size=(RESAMPLES, units))
    below = wholes[drawn].sum(axis=1)
    fit = below * total > 0
    if not fit.mean() >= 1 - TAIL:
        return math.nan, math.nan
    ratios = parts[drawn].sum(axis=1)[fit] / below[fit]
    low, high = np.quantile(ratios, [TAIL, 1 - TAIL])
    return widened(float(parts.sum() / total), (float(low), float(high)), units)


def widened(value: float, ends: Interval, units: int) -> Interval:
    """Both ends moved away from the value, as few units ask."""
    low, high = ends
    if units < 2:
        return low, high
    factor = widening(units)
    return value - factor * (value - low), value + factor * (high - value)


@lru_cache
def widening(units: int) -> float:
    """By how much a percentile bootstrap interval over so many units is too narrow.

    A resample's variance is ``(n - 1) / n`` of the sample's, and the percentiles are those of a
    normal distribution where Student's with ``n - 1`` degrees of freedom belong.

    Source: T. C. Hesterberg, "What Teachers Should Know About the Bootstrap", The American
    Statistician 69 (2015), section 3.2 (narrowness bias); here the ends are moved, since the
    percentiles of a few units reach no further than the smallest and the largest.

    >>> [round(widening(units), 2) for units in (3, 4, 8, 32)]
    [2.69, 1.87, 1.29, 1.06]
    """
    normal = NormalDist().inv_cdf(1 - TAIL)
    return student(units - 1) / normal * math.sqrt(units / (units - 1))


@lru_cache
def student(freedom: int) -> float:
    """The 97.5 % point of Student's distribution, by the area under it.

    With ``t = sqrt(freedom) tan(angle)`` the density is a power of the cosine.

    >>> [round(student(freedom), 3) for freedom in (1, 3, 31)]
    [12.706, 3.182, 2.04]
    """
    angle = np.linspace(0, math.pi / 2, _STEPS + 1)
    height = np.cos(angle) ** (freedom - 1)
    area = np.concatenate([[0.0], np.cumsum((height[1:] + height[:-1]) / 2)])
    at = np.interp((1 - 2 * TAIL) * area[-1], area, angle)
    return math.sqrt(freedom) * math.tan(float(at))
