"""Circuits of a given size to compare with: drawn at random, or all there are in a small graph."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from residuum.circuits import Graph, random_circuits
from residuum.circuits.trial.graph_paths import GraphPaths
from residuum.core import OptionError
from residuum.findings.record.rules import FEWEST_SETS

MOST_TRIED = 20_000
"""Sets of edges that are looked through for connected ones, at most."""


def other_circuits(
    graph: Graph, kept: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, bool, str]:
    """Connected circuits of as many edges as this one, and not this one.

    Args:
        graph: of the model.
        kept: bool ``[edge]``, the circuit.
        count: how many are drawn; where fewer than :data:`FEWEST_SETS` different ones come of it,
            all that exist are taken, if they can be looked through.
        seed: of the draws.

    Returns:
        bool ``[circuit edge]``; whether these are all that exist; and why there are none, if so.
    """
    n_edges, note = int(kept.sum()), ""
    try:
        drawn = random_circuits(graph, n_edges, count, seed=seed)
    except OptionError as error:
        drawn, note = np.empty((0, graph.n_edges), dtype=bool), error.what
    drawn = np.unique(drawn, axis=0)
    drawn = drawn[(drawn != kept).any(axis=1)]
    if len(drawn) >= FEWEST_SETS:
        return drawn, False, note
    every = every_circuit(graph, n_edges)
    if every is None:
        return drawn, False, note
    return every[(every != kept).any(axis=1)], True, note


def every_circuit(graph: Graph, n_edges: int) -> np.ndarray | None:
    """All circuits of so many edges in which each edge is on a way from the embedding to the
    logits, bool ``[circuit edge]``; None where too many sets of edges would have to be tried.

    >>> graph = Graph.of(["embed", "L0.mlp_out"], ["L0.mlp_in", "logits"])
    >>> [len(found) for n in (1, 2, 3) if (found := every_circuit(graph, n)) is not None]
    [1, 1, 1]
    """
    live = GraphPaths(graph).live
    if comb(len(live), n_edges) > MOST_TRIED:
        return None
    found = []
    for edges in combinations(live.tolist(), n_edges):
        kept = np.zeros(graph.n_edges, dtype=bool)
        kept[list(edges)] = True
        if len(GraphPaths(graph, kept).live) == n_edges:
            found.append(kept)
    return np.stack(found) if found else np.empty((0, graph.n_edges), dtype=bool)
