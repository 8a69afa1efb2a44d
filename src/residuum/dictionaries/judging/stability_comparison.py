"""Do latents that are found again matter more than those that are not?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.dictionaries.judging.ground_truth_result import Measured
from residuum.dictionaries.judging.latent_effects import LatentEffects
from residuum.runs.intervals import bootstrap_mean_interval

OCTAVES = 0.5
"""Matched latents differ by at most this much in activity: a factor of the square root of 2."""


def families_of(matches: dict[tuple[int, int], np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """One number for all latents that are found again in one another, ``[dictionary * latent]``.

    Args:
        matches: of each pair of dictionaries, ``[found 2]`` latent numbers.
        sizes: latents of each dictionary.
    """
    starts = np.cumsum([0, *sizes])
    parent = np.arange(starts[-1])

    def root(latent: int) -> int:
        while parent[latent] != latent:
            parent[latent] = parent[parent[latent]]
            latent = parent[latent]
        return latent

    for (a, b), pairs in matches.items():
        for i, j in pairs:
            parent[root(int(starts[a] + i))] = root(int(starts[b] + j))
    return np.array([root(latent) for latent in range(starts[-1])])


def mattering(
    found: Sequence[np.ndarray], effects: Sequence[LatentEffects], families: np.ndarray,
    level: float, seed: int,
) -> dict[str, tuple[Measured, int, int]]:  # fmt: skip
    """Effect of latents found in all other dictionaries less that of those found in none.

    Args:
        found: of each dictionary, ``[latent]`` share of the others that have it.
        effects: of each dictionary.
        families: see :func:`families_of`; drawn as wholes for the intervals.

    Returns:
        ``all``, ``frequency`` (pairs alike in frequency), ``activity`` (alike in frequency and
        strength): the difference in nats for a token taken out, with its interval, the number of
        latents found in none (of pairs) behind it, and the number of families of the shared ones.
        NaN where there are fewer than two.
    """
    starts = np.cumsum([0, *map(len, found)])
    pairs: dict[str, list[tuple[int, int]]] = {"frequency": [], "activity": []}
    effect = np.concatenate([each.effect_nats for each in effects])
    shared, unique = [], []
    for start, share, own in zip(starts, found, effects, strict=False):
        alive = ~np.isnan(own.effect_nats)
        again, alone = np.flatnonzero(alive & (share == 1)), np.flatnonzero(alive & (share == 0))
        place = np.log2(np.maximum(np.stack([own.frequency, own.strength], 1), 1e-30))
        for name, columns in (("frequency", 1), ("activity", 2)):
            few = _matched(place[alone, :columns], place[again, :columns])
            pairs[name] += [(start + again[j], start + alone[i]) for i, j in few]
        shared += list(start + again)
        unique += list(start + alone)
    result = {"all": _difference(effect, shared, unique, families, level, seed)}
    for name, several in pairs.items():
        gaps = [effect[a] - effect[b] for a, b in several]
        names = [str(families[a]) for a, _ in several]
        mean = float(np.mean(gaps)) if gaps else float("nan")
        low, high = bootstrap_mean_interval(gaps, level, seed=seed, clusters=names)
        result[name] = (Measured(mean, low, high), len(gaps), len(set(names)))
    return result


def _matched(alone: np.ndarray, again: np.ndarray) -> list[tuple[int, int]]:
    """Nearest partners within the limit, each used once; the nearest pairs first."""
    if not len(alone) or not len(again):
        return []
    apart = np.abs(alone[:, None] - again[None])
    distance = np.where((apart <= OCTAVES).all(-1), (apart**2).sum(-1), np.inf)
    found, order = [], np.argsort(distance, axis=None, kind="stable")
    used = np.zeros(len(alone), bool), np.zeros(len(again), bool)
    for flat in order[: int(np.isfinite(distance).sum())]:
        i, j = divmod(int(flat), len(again))
        if not used[0][i] and not used[1][j]:
            used[0][i] = used[1][j] = True
            found.append((i, j))
    return found


def _difference(
    effect: np.ndarray, shared: list[int], unique: list[int], families: np.ndarray,
    level: float, seed: int,
) -> tuple[Measured, int, int]:  # fmt: skip
    """Difference of means, families drawn anew within each side."""
    nan = float("nan")
    if len(shared) < 2 or len(unique) < 2:
        return Measured(nan, nan, nan), len(unique), len(set(families[shared].tolist()))
    rng, drawn = np.random.default_rng(seed), []
    for members in (shared, unique):
        names, number = np.unique(families[members], return_inverse=True)
        totals = np.bincount(number, effect[members]), np.bincount(number).astype(float)
        picks = rng.integers(0, len(names), (2000, len(names)))
        drawn.append(totals[0][picks].sum(1) / totals[1][picks].sum(1))
    low, high = np.quantile(drawn[0] - drawn[1], [(1 - level) / 2, (1 + level) / 2])
    value = float(effect[shared].mean() - effect[unique].mean())
    n_families = len(set(families[shared].tolist()))
    return Measured(value, float(low), float(high)), len(unique), n_families
