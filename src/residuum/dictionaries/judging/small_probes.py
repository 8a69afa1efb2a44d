"""Probes on few numbers: which ones, how they weigh, how often they are right."""

from __future__ import annotations

import numpy as np

_STEPS, _RIDGE = 25, 1e-3


def separation(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """``[column]``: difference of both classes' means over the spread of the column."""
    gap = x[labels].mean(0) - x[~labels].mean(0)
    return np.abs(gap) / np.maximum(x.std(0), 1e-9)


def fit_probe(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Logistic regression, both classes weighing the same: direction ``[column]`` and offset.

    Ridge of 0.001 on standardised columns, Newton's method.
    """
    centre, spread = x.mean(0), np.maximum(x.std(0), 1e-9)
    z = np.concatenate([(x - centre) / spread, np.ones((len(x), 1))], 1)
    weight = np.where(labels, 0.5 / max(labels.sum(), 1), 0.5 / max((~labels).sum(), 1))
    ridge = np.diag([_RIDGE] * x.shape[1] + [1e-9])
    beta = np.zeros(z.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(z @ beta, -30, 30)))
        slope = z.T @ (weight * (p - labels)) + ridge @ beta
        curve = (z * (weight * p * (1 - p))[:, None]).T @ z + ridge
        step = np.linalg.solve(curve, slope)
        beta -= step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-6:
            break
    direction = beta[:-1] / spread
    return direction, float(beta[-1] - direction @ centre)


def f1(said: np.ndarray, labels: np.ndarray) -> float:
    """Harmonic mean of precision and recall."""
    return 2 * float((said & labels).sum()) / max(float(said.sum() + labels.sum()), 1.0)
