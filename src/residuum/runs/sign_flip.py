"""Which of many effects are not zero: sign flips of whole clusters, all cells judged together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from residuum.core import OptionError
from residuum.runs.arguments import shown, whole_number
from residuum.runs.clusters import cluster_numbers, cluster_sums

Verdict = Literal["shown", "not shown", "undecided", ""]
"""Of one cell; empty where the cell is impossible."""

FLIPS = 10_000
"""Sign patterns tried where all of them would be more."""

_AT_ONCE = 2_000_000
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class SignFlips:
    """What the sign flips say about each cell.

    Attributes:
        p: ``[cell]`` share of sign patterns under which *some* cell is as far from zero as this
            one is; 1 where a cell is zero in every example, NaN where it has a NaN.
        verdicts: ``[cell]`` ``"shown"``, ``"not shown"``, ``"undecided"``, or ``""`` for NaN.
        floor: smallest p that this many clusters (or flips) can give.
        clusters: independent units that were flipped.
        needed: clusters from which a cell that is not shown can be called ``"not shown"``.
        cells: cells that are not NaN.
        exact: whether every sign pattern was tried.
        flips: sign patterns that were tried (mirror images not counted twice).
        alpha: bound on the probability of showing any cell that is truly zero.
        seed: of the patterns, where not all were tried.
    """

    p: np.ndarray
    verdicts: np.ndarray
    floor: float
    clusters: int
    needed: int
    cells: int
    exact: bool
    flips: int
    alpha: float
    seed: int


def sign_flip_max_t(
    values: Any,
    clusters: Sequence[Any] | np.ndarray | None = None,
    *,
    flips: int = FLIPS,
    alpha: float = 0.05,
    seed: int = 0,
) -> SignFlips:
    """Test jointly which cells of a sweep have an effect: sign flips with the maximum over cells.

    Were a cell's effect zero, a cluster's sum would be as likely to have the other sign. All cells
    of a cluster are flipped together, so that what they share is kept. A cell's statistic is
    ``|Σ s_c| / sqrt(Σ s_c²)`` over cluster sums ``s_c``; Student's t rises with it, and
    the denominator does not change under flips. Its p is the share of sign patterns under which
    the largest statistic of any cell reaches the cell's own, so one threshold serves all cells.

    Clusters are *summed*, not averaged: the effect that is reported is the mean over examples, and
    the sum over clusters is that mean times their number. A cluster of many examples weighs more,
    in the test as in the mean.

    Args:
        values: ``[example cell]`` effects, one column for each cell.
        clusters: a label for each example (its template); without labels each stands for itself.
        flips: sign patterns to draw where all of them, mirror images left out, would be more.
        alpha: bound on the probability of showing any cell that is truly zero.
        seed: of the patterns drawn.

    Returns:
        p, verdict and floor. With ``n`` clusters the floor is ``2 / 2ⁿ`` if all patterns are tried,
        else ``1 / (flips + 1)``. A cell with p <= alpha is ``"shown"``. Above it, a cell is
        ``"not shown"`` if there are at least ``needed`` clusters, those from which
        ``cells × 2 / 2ⁿ <= alpha``, and otherwise ``"undecided"``: too few to call it absent.
        Zero in every example is ``"not shown"``; every other cell is ``"undecided"`` if the floor
        lies above alpha.

    Raises:
        OptionError: no ``[example cell]`` array, no example, other labels than examples, no flips,
            an alpha outside (0, 1), or a seed that is none.

    Shows: that an effect of this sign is there on sentences like these, at a family-wise error of
    at most alpha, if cluster sums of cells without effect are symmetric about zero. Does not show:
    that the effect is large; anything about templates that are not among the clusters; nor, where
    effects are strongly skewed, that the *mean* differs from zero: a cell that is slightly negative
    in most clusters and very positive in a few counts as an effect though its mean be zero.

    Source: Westfall & Young 1993, *Resampling-Based Multiple Testing* (single-step max-T, joint
    resampling); Winkler et al. 2014, "Permutation inference for the general linear model" (sign
    flips of whole blocks). Deviation: no step-down.

    >>> found = sign_flip_max_t([[1.0, 1.0], [2.0, -1.0], [1.5, 1.0], [1.0, -1.0]])
    >>> found.p.tolist(), found.floor, found.exact
    ([0.25, 1.0], 0.125, True)
    """
    table = _table(values)
    whole_number(flips, "flips", 1)
    whole_number(seed, "seed", 0)
    _check_alpha(alpha)
    numbers = cluster_numbers(clusters, len(table))
    sums = cluster_sums(table.T, numbers)
    possible = np.isfinite(table).all(axis=0)
    moved = possible & np.any(sums != 0, axis=1)
    n = sums.shape[1]
    exact = 2 ** (n - 1) <= flips
    p = np.where(possible, 1.0, np.nan)
    if moved.any():
        p[moved] = _joint_p(_unit_rows(sums[moved]), exact, flips, seed)
    floor = 2.0 / 2.0**n if exact else 1.0 / (flips + 1)
    cells = int(possible.sum())
    needed = clusters_needed(max(cells, 1), alpha)
    zero = possible & (np.abs(table).max(axis=0, initial=0.0) == 0)
    return SignFlips(
        p=p,
        verdicts=_verdicts(p, zero, alpha, decided=n >= needed and floor <= alpha),
        floor=floor,
        clusters=n,
        needed=needed,
        cells=cells,
        exact=exact,
        flips=2 ** (n - 1) if exact else flips,
        alpha=alpha,
        seed=seed,
    )


def clusters_needed(cells: int, alpha: float = 0.05) -> int:
    """Smallest number of clusters ``n`` with ``cells × 2 / 2ⁿ <= alpha``.

    Below it even a cell that is the same in every cluster may fail to stand out among so many.

    >>> clusters_needed(144), clusters_needed(2160)
    (13, 17)
    """
    whole_number(cells, "cells", 1)
    _check_alpha(alpha)
    n = max(1, math.ceil(math.log2(2 * cells / alpha)) - 1)
    while cells * 2 / 2**n > alpha:
        n += 1
    return n


def _joint_p(units: np.ndarray, exact: bool, flips: int, seed: int) -> np.ndarray:
    """p of each row of ``[cell cluster]``, rows of length 1."""
    own = np.abs(units.sum(axis=1)) * (1 - _TIE)
    count = 2 ** (units.shape[1] - 1) if exact else flips
    reached = np.zeros(len(own), dtype=np.int64)
    generator = np.random.default_rng(seed)
    step = max(1, min(count, _AT_ONCE // max(1, len(units))))
    for start in range(0, count, step):
        size = min(step, count - start)
        signs = _patterns(start, size, units.shape[1]) if exact else _drawn(generator, size, units)
        largest = np.sort(_largest(signs, units))
        reached += size - np.searchsorted(largest, own, side="left")
    return reached / count if exact else (reached + 1) / (count + 1)


def _largest(signs: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Largest statistic over cells under each sign pattern."""
    found = signs @ units.T
    return np.maximum(found.max(axis=1), -found.min(axis=1))


