"""The graph of a model: who adds to the residual stream, who reads it, and every edge between.

>>> graph = Graph.of(["embed", "L0.head_out[H0]"], ["L0.q_in[H0]", "logits"])
>>> [graph.name(i) for i in range(graph.n_edges)]
['embed -> L0.q_in[H0]', 'embed -> logits', 'L0.head_out[H0] -> logits']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from residuum.circuits.graph.edge_runs import at_each_position, from_runs, to_runs
from residuum.circuits.graph.graph_checks import check_graph, no_such_edge
from residuum.circuits.graph.nodes import parts_of, reaches
from residuum.circuits.graph.shape import GraphShape
from residuum.core import Address, AddressError, OptionError, StoreError, content_hash
from residuum.runs import shown

_FORMAT = 1
_KEYS = {"format", "kind", "senders", "receivers", "positions", "group", "runs"}


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Senders, receivers and the edges between them; an edge is a piece of the stream that is read.

    Attributes:
        senders: ``embed``, ``L{l}.head_out[H{h}]``, ``L{l}.mlp_out``, in forward order; where asked
            for, ``L{l}.mlp_act[N{n}]`` and ``L{l}.mlp_out/NAME[F{f}]``, and then ``L{l}.mlp_out``
            is the rest of that MLP.
        receivers: ``L{l}.q_in[H]``, ``k_in[H]``, ``v_in[H]`` (of key/value heads), ``L{l}.mlp_in``,
            ``logits``; for finer parts ``L{l}.mlp_pre[N{n}]`` and ``L{l}.mlp_in/NAME[F{f}]``.
        edges: int32 ``[edge 2]`` (sender, receiver), or ``[edge 3]`` with the position whose stream
            is read where positions are named.
        positions: their names, a partition of the tokens; empty where an edge means every token.
        group: query heads that share a key/value head.
        shape: of the model whose edges these are, as :func:`residuum.circuits.graph_of` knows it;
            None for a graph that was made by hand. Whatever runs a model takes only its own.

    A graph may leave edges of its model out. They are not in question: they always carry the run's
    own value, in every circuit, and :attr:`left_out` names them.

    Raises:
        OptionError: an edge twice, to a node that there is not, or backwards; another shape.
    """

    senders: tuple[Address, ...]
    receivers: tuple[Address, ...]
    edges: np.ndarray
    positions: tuple[str, ...] = ()
    group: int = 1
    shape: GraphShape | None = None

    def __post_init__(self) -> None:
        for name in ("senders", "receivers"):
            nodes = tuple(Address.parse(each) for each in getattr(self, name))
            object.__setattr__(self, name, nodes)
        object.__setattr__(self, "positions", tuple(self.positions))
        width = 3 if self.positions else 2
        edges = np.asarray(self.edges, dtype=np.int32).reshape(-1, width).copy()
        edges.setflags(write=False)
        object.__setattr__(self, "edges", edges)
        check_graph(self)

    @staticmethod
    def of(
        senders: Iterable[Any],
        receivers: Iterable[Any],
        positions: Sequence[str] = (),
        *,
        parallel: Sequence[int] = (),
        group: int = 1,
        shape: GraphShape | None = None,
    ) -> Graph:
        """Every possible edge between these nodes: by receiver, then by position, then by sender.

        Args:
            parallel: layers whose MLP reads the same stream as their attention.
        """
        sending = tuple(Address.parse(each) for each in senders)
        reading = tuple(Address.parse(each) for each in receivers)
        late = np.array([each.layer in parallel for each in reading])
        before = reaches(sending, reading, late)
        edges = np.argwhere(before.T)[:, ::-1].astype(np.int32)
        if positions:
            edges = at_each_position(edges, len(positions))
        return Graph(sending, reading, edges, tuple(positions), group, shape)

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.edges)

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """Names of the model's edges that are not in it; none where the shape is not known.

        Of an edge that only the answer's token can read, any position counts.
        """
        if self.shape is None:
            return ()
        return self.shape.left_out(self.senders, self.receivers, self.edges, self.positions)

    def name(self, edge: int) -> str:
        """``"L0.head_out[H2] -> L1.k_in[H1]"``, with ``" @S2"`` where positions are named.

        Raises:
            OptionError: no number of an edge.
        """
        if not isinstance(edge, (int, np.integer)) or not 0 <= edge < self.n_edges:
            raise OptionError(
                f"there is no edge {shown(edge)}, the graph has {self.n_edges}",
                mend=f"use 0 to {self.n_edges - 1}, or graph.index(name)",
            )
        sender, receiver, *position = self.edges[edge]
        at = f" @{self.positions[position[0]]}" if position else ""
        return f"{self._texts[0][sender]} -> {self._texts[1][receiver]}{at}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all edges, in order."""
        return tuple(self.name(edge) for edge in range(self.n_edges))

    def index(self, name: str) -> int:
        """Number of the edge of this name.

        Raises:
            OptionError: no such edge; the message says whether an end is unknown.
        """
        if name in self._places:
            return self._places[name]
        raise no_such_edge(self, name)

    def into(self, receiver: Any) -> np.ndarray:
        """Numbers of the edges that arrive at a receiver, int64 ``[n]``.

        Raises:
            OptionError: no such receiver.
        """
        return np.flatnonzero(self.edges[:, 1] == self.node(receiver, "receiver"))

    def out_of(self, sender: Any) -> np.ndarray:
        """Numbers of the edges that leave a sender, int64 ``[n]``.

        Raises:
            OptionError: no such sender.
        """
        return np.flatnonzero(self.edges[:, 0] == self.node(sender, "sender"))

    def node(self, address: Any, role: str) -> int:
        """Number of a ``"sender"`` or ``"receiver"``; a head may be named by its ``z``.

        Raises:
            OptionError: it is none of this graph.
        """
        nodes = self.senders if role == "sender" else self.receivers
        wanted = Address.parse(address)
        if wanted.name == "z":
            wanted = Address("head_out", wanted.layer, wanted.part)
        if wanted not in nodes:
            near = [str(each) for each in nodes if each.layer == wanted.layer] or [*map(str, nodes)]
            more = " …" * (len(near) > 8)
            raise OptionError(
                f"{address} is no {role} of this graph", mend=f"use {', '.join(near[:8])}{more}"
            )
        return nodes.index(wanted)

    def matrix(self, values: Any) -> np.ndarray:
        """Values of edges as float64 ``[sender receiver]`` (``[... position]``), NaN without edge.

        Args:
            values: ``[edge]``.

        Raises:
            OptionError: another number of values than edges.
        """
        given = np.asarray(values, dtype=np.float64)
        if given.shape != (self.n_edges,):
            raise OptionError(
                f"values of shape {list(given.shape)} for {self.n_edges} edges",
                mend="give one number for each edge, in the graph's order",
            )
        sizes = [len(self.senders), len(self.receivers)]
        table = np.full(sizes + [len(self.positions)] * bool(self.positions), np.nan)
        table[tuple(self.edges.T)] = given
        return table

    @cached_property
    def parts(self) -> tuple[Address, ...]:
        """Every part, in forward order: the senders, and ``logits``."""
        found = dict.fromkeys(self.senders)
        for receiver in self.receivers:
            found.update(dict.fromkeys(parts_of(receiver, self.group)))
        ends = [part for part in found if part.name == "logits"]
        return (*(part for part in found if part.name != "logits"), *ends)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over nodes, edges and positions, not over the model's shape."""
        return content_hash({k: v for k, v in self.to_json().items() if k != "shape"})

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data = {
            "format": _FORMAT,
            "kind": "circuit_graph",
            "senders": [str(each) for each in self.senders],
            "receivers": [str(each) for each in self.receivers],
            "positions": list(self.positions),
            "group": self.group,
            "runs": to_runs(self.edges),
        }
        return data if self.shape is None else data | {"shape": self.shape.to_json()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Graph:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys missing or unknown, another format, or values of another kind.
        """
        mend = "give what a graph's to_json() wrote"
        whole = isinstance(data, Mapping) and set(data) - {"shape"} == _KEYS
        if not whole or data["format"] != _FORMAT:
            raise StoreError(f"not a circuit's graph of format {_FORMAT}", mend=mend)
        try:
            return Graph(
                tuple(Address.parse(each) for each in data["senders"]),
                tuple(Address.parse(each) for each in data["receivers"]),
                from_runs(data["runs"], 3 if data["positions"] else 2),
                tuple(map(str, data["positions"])),
                int(data["group"]),
                GraphShape.from_json(data["shape"]) if "shape" in data else None,
            )
        except (TypeError, ValueError, OverflowError, AddressError, OptionError) as error:
            what = error.what if isinstance(error, (AddressError, OptionError)) else str(error)
            raise StoreError(f"a circuit's graph that does not hold: {what}", mend=mend) from error

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and self.hash == other.hash)

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        at = f", positions {', '.join(self.positions)}" if self.positions else ""
        nodes = f"{len(self.senders):,} senders, {len(self.receivers):,} receivers"
        less = f", {len(self.left_out):,} of the model's left out" * bool(self.left_out)
        return f"Graph({self.n_edges:,} edges: {nodes}{at}{less})"

    @cached_property
    def _texts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return tuple(map(str, self.senders)), tuple(map(str, self.receivers))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: edge for edge, name in enumerate(self.names)}


def need_graph(graph: Any, noun: str = "graph") -> Graph:
    """The graph, if it is one.

    Raises:
        OptionError: it is none.
    """
    if not isinstance(graph, Graph):
        raise OptionError(
            f"{noun}={shown(graph)} is no graph",
            mend="make one of the model: graph_of(model), or graph_of(model, task, "
            "by_position=True)",
        )
    return graph


def kept_of(graph: Any, kept: Any) -> np.ndarray:
    """Which edges of a graph are kept, bool ``[edge]``, a copy.

    Raises:
        OptionError: no graph, or not one yes or no for each of its edges.
    """
    found, n = np.array(kept), need_graph(graph).n_edges
    if found.shape != (n,) or found.dtype != np.bool_:
        raise OptionError(
            f"kept is {found.dtype} of shape {list(found.shape)}, the graph has {n} edges",
            mend="give one yes or no for each edge, in the graph's order",
        )
    return found
