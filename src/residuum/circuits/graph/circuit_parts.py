"""What a circuit consists of: its parts, and one line about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import parts_of
from residuum.core import Address


class Chosen(Protocol):
    """What is told of a circuit."""

    @property
    def graph(self) -> Graph:
        """Its graph."""
        ...

    @property
    def kept(self) -> np.ndarray:
        """``[edge]``."""
        ...

    @property
    def selection(self) -> Mapping[str, Any]:
        """How its edges were chosen."""
        ...

    @property
    def reference(self) -> str:
        """What an edge outside carries."""
        ...


def parts_between(graph: Graph, kept: np.ndarray) -> tuple[Address, ...]:
    """Parts at an end of these edges, in forward order.

    A key/value head of a grouped model belongs to those of its heads that also send or ask; to all
    of them where none does.
    """
    edges = graph.edges[np.asarray(kept, dtype=bool)]
    found = {graph.senders[index] for index in np.unique(edges[:, 0]).tolist()}
    receivers = [graph.receivers[index] for index in np.unique(edges[:, 1]).tolist()]
    owners = [parts_of(receiver, graph.group) for receiver in receivers]
    found |= {own[0] for own in owners if len(own) == 1}
    shared = [own for own in owners if len(own) > 1]
    there = set(found)
    for own in shared:
        found |= there & set(own) or set(own)
    return tuple(part for part in graph.parts if part in found)


def told(circuit: Chosen) -> str:
    """Size, parts, how it was chosen and its first edges."""
    graph, edges = circuit.graph, np.flatnonzero(circuit.kept).tolist()
    nodes = len(parts_between(graph, circuit.kept))
    how = circuit.selection
    chosen = f", {how['how']} by {how['by']}" if {"how", "by"} <= set(how) else ""
    names = [graph.name(edge) for edge in edges[:4]]
    more = f", and {len(edges) - 4:,} more" if len(edges) > 4 else ""
    share = 100 * len(edges) / max(graph.n_edges, 1)
    return (
        f"Circuit({len(edges):,} of {graph.n_edges:,} edges ({share:.2g} %), {nodes} nodes, "
        f"{circuit.reference}{chosen}\n  {', '.join(names)}{more})"
    )
