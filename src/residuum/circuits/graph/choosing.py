"""Circuits from scores and from names of edges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.scores import EdgeScores


def circuit_of(
    scores: EdgeScores,
    n_edges: int | None = None,
    share: float | None = None,
    *,
    how: str = "greedy",
    by: str = "absolute",
    prune: str = "none",
) -> Circuit:
    """The circuit of this many edges, chosen from scores as :func:`residuum.circuits.keep` says.

    Args:
        scores: of every edge.
        n_edges, share: number of edges, or share of the graph's (0 to 1); one of them.
        how, by, prune: as of :func:`residuum.circuits.keep`.

    Raises:
        OptionError: no size or two, or an option that is none.
    """
    none = np.zeros(scores.graph.n_edges, dtype=bool)
    found = Circuit(scores.graph, none, scores, {}, scores.reference, scores.provenance)
    return found.resized(n_edges, share=share, how=how, by=by, prune=prune)


def circuit_from_edges(graph: Graph, edges: Iterable[str], **record: Any) -> Circuit:
    """The circuit of edges that are named, such as one from a paper.

    Args:
        graph: of the model.
        edges: names as of :meth:`Graph.name`, ``"L0.head_out[H2] -> L1.k_in[H1]"``.
        record: ``reference`` and ``provenance`` of the circuit.

    Raises:
        OptionError: an edge that the graph does not have.

    >>> graph = Graph.of(["embed", "L0.head_out[H0]"], ["L0.q_in[H0]", "logits"])
    >>> circuit_from_edges(graph, ["embed -> logits"]).share
    0.3333333333333333
    """
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[[graph.index(each) for each in edges]] = True
    return Circuit(graph, kept, selection={"how": "named", "by": "hand"}, **record)
