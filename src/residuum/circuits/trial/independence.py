"""Does what is left without the circuit still know what the model says? HSIC with permutations."""

from __future__ import annotations

from typing import Any

import numpy as np

from residuum.circuits.trial.significance import p_value

PERMUTATIONS = 999

EXPLAINED_FRAC = 0.5
"""Share of the variance over prompts that a leak explains which the test must be able to see."""

POWER_FRAC = 0.8
"""How often it must see it."""

_LEAKS, _FEW = 40, 199


def hsic(x: Any, y: Any) -> float:
    """Hilbert-Schmidt independence criterion of two samples, 0 where they are independent.

    Gaussian kernels whose width is the median distance between two different examples; the biased
    estimate, ``trace(K H L H) / n²``.

    Args:
        x, y: ``[example]``.

    Source: Gretton et al. 2005, "Measuring statistical dependence with Hilbert-Schmidt norms".

    >>> hsic([0.0, 1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0])
    0.0
    """
    first, second = _centred(_kernel(x)), _centred(_kernel(y))
    return float(np.vdot(first, second)) / len(first) ** 2


def hsic_p(x: Any, y: Any, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """p-value of independence: how often exchanged examples have as large an HSIC.

    Returns:
        From 1 / (permutations + 1) to 1; 1 where one of the two is the same for all examples.
    """
    first, second = _centred(_kernel(x)), _kernel(y)
    found = float(np.vdot(first, second))
    return p_value(found, _permuted(first, second, permutations, seed), _tie(first, second))


def power_of(x: Any, alpha: float, seed: int = 0) -> float:
    """How often the test sees a leak that explains half of the variance of ``x``, 0 to 1.

    A leak is ``x``, standardised, and normal noise of the same variance; made 40 times.
    """
    values = np.asarray(x, dtype=np.float64)
    spread = values.std()
    if spread == 0:
        return 0.0
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(_LEAKS, len(values))) * np.sqrt(1 - EXPLAINED_FRAC)
    leaks = np.sqrt(EXPLAINED_FRAC) * (values - values.mean()) / spread + noise
    seen = [hsic_p(values, leak, _FEW, seed + at) <= alpha for at, leak in enumerate(leaks)]
    return float(np.mean(seen))


def _kernel(values: Any) -> np.ndarray:
    column = np.asarray(values, dtype=np.float64)
    away = np.abs(column[:, None] - column[None])
    apart = away[np.triu_indices(len(column), 1)]
    width = float(np.median(apart)) or float(apart.mean())
    return np.exp(-0.5 * np.square(away / width)) if width > 0 else np.ones_like(away)


def _centred(kernel: np.ndarray) -> np.ndarray:
    rows = kernel.mean(axis=0)
    centred = kernel - rows[None] - rows[:, None] + rows.mean()
    return centred if kernel.min() < 1 else np.zeros_like(kernel)


def _permuted(first: np.ndarray, second: np.ndarray, n: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    orders = (generator.permutation(len(second)) for _ in range(n))
    return np.array([np.vdot(first, second[order][:, order]) for order in orders])


def _tie(first: np.ndarray, second: np.ndarray) -> float:
    return 1e-12 * float(np.abs(first).sum() * np.abs(second).max())
