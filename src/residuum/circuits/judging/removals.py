"""What is taken out of a circuit to judge it: its parts one by one, and random sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from residuum.circuits.graph.circuit import Circuit
from residuum.core import OptionError
from residuum.runs import shown

Groups = Literal["nodes", "edges"]


@dataclass(frozen=True, eq=False)
class Removals:
    """Sets of edges.

    Attributes:
        names: of each group: a part, or an edge.
        groups: bool ``[group edge]``: what is taken out with it; of a part, all edges that leave
            it, in the circuit or not.
        subsets: names of the parts in each random set.
        sets: bool ``[subset edge]``: what is taken out with each.
    """

    names: tuple[str, ...]
    groups: np.ndarray
    subsets: tuple[tuple[str, ...], ...]
    sets: np.ndarray


def removals_of(circuit: Circuit, groups: Any, subsets: int, seed: int) -> Removals:
    """The groups of a circuit, and random sets of its parts (each part in half of them).

    Raises:
        OptionError: groups of another kind.
    """
    if groups not in ("nodes", "edges"):
        raise OptionError(
            f"minimality={shown(groups)} is neither of nodes nor of edges",
            mend="use 'nodes' or 'edges'",
        )
    graph = circuit.graph
    parts = [each for each in circuit.nodes if each.name not in ("embed", "logits")]
    leaving = np.zeros((len(parts), graph.n_edges), dtype=bool)
    for row, part in enumerate(parts):
        if part in graph.senders:
            leaving[row, graph.out_of(part)] = True
    names = tuple(map(str, parts))
    drawn = np.random.default_rng(seed).random((subsets if parts else 0, len(parts))) < 0.5
    sets = np.any(drawn[:, :, None] & leaving[None], axis=1)
    chosen = tuple(tuple(np.asarray(names)[row].tolist()) for row in drawn)
    if groups == "nodes":
        return Removals(names, leaving, chosen, sets)
    edges = np.flatnonzero(circuit.kept)
    single = np.zeros((len(edges), graph.n_edges), dtype=bool)
    single[np.arange(len(edges)), edges] = True
    return Removals(circuit.edge_names, single, chosen, sets)
