"""How much circuits share: Jaccard's index of their edges and of their parts."""

from __future__ import annotations

import numpy as np

from residuum.circuits.graph.circuit_parts import parts_between
from residuum.circuits.graph.graph import Graph

ENDS = ("embed", "logits")
"""Parts of nearly every circuit, which are not counted."""


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    """Size of the intersection over that of the union, 0 to 1; of two empty sets 1.

    >>> jaccard(np.array([True, True, False]), np.array([True, False, True]))
    0.3333333333333333
    """
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 1.0


def pairwise(sets: np.ndarray) -> np.ndarray:
    """Jaccard's index of every pair of rows of bool ``[set member]``, ``[pair]``."""
    table = np.asarray(sets, dtype=np.float64)
    both = table @ table.T
    sizes = np.diag(both)
    either = sizes[:, None] + sizes[None] - both
    upper = np.triu_indices(len(table), 1)
    return np.divide(
        both[upper], either[upper], out=np.ones(len(upper[0])), where=either[upper] > 0
    )


def to_one(sets: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Jaccard's index of every row of bool ``[set member]`` with one set, ``[set]``."""
    return np.array([jaccard(each, one) for each in np.asarray(sets, dtype=bool)])


def parts_of_masks(graph: Graph, kept: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of a graph's parts, less :data:`ENDS`, and which circuits have them.

    Args:
        kept: bool ``[circuit edge]``.

    Returns:
        Names, and bool ``[circuit part]``.
    """
    names = tuple(str(part) for part in graph.parts if part.name not in ENDS)
    number = {name: at for at, name in enumerate(names)}
    found = np.zeros((len(kept), len(names)), dtype=bool)
    for row, each in enumerate(kept):
        here = [number[str(part)] for part in parts_between(graph, each) if str(part) in number]
        found[row, here] = True
    return names, found
