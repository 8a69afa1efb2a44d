"""Keys of contexts: one number for a token with all that stands before it in its row.

The same context has the same key wherever it occurs, so that repeated text is shown once; keys are
spread evenly, so that the contexts with the smallest keys are a random sample of all.
"""

from __future__ import annotations

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers spread over all of uint64 (Steele et al. 2014, SplitMix64)."""
    with np.errstate(over="ignore"):
        z = numbers.astype(np.uint64) + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def context_keys(ids: np.ndarray) -> np.ndarray:
    """``[pos]`` int64 from 0 on: of each token of a row with those before it."""
    places = mixed(np.arange(len(ids), dtype=np.uint64))
    with np.errstate(over="ignore"):
        sums = np.cumsum(mixed(ids.astype(np.uint64) ^ places), dtype=np.uint64)
    return (mixed(sums) >> np.uint64(1)).astype(np.int64)
