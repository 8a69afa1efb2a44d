"""What a graph cannot be, and what to say of an edge that it does not have."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from residuum.circuits.graph.nodes import RECEIVERS, SENDERS, reaches
from residuum.circuits.graph.shape import GraphShape
from residuum.core import Address, AddressError, OptionError


class Checked(Protocol):
    """What is looked at of a graph."""

    @property
    def senders(self) -> tuple[Address, ...]:
        """What sends."""
        ...

    @property
    def receivers(self) -> tuple[Address, ...]:
        """What reads."""
        ...

    @property
    def edges(self) -> np.ndarray:
        """``[edge 2]`` or ``[edge 3]``."""
        ...

    @property
    def positions(self) -> tuple[str, ...]:
        """Names of positions."""
        ...

    @property
    def group(self) -> int:
        """Query heads that share a key/value head."""
        ...

    @property
    def shape(self) -> GraphShape | None:
        """Of its model."""
        ...

    def name(self, edge: int) -> str:
        """Of an edge."""
        ...

    def node(self, address: Any, role: str) -> int:
        """Number of a sender or receiver."""
        ...


def check_graph(graph: Checked) -> None:
    """Refuse nodes of another kind or given twice, and edges that cannot be.

    Raises:
        OptionError: says which.
    """
    if graph.shape is not None:
        strange = graph.shape.missing_node(graph.senders, graph.receivers)
        if strange or graph.group != graph.shape.group:
            what = f"has no {strange}" if strange else f"shares a key/value head {graph.group}-fold"
            raise OptionError(
                f"a model of {graph.shape} {what}", mend="make the graph by graph_of(model)"
            )
    for nodes, names, role in (
        (graph.senders, SENDERS, "sender"),
        (graph.receivers, RECEIVERS, "receiver"),
    ):
        strange = [each for each in nodes if each.name not in names or each.is_query]
        if strange or len(set(nodes)) < len(nodes):
            what = f"{strange[0]} is no {role}" if strange else f"a {role} is given twice"
            raise OptionError(what, mend=f"{role}s are: {', '.join(names)}, each given once")
    edges, sizes = graph.edges, [len(graph.senders), len(graph.receivers), len(graph.positions)]
    limits = np.asarray(sizes[: edges.shape[1]])
    if ((edges < 0) | (edges >= limits)).any() or len(np.unique(edges, axis=0)) < len(edges):
        raise OptionError(
            "an edge is given twice, or ends at a node that there is not",
            mend="number senders, receivers and positions from 0, and give each edge once",
        )
    before = reaches(graph.senders, graph.receivers)
    wrong = np.flatnonzero(~before[edges[:, 0], edges[:, 1]]) if len(edges) else []
    if len(wrong):
        raise OptionError(
            f"an edge that runs backwards: {graph.name(int(wrong[0]))}",
            mend="an edge goes from a part to one that reads after it",
        )


def no_such_edge(graph: Checked, name: Any) -> OptionError:
    """The refusal of an edge by a name that a graph does not have; says which end is unknown."""
    ends = str(name).split(" @")[0].split(" -> ")
    if len(ends) != 2:
        return OptionError(
            f"{name!r} names no edge",
            mend='write "L0.head_out[H2] -> L1.k_in[H1]", with " @NAME" where positions are named',
        )
    for address, role in zip(ends, ("sender", "receiver"), strict=True):
        try:
            graph.node(address, role)
        except (OptionError, AddressError) as error:
            return OptionError(error.what, mend=error.mend)
    places = f"; positions are {', '.join(graph.positions)}" if graph.positions else ""
    return OptionError(
        f"there is no edge {name} in this graph",
        mend=f"an edge goes from a part to one that reads after it{places}",
    )
