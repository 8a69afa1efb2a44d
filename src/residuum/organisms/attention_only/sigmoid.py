"""Where a curve changes: the midpoint of a fitted sigmoid, and an interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from residuum.core import OptionError, ShapeError

_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""97.5 % points of Student's t for 1 to 10 degrees of freedom."""


@dataclass(frozen=True)
class Sigmoid:
    """``low + (high − low) / (1 + exp(−(step − midpoint) / width))``, fitted to a curve.

    Attributes:
        midpoint: step where half of the change is done.
        width: steps; from 10 to 90 % of the change takes 4.4 widths.
        low, high: before and after.
        unexplained: share of the curve's variance that the sigmoid leaves, 0 to 1.
        resolved: whether the curve shows a change with a before and an after: the midpoint lies at
            least two widths behind the first step and one before the last. A gradual rise from the
            first step on has a best sigmoid too, but no midpoint that means anything.
    """

    midpoint: float
    width: float
    low: float
    high: float
    unexplained: float
    resolved: bool

    def at(self, steps: np.ndarray) -> np.ndarray:
        """The fitted curve at these steps."""
        return self.low + (self.high - self.low) * _rise(steps, self.midpoint, self.width)


def fit_sigmoid(steps: Sequence[float], values: Sequence[float]) -> Sigmoid:
    """Fit a sigmoid by least squares: a grid over midpoint and width, then finer grids.

    For each midpoint and width the best ends are linear least squares, so that no start has to be
    guessed and the best of the whole grid is found.

    Args:
        steps: ascending.
        values: one for each step.

    Returns:
        The best fit. No width is below an eighth of the spacing: within that, the checkpoints say
        nothing about the shape.

    Raises:
        ShapeError: fewer than five points, or of another number than steps.
        OptionError: a constant or non-finite curve, which has no midpoint.

    >>> steps = np.arange(0, 1000, 50)
    >>> fit = fit_sigmoid(steps, 0.1 + 0.8 / (1 + np.exp(-(steps - 420) / 30)))
    >>> round(fit.midpoint, 1), round(fit.width, 1)
    (420.0, 30.0)
    """
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 5:
        raise ShapeError(
            f"{y.shape} values at {x.shape} steps", mend="give at least five values, one a step"
        )
    if not np.isfinite(y).all() or np.ptp(y) == 0:
        raise OptionError("the curve is constant or not finite", mend="train for longer")
    spacing = float(np.diff(x).min())
    middles = (x[0], x[-1])
    widths = (math.log(spacing / 8), math.log(np.ptp(x) / 4))
    best = (math.inf, x[0], spacing, 0.0, 0.0)
    for _ in range(8):
        best = _best(x, y, np.linspace(*middles, 121), np.exp(np.linspace(*widths, 41)))
        half, ratio = 3 * (middles[1] - middles[0]) / 120, 3 * (widths[1] - widths[0]) / 40
        middles = (max(x[0], best[1] - half), min(x[-1], best[1] + half))
        widths = (max(math.log(spacing / 8), math.log(best[2]) - ratio), math.log(best[2]) + ratio)
    left, middle, width, low, high = best
    resolved = x[0] + 2 * width <= middle <= x[-1] - width
    unexplained = left / float(np.square(y - y.mean()).sum())
    return Sigmoid(middle, width, low, high, unexplained, bool(resolved))


def half_reached(steps: Sequence[float], values: Sequence[float], last: int = 5) -> float:
    """Where a curve first crosses half of its way, from its first value to the mean of its last.

    A plain description that needs no model of the curve, for gradual rises too.

    Args:
        steps: ascending.
        values: one for each step.
        last: how many values make the end.

    Returns:
        The step, between two checkpoints by a straight line.

    >>> half_reached([0, 10, 20, 30], [0.0, 0.0, 1.0, 1.0], last=2)
    15.0
    """
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    share = (y - y[0]) / (y[-last:].mean() - y[0])
    after = int(np.argmax(share >= 0.5))
    part = (0.5 - share[after - 1]) / (share[after] - share[after - 1])
    return float(x[after - 1] + part * (x[after] - x[after - 1]))


def _rise(x: np.ndarray, middle: float | np.ndarray, width: float | np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh((x - middle) / (2 * width)))


def _best(
    x: np.ndarray, y: np.ndarray, middles: np.ndarray, widths: np.ndarray
) -> tuple[float, float, float, float, float]:
    """Squared error, midpoint, width and both ends of the best cell of a grid."""
    shape = _rise(x, middles[:, None, None], widths[None, :, None])
    mean, centre = shape.mean(-1, keepdims=True), y - y.mean()
    spread = np.square(shape - mean).sum(-1)
    slope = ((shape - mean) * centre).sum(-1) / np.maximum(spread, 1e-12)
    left = np.square(centre).sum() - slope * slope * spread
    left = np.where(spread > 1e-9, left, np.inf)
    i, j = np.unravel_index(int(left.argmin()), left.shape)
    low = y.mean() - slope[i, j] * mean[i, j, 0]
    error = max(float(left[i, j]), 0.0)
    return error, float(middles[i]), float(widths[j]), float(low), float(low + slope[i, j])


@dataclass(frozen=True)
class SeedInterval:
    """Mean over seeds with Student's 95 % interval.

    Attributes:
        mean: over the seeds.
        low, high: ends of the interval; NaN for one seed.
        n: number of seeds.
    """

    mean: float
    low: float
    high: float
    n: int


def seed_interval(values: Sequence[float]) -> SeedInterval:
    """Student's 95 % interval for the mean over seeds.

    A change point is no smooth function of the curve's points, so that resampling these points (an
    ordinary bootstrap) is inconsistent; here each seed gives one midpoint, and the seeds, which are
    independent, are the sample.

    Args:
        values: one number a seed; 11 seeds at most.

    >>> seed_interval([1.0, 2.0, 3.0])
    SeedInterval(mean=2.0, low=-0.48..., high=4.48..., n=3)
    """
    table = np.asarray(values, dtype=np.float64)
    n = len(table)
    if not 1 <= n <= len(_T_975) + 1:
        raise ShapeError(f"{n} seeds", mend=f"give 1 to {len(_T_975) + 1} values, one a seed")
    mean = float(table.mean())
    if n == 1:
        return SeedInterval(mean, math.nan, math.nan, 1)
    half = _T_975[n - 2] * float(table.std(ddof=1)) / math.sqrt(n)
    return SeedInterval(mean, mean - half, mean + half, n)
