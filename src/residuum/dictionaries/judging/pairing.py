"""Which direction of one set is which of another: one to one, exactly or by mutual nearness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from residuum.dictionaries.judging.ground_truth_assignment import best_assignment

Matching = Literal["hungarian", "mutual_nearest"]
MOST_EXACT = 4096
"""Directions of the smaller set up to which the assignment is the best one. On one core, random
directions of which half were shared: 0.1 s at 1,024, 0.4 s at 2,048, 1.6 s at 4,096; beyond, its
time can grow with the cube and its tables with the square (16,384: 4 GB)."""
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Pairing:
    """Pairs of directions.

    Attributes:
        first, second: ``[pair]`` numbers of both, ascending in the first; each stands once at most.
        cosines: ``[pair]``.
        matching: ``"hungarian"``: the sum of the cosines is the greatest, and the smaller set is
            paired in full; ``"mutual_nearest"``: each is the other's nearest, and those without
            such a partner stay without.
    """

    first: np.ndarray
    second: np.ndarray
    cosines: np.ndarray
    matching: Matching


def pair_directions(
    first: np.ndarray, second: np.ndarray, *, most_exact: int = MOST_EXACT
) -> Pairing:
    """Pair two sets of directions.

    Args:
        first, second: ``[direction d]``, of length 1.
        most_exact: with more in the smaller set, mutual nearest neighbours are taken.

    Shows: as of :class:`Pairing`. Does not show: that a partner is the same thing; pairs far apart
    are pairs too. A pair far above all its rivals is in both matchings.

    >>> eye = np.eye(3)
    >>> pair_directions(eye, eye[[2, 0, 1]]).second
    array([1, 2, 0])
    >>> pair_directions(eye, eye, most_exact=2).matching
    'mutual_nearest'
    """
    if min(len(first), len(second)) <= most_exact:
        cosines = first @ second.T
        rows, columns = best_assignment(cosines)
        return Pairing(rows, columns, cosines[rows, columns], "hungarian")
    there, back = _nearest(first, second), _nearest(second, first)
    rows = np.flatnonzero(back[there] == np.arange(len(first)))
    columns = there[rows]
    return Pairing(rows, columns, (first[rows] * second[columns]).sum(1), "mutual_nearest")


def _nearest(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Of each, its nearest among the others; block by block, so that no whole table is held."""
    blocks = [
        (ours[start : start + _BLOCK] @ theirs.T).argmax(1) for start in range(0, len(ours), _BLOCK)
    ]
    return np.concatenate(blocks)
