"""Kolmogorov and Smirnov's test of uniformity, by the closed form of its large-sample law."""

from __future__ import annotations

import math

import numpy as np


def ks_p(values) -> float:
    ordered, n = np.sort(values), len(values)
    steps = np.arange(n + 1) / n
    distance = max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max())
    x = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101)))


def least_p(values) -> float:
    """How improbable so many small p-values are: the worst of one-sided binomial tails."""
    values, tails = np.asarray(values), []
    for alpha in (0.05, 0.1, 0.2):
        k, n = int((values <= alpha).sum()), len(values)
        tails.append(
            sum(math.comb(n, i) * alpha**i * (1 - alpha) ** (n - i) for i in range(k, n + 1))
        )
    return min(tails)
