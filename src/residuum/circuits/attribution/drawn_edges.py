"""Which edges a picture draws first, and how much of the answer the first so many explain."""

from __future__ import annotations

import heapq

import numpy as np
from jaxtyping import Bool, Float, Int

from residuum.circuits.attribution.influence import influence_of


def flow_of(
    strengths: Float[np.ndarray, "node node"],
    influence: Float[np.ndarray, " node"],
    shares: Float[np.ndarray, " node"],
) -> Float[np.ndarray, "node node"]:
    """``[target source]`` share of all paths to the targets, by strength, that take an edge."""
    return strengths * (influence + shares)[:, None]


def grown(
    flow: Float[np.ndarray, "node node"],
    kept: Bool[np.ndarray, "node node"],
    ends: Int[np.ndarray, " target"],
    most: int,
) -> Int[np.ndarray, "edge 2"]:
    """Edges ``(target, source)`` from the targets downward, the largest first.

    An edge is a candidate once its target is in, so the first so many hang together.

    Args:
        flow: of each edge.
        kept: edges that may be drawn.
        ends: numbers of the targets.
        most: edges.
    """
    waiting: list[tuple[float, int, int]] = []
    inside: set[int] = set()
    found: list[tuple[int, int]] = []

    def enter(node: int) -> None:
        inside.add(node)
        for source in np.flatnonzero(kept[node]).tolist():
            heapq.heappush(waiting, (-float(flow[node, source]), node, source))

    for each in ends.tolist():
        enter(each)
    while waiting and len(found) < most:
        _, target, source = heapq.heappop(waiting)
        found.append((target, source))
        if source not in inside:
            enter(source)
    return np.array(found, int).reshape(-1, 2)


def replaced(
    strengths: Float[np.ndarray, "node node"],
    shares: Float[np.ndarray, " node"],
    tokens: Bool[np.ndarray, " node"],
    edges: Int[np.ndarray, "edge 2"],
) -> Float[np.ndarray, " edge"]:
    """Replacement score of the first edge, the first two, and so on.

    Args:
        strengths: of the whole graph, so that what is not drawn counts as unexplained.
        shares: of the targets.
        tokens: which nodes are tokens.
        edges: ``(target, source)``, in order.
    """
    some = np.unique(np.concatenate([edges.ravel(), np.flatnonzero(shares)]))
    place = np.searchsorted(some, edges)
    left, found = np.zeros((len(some), len(some))), np.zeros(len(edges))
    for i, (target, source) in enumerate(place):
        left[target, source] = strengths[edges[i, 0], edges[i, 1]]
        found[i] = influence_of(left, shares[some])[tokens[some]].sum()
    return found
