"""How well a gradient's prediction agrees with exact effects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """Predicted effects beside exact ones, on the latents that were checked.

    Attributes:
        n: latents checked: half are those with the largest prediction, half drawn at random.
        pearson, spearman: correlations; NaN for fewer than three latents or equal values.
        same_sign: share with the same sign.
        largest_error: largest difference, in the metric's unit.
    """

    n: int
    pearson: float
    spearman: float
    same_sign: float
    largest_error: float


def agreement_of(predicted: np.ndarray, exact: np.ndarray) -> Agreement:
    """Compare two rows of effects.

    >>> agreement_of(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])).spearman
    1.0
    """
    if not len(exact):
        return Agreement(0, math.nan, math.nan, math.nan, math.nan)
    ranks = [np.argsort(np.argsort(each)).astype(float) for each in (predicted, exact)]
    return Agreement(
        len(exact),
        _correlation(predicted, exact),
        _correlation(*ranks),
        float((np.sign(predicted) == np.sign(exact)).mean()),
        float(np.abs(predicted - exact).max()),
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 3 or not a.std() or not b.std():
        return math.nan
    return round(float(np.corrcoef(a, b)[0, 1]), 12)
