"""A seeded order of n things, worked out place by place: no list of n, no buffer.

A Feistel network on a grid of about √n × √n: each round shifts one coordinate by a keyed hash of
the other, which can be undone, so the whole is one-to-one; places outside n are sent on until they
fall inside. The hash is the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROUNDS = 8
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


@dataclass(frozen=True)
class Permutation:
    """An order of ``range(n)``.

    Attributes:
        n: how many, 1 or more.
        seed: whole number from 0; each seed has its own order, the same on every machine.
        stream: another whole number, such as the epoch.

    >>> order = Permutation(5, seed=0)
    >>> sorted(order.at(np.arange(5)).tolist())
    [0, 1, 2, 3, 4]
    """

    n: int
    seed: int
    stream: int = 0

    def at(self, places: np.ndarray) -> np.ndarray:
        """What stands at these places, int64; the work does not depend on ``n``."""
        height = int(np.ceil(np.sqrt(self.n)))
        width = -(-self.n // height)
        keys = self._keys()
        found = self._rounds(np.asarray(places, np.uint64), height, width, keys)
        outside = np.flatnonzero(found >= self.n)
        while len(outside):
            found[outside] = self._rounds(found[outside], height, width, keys)
            outside = outside[found[outside] >= self.n]
        return found.astype(np.int64)

    def _rounds(self, places: np.ndarray, height: int, width: int, keys: np.ndarray) -> np.ndarray:
        tall, wide = np.uint64(height), np.uint64(width)
        row, column = places // wide, places % wide
        for index in range(0, _ROUNDS, 2):
            row = (row + _mixed(column ^ keys[index]) % tall) % tall
            column = (column + _mixed(row ^ keys[index + 1]) % wide) % wide
        return row * wide + column

    def _keys(self) -> np.ndarray:
        base = _mixed(_mixed(np.array([self.seed & _MASK], np.uint64)) ^ np.uint64(self.stream))
        steps = np.arange(1, _ROUNDS + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
        return _mixed(base + steps)


def _mixed(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(_GOLDEN)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