def _patterns(start: int, size: int, clusters: int) -> np.ndarray:
    """Sign patterns number ``start`` …; the last cluster keeps its sign, so none is a mirror."""
    bits = np.arange(start, start + size)[:, None] >> np.arange(clusters) & 1
    return 1.0 - 2.0 * bits


def _drawn(generator: np.random.Generator, size: int, units: np.ndarray) -> np.ndarray:
    return 1.0 - 2.0 * generator.integers(0, 2, size=(size, units.shape[1]))


def _unit_rows(sums: np.ndarray) -> np.ndarray:
    scaled = sums / np.abs(sums).max(axis=1, keepdims=True)  # squares of tiny numbers vanish
    return scaled / np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))


def _verdicts(p: np.ndarray, zero: np.ndarray, alpha: float, decided: bool) -> np.ndarray:
    found = np.full(p.shape, "not shown" if decided else "undecided", dtype=object)
    found[zero] = "not shown"
    found[p <= alpha] = "shown"
    found[np.isnan(p)] = ""
    return found


def _table(values: Any) -> np.ndarray:
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"values are no table of numbers: {shown(values)}",
            mend="give an array [example, cell]",
        ) from error
    if table.ndim != 2 or not len(table):
        raise OptionError(
            f"values of shape {table.shape} are no [example, cell] table",
            mend="give one row for each example and one column for each cell",
        )
    return table


def _check_alpha(alpha: Any) -> None:
    if not isinstance(alpha, float) or not 0 < alpha < 1:
        raise OptionError(
            f"alpha={shown(alpha)}", mend="give a number between 0 and 1, such as 0.05"
        )
