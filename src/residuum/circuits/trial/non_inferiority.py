"""Is the circuit as good as the model? Two one-sided tests, so that weak data do not pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.runs import bootstrap_mean_interval, sign_flip_max_t
from residuum.runs.clusters import cluster_numbers, cluster_sums

RESAMPLES = 1_999
"""Of the bootstrap-t, and sign patterns, at least; 100 / alpha where that is more."""

_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class NonInferiority:
    """Whether two means differ by less than a share of a gap.

    Attributes:
        difference: mean of full - circuit, in the metric's unit.
        interval: its bootstrap interval at level 1 - 2 alpha.
        bound: margin × mean of (full - empty), in the metric's unit.
        p_below: of the null that the circuit falls short by the bound or more.
        p_above: of the null that it exceeds the model by the bound or more.
    """

    difference: float
    interval: tuple[float, float]
    bound: float
    p_below: float
    p_above: float

    @property
    def p(self) -> float:
        """Of the null that they differ by the bound or more, either way."""
        return max(self.p_below, self.p_above)


def non_inferiority(
    full: Any,
    circuit: Any,
    empty: Any,
    *,
    margin: float = 0.1,
    alpha: float = 0.05,
    units: Sequence[str] | None = None,
    seed: int = 0,
) -> NonInferiority:
    """Test the null |mean(full - circuit)| >= margin × mean(full - empty).

    With ``d = full - circuit`` and ``g = full - empty`` of each example, both ``margin·g - d`` and
    ``margin·g + d`` must have a mean above zero; so the uncertainty of the gap counts too. Each
    p-value is the larger of two: of studentised sign flips (exact where the values are symmetric
    about their mean) and of a bootstrap-t (which takes account of skew: a circuit that fails
    badly on rare prompts).

    Args:
        full, circuit, empty: the metric, more being better, ``[example]``.
        margin: share of the gap that counts as a difference.
        alpha: of the tests; the interval has the level 1 - 2 alpha.
        units: label of each example's independent unit; by default each its own.
        seed: of flips and bootstrap.

    Source: Schuirmann 1987, two one-sided tests; Hall 1988, Ann. Stat. 16, bootstrap-t. Deviation
    from Shi et al. 2024, whose null is that both are equal, so that too few prompts pass.

    >>> full = np.linspace(2.0, 3.0, 8)
    >>> non_inferiority(full, full - 0.01, full - 2.0).p <= 2**-8
    True
    """
    whole, own, none = (np.asarray(each, dtype=np.float64) for each in (full, circuit, empty))
    short, gap = whole - own, whole - none
    numbers = cluster_numbers(units, len(whole))
    level = max(1 - 2 * alpha, 0.5)
    ends = bootstrap_mean_interval(short.tolist(), level, seed=seed, clusters=units)
    return NonInferiority(
        float(short.mean()),
        ends,
        float(margin * gap.mean()),
        _above_zero(margin * gap - short, numbers, alpha, seed),
        _above_zero(margin * gap + short, numbers, alpha, seed),
    )


def _above_zero(values: np.ndarray, numbers: np.ndarray, alpha: float, seed: int) -> float:
    """p of the null that the mean is zero or less."""
    sums = cluster_sums(values[None], numbers)[0]
    resamples = max(RESAMPLES, math.ceil(100 / alpha))
    return max(_flipped(sums, resamples, seed), _bootstrap_t(sums, resamples, seed))


def _flipped(sums: np.ndarray, flips: int, seed: int) -> float:
    both = float(sign_flip_max_t(sums[:, None], flips=flips, seed=seed).p[0])
    if sums.sum() == 0:
        return 1.0
    return both / 2 if sums.sum() > 0 else 1 - both / 2


def _bootstrap_t(sums: np.ndarray, resamples: int, seed: int) -> float:
    """Share of resamples whose t about the sample's own mean reaches the sample's t about zero."""
    n, mean = len(sums), sums.mean()
    tiny = 1e-12 * float(np.abs(sums).max())
    own = _t(mean, sums.std(ddof=1), n, tiny)
    generator = np.random.default_rng(seed)
    reached, left = 0, resamples
    while left:
        size = min(left, max(1, _AT_ONCE // n))
        drawn = sums[generator.integers(0, n, size=(size, n))]
        t = _t(drawn.mean(axis=1) - mean, drawn.std(axis=1, ddof=1), n, tiny)
        reached += int((t >= own).sum())
        left -= size
    return (reached + 1) / (resamples + 1)


def _t(mean: Any, spread: Any, n: int, tiny: float) -> Any:
    """Student's t; what is below ``tiny`` counts as 0, and t without spread is infinite or 0."""
    mean = np.where(np.abs(mean) > tiny, mean, 0.0)
    scaled = mean * math.sqrt(n) / np.where(spread > tiny, spread, 1.0)
    bare = np.where(mean != 0, np.copysign(np.inf, mean), 0.0)
    return np.where(spread > tiny, scaled, bare)
