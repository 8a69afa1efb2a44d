"""ROC curves: how well scores tell two classes apart, with intervals by cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.core import OptionError
from residuum.runs.clusters import cluster_numbers

Interval = tuple[float, float]

_RESAMPLES = 1000


def auroc(scores: Sequence[float] | np.ndarray, positive: Sequence[bool] | np.ndarray) -> float:
    """Chance that a random positive scores above a random negative; ties count a half.

    Raises:
        OptionError: one class only, or other lengths.

    Source: Hanley, McNeil 1982 (the Mann-Whitney statistic).

    >>> auroc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    _check(values, truth)
    return _weighted(values, truth, np.ones(len(values)))


def roc(
    scores: Sequence[float] | np.ndarray, positive: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates at every threshold, both ascending from 0 to 1.

    >>> [rate.tolist() for rate in roc([3.0, 2.0, 1.0], [True, False, True])]
    [[0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0]]
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    _check(values, truth)
    order = np.argsort(-values, kind="stable")
    last = np.append(np.diff(values[order]) != 0, True)
    hits, misses = (np.cumsum(each)[last] for each in (truth[order], ~truth[order]))
    return np.append(0.0, misses / misses[-1]), np.append(0.0, hits / hits[-1])


def auroc_interval(
    scores: Sequence[float] | np.ndarray,
    positive: Sequence[bool] | np.ndarray,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of the AUROC, whole clusters drawn; 1,000 resamples.

    Shows: how far it moves with other entities (or wordings) of the same source. Does not show:
    other sources. At an AUROC of 1 the interval is a point, whatever the number of cases: a share
    of errors of up to 3 / clusters is not excluded.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    _check(values, truth)
    numbers = cluster_numbers(clusters, len(values))
    units = int(numbers.max()) + 1
    rng, found = np.random.default_rng(seed), []
    for _ in range(_RESAMPLES):
        weights = np.bincount(rng.integers(0, units, units), minlength=units)[numbers]
        if weights[truth].sum() and weights[~truth].sum():
            found.append(_weighted(values, truth, weights.astype(np.float64)))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high))


def _weighted(values: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """The statistic where each case counts ``weights`` times."""
    levels, at = np.unique(values, return_inverse=True)
    negative = np.bincount(at, weights * ~truth, minlength=len(levels))
    positive = np.bincount(at, weights * truth, minlength=len(levels))
    below = np.cumsum(negative) - negative
    wins = (positive * (below + negative / 2)).sum()
    return float(wins / (negative.sum() * positive.sum()))


def _check(values: np.ndarray, truth: np.ndarray) -> None:
    if values.shape != truth.shape or values.ndim != 1 or truth.all() or not truth.any():
        raise OptionError(
            f"{int(truth.sum())} positives among {len(truth)} cases with {values.size} scores",
            mend="give a score for each case, and cases of both classes",
        )
    if not np.isfinite(values).all():
        raise OptionError("some scores are NaN", mend="look at the run that gave them")
