"""Edges as plain data: runs of consecutive senders into one receiver, which a graph has few of.

>>> import numpy as np
>>> to_runs(np.array([[0, 0], [1, 0], [2, 0], [0, 1]]))
[[0, 0, 3], [1, 0, 1]]
"""

from __future__ import annotations

from typing import Any

import numpy as np


def to_runs(edges: np.ndarray) -> list[list[int]]:
    """``[receiver, first sender, how many]`` of each run, and the position where there is one.

    Args:
        edges: ``[edge 2]`` or ``[edge 3]``; their order is kept.
    """
    if not len(edges):
        return []
    same = (np.diff(edges[:, 1:], axis=0) == 0).all(axis=1) & (np.diff(edges[:, 0]) == 1)
    starts = np.flatnonzero(np.r_[True, ~same])
    counts = np.diff(np.r_[starts, len(edges)])
    first = edges[starts]
    return np.c_[first[:, 1], first[:, 0], counts, first[:, 2:]].tolist()


def from_runs(runs: Any, width: int) -> np.ndarray:
    """The edges, int32 ``[edge width]``.

    Raises:
        ValueError: runs of another width, or that hold no or negative numbers.
    """
    table = np.asarray(runs, dtype=np.int64).reshape(-1, width + 1)
    counts = table[:, 2]
    if (table < 0).any() or (counts < 1).any() or counts.sum() > 2**31:
        raise ValueError("runs of edges with negative numbers, or of none")
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = [np.repeat(table[:, 1], counts) + within, np.repeat(table[:, 0], counts)]
    if width == 3:
        columns.append(np.repeat(table[:, 3], counts))
    return np.stack(columns, axis=1).astype(np.int32)


def at_each_position(edges: np.ndarray, n: int) -> np.ndarray:
    """Edges ``[edge 2]`` at ``n`` positions: receiver by receiver, of each position by position."""
    starts = np.flatnonzero(np.diff(edges[:, 1], prepend=-1))
    blocks = [
        np.c_[block, np.full(len(block), at)]
        for block in np.split(edges, starts[1:])
        for at in range(n)
    ]
    return np.concatenate(blocks)
