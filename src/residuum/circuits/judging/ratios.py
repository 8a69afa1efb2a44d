"""Shares with intervals: ratios of means and means of ratios, by bootstrap over examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from residuum.runs.clusters import cluster_numbers

LEVEL = 0.95
RESAMPLES = 2000
SMALLEST = 0.01
"""Examples whose own denominator is smaller than this share of the mean one have no ratio."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % bootstrap interval.

    Attributes:
        value: of the examples at hand.
        low, high: ends of the interval; NaN for fewer than two examples (or templates). It holds
            the value: a distance, which chance makes larger in nearly every draw than it is, gets
            an interval that reaches down to it.
        examples: how many went in.
    """

    value: float
    low: float
    high: float
    examples: int

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.value:.3g}"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Draws:
    """Examples drawn again, the same draws for every figure.

    Attributes:
        clusters: a label for each example; whole clusters are drawn where there are several.
        seed: of the draws.
    """

    clusters: tuple[str, ...]
    seed: int
    resamples: int = RESAMPLES

    @property
    def by(self) -> str:
        """What is drawn."""
        return "template" if len(set(self.clusters)) > 1 else "example"

    @cached_property
    def weights(self) -> np.ndarray:
        """How often each example is drawn, ``[resample example]``; empty where nothing can be."""
        n = len(self.clusters)
        numbers = cluster_numbers(self.clusters if self.by == "template" else None, n)
        units = int(numbers.max()) + 1
        if units < 2:
            return np.zeros((0, n))
        drawn = np.random.default_rng(self.seed).integers(0, units, (self.resamples, units))
        flat = (drawn + units * np.arange(self.resamples)[:, None]).ravel()
        times = np.bincount(flat, minlength=units * self.resamples)
        return times.reshape(self.resamples, units)[:, numbers].astype(np.float64)

    def mean(self, values: np.ndarray) -> Estimate:
        """The mean of ``[example]``."""
        return self.ratio(values, np.ones(len(values)))

    def ratio(self, above: np.ndarray, below: np.ndarray) -> Estimate:
        """The ratio of means of ``[example]``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = (self.weights @ above) / (self.weights @ below)
            value = above.mean() / below.mean()
        return estimate(value, drawn, len(above))

    def ratios(self, above: np.ndarray, below: np.ndarray) -> np.ndarray:
        """Ratios of means of each draw, ``[... resample]`` of ``[... example]``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return (above @ self.weights.T) / (below @ self.weights.T)

    def mean_of_ratios(self, above: np.ndarray, below: np.ndarray) -> Estimate:
        """The mean of each example's own ratio; examples without a denominator are left out."""
        fit = with_ratio(below)
        if not fit.any():
            return Estimate(np.nan, np.nan, np.nan, 0)
        each = above[fit] / below[fit]
        weights = self.weights[:, fit]
        drawn = weights.sum(axis=1)
        means = (weights @ each)[drawn > 0] / drawn[drawn > 0]
        return estimate(each.mean(), means, int(fit.sum()))


def with_ratio(below: np.ndarray) -> np.ndarray:
    """Which examples have a denominator that is large enough, bool ``[example]``."""
    return np.abs(below) >= SMALLEST * abs(below.mean())


def estimate(value: float, drawn: np.ndarray, examples: int) -> Estimate:
    """A number with the quantiles of its draws, or itself where it lies beyond them."""
    value = float(value)
    finite = drawn[np.isfinite(drawn)]
    if not len(finite):
        return Estimate(value, np.nan, np.nan, examples)
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value), examples)


def spread(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """Smallest and largest value."""
    values = [each.value for each in estimates]
    return min(values), max(values)
