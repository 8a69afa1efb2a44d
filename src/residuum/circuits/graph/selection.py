"""Choosing a circuit's edges from their scores: the largest, or grown from the logits backward.

>>> from residuum.circuits.graph.graph import Graph
>>> graph = Graph.of(["embed", "L0.head_out[H0]"], ["L0.q_in[H0]", "logits"])
>>> keep(graph, [0.9, 0.1, 0.2], 1, how="top").tolist()
[True, False, False]
>>> keep(graph, [0.9, 0.1, 0.2], 1, how="greedy").tolist()
[False, False, True]
"""

from __future__ import annotations

import heapq
from typing import Any, Protocol

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import KEYS_VALUES, inputs_of, parts_of
from residuum.core import OptionError
from residuum.runs import shown

HOW = ("top", "greedy")
BY = ("signed", "absolute")
PRUNE = ("none", "unread", "both")


class Scored(Protocol):
    """A score for every edge of a graph."""

    @property
    def graph(self) -> Graph:
        """Whose edges."""
        ...

    @property
    def values(self) -> np.ndarray:
        """``[edge]``."""
        ...


def select(
    scores: Scored, n: int, how: str = "greedy", by: str = "absolute", prune: str = "none"
) -> np.ndarray:
    """Which edges belong to the circuit of ``n`` edges: bool ``[edge]``; as :func:`keep`."""
    return keep(scores.graph, scores.values, n, how=how, by=by, prune=prune)


def keep(
    graph: Graph,
    values: Any,
    n: int,
    *,
    how: str = "greedy",
    by: str = "absolute",
    prune: str = "none",
) -> np.ndarray:
    """Which edges are kept, bool ``[edge]``.

    Args:
        values: score of each edge, positive where it supports the behaviour.
        n: edges to choose, 0 to all.
        how: ``"top"``: the ``n`` best, wherever they are. ``"greedy"``: grown from the logits
            backward, one edge at a time: the best of those whose receiving part sends something
            that is kept. Every edge of it then has a way to the logits.
        by: best is the largest ``"signed"`` score (edges that work against the behaviour come
            last), or the largest ``"absolute"`` one.
        prune: after that, and so with fewer than ``n``: ``"unread"`` drops edges with no way on to
            the logits, which changes no metric value; ``"both"`` also those out of parts that
            receive nothing themselves (``embed`` excepted), which may.

    Of equal scores the first in the graph's order is taken, so that a choice can be repeated.

    Raises:
        OptionError: an option that is none, scores with NaN, or more edges than there are.
    """
    for name, given, known in (("how", how, HOW), ("by", by, BY), ("prune", prune, PRUNE)):
        if given not in known:
            raise OptionError(f"{name}={shown(given)} is unknown", mend=f"use {' or '.join(known)}")
    key = np.asarray(values, dtype=np.float64)
    if key.shape != (graph.n_edges,) or not np.isfinite(key).all():
        raise OptionError(
            f"scores of shape {list(key.shape)}, or with NaN, for {graph.n_edges} edges",
            mend="score every edge of the graph first",
        )
    if type(n) is not int or not 0 <= n <= graph.n_edges:
        raise OptionError(
            f"n_edges={shown(n)} of a graph with {graph.n_edges}", mend=f"use 0 to {graph.n_edges}"
        )
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[ordered(graph, key, n, how=how, by=by)] = True
    return kept if prune == "none" else pruned(graph, kept, prune)


def ordered(graph: Graph, values: np.ndarray, n: int, *, how: str, by: str) -> np.ndarray:
    """Numbers of the ``n`` edges that :func:`keep` chooses, in the order in which they join."""
    key = np.abs(values) if by == "absolute" else values
    return _best(key, n) if how == "top" else np.asarray(_grown(graph, key, n), dtype=np.int64)


def pruned(graph: Graph, kept: np.ndarray, prune: str = "unread") -> np.ndarray:
    """The kept edges without dangling ones, bool ``[edge]``; ``prune`` as of :func:`keep`."""
    kept = np.array(kept, dtype=bool)
    while True:
        left = kept & _read_on(graph, kept)
        if prune == "both":
            left &= _fed(graph, left)
        if (left == kept).all():
            return kept
        kept = left


def dangling(graph: Graph, kept: np.ndarray) -> int:
    """How many kept edges have no way on to the logits, and so change no metric value."""
    return int(kept.sum() - pruned(graph, kept).sum())


def size_of(total: int, n_edges: Any, share: Any) -> int:
    """A number of edges, given as such or as a share of all.

    Raises:
        OptionError: neither, both, or a share outside 0 to 1.
    """
    if (n_edges is None) == (share is None):
        raise OptionError(
            "a circuit needs a size, either n_edges or share",
            mend="give n_edges=200, or share=0.05 for 5 % of the edges",
        )
    if n_edges is not None:
        return n_edges
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise OptionError(f"share={shown(share)} is no share", mend="use 0 to 1")
    return round(share * total)


def _best(key: np.ndarray, n: int) -> np.ndarray:
    return np.argsort(-key, kind="stable")[:n]


def _grown(graph: Graph, key: np.ndarray, n: int) -> list[int]:
    """Edges in the order in which they join, the logits being in from the start."""
    waiting = _Waiting(graph, key)
    waiting.open_logits()
    chosen: list[int] = []
    while len(chosen) < n and waiting.heap:
        edge = heapq.heappop(waiting.heap)[1]
        chosen.append(edge)
        waiting.open_sender(edge)
    return chosen


class _Waiting:
    """Edges that may join next, best first; an edge joins once."""

    def __init__(self, graph: Graph, key: np.ndarray) -> None:
        self.graph, self.key = graph, key
        self.heap: list[tuple[float, int]] = []
        self._seen = np.zeros(graph.n_edges, dtype=bool)
        self._by_receiver = _grouped(graph.edges[:, 1], len(graph.receivers))
        self._reads_anywhere = [each.name in KEYS_VALUES for each in graph.receivers]
        self._inputs = _receivers_of(graph)

    def open_logits(self) -> None:
        for index, receiver in enumerate(self.graph.receivers):
            if receiver.name == "logits":
                self._offer(self._by_receiver[index])

    def open_sender(self, edge: int) -> None:
        """What arrives at the part that this edge leaves: its output at a position depends on its
        queries and MLP there, and on keys and values anywhere."""
        at = self.graph.edges[edge, 2] if self.graph.positions else None
        for index in self._inputs[self.graph.edges[edge, 0]]:
            found = self._by_receiver[index]
            if at is not None and not self._reads_anywhere[index]:
                found = found[self.graph.edges[found, 2] == at]
            self._offer(found)

    def _offer(self, edges: np.ndarray) -> None:
        new = edges[~self._seen[edges]]
        self._seen[new] = True
        for edge in new.tolist():
            heapq.heappush(self.heap, (-float(self.key[edge]), edge))


def _grouped(labels: np.ndarray, n: int) -> list[np.ndarray]:
    """Indices of each label, in order."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, n)))


def _receivers_of(graph: Graph) -> list[list[int]]:
    """For each sender, the numbers of its part's receivers in this graph."""
    number = {each: index for index, each in enumerate(graph.receivers)}
    return [
        [number[each] for each in inputs_of(sender, graph.group) if each in number]
        for sender in graph.senders
    ]


def _read_on(graph: Graph, kept: np.ndarray) -> np.ndarray:
    """Edges whose receiver is the logits, or belongs to a part that sends something kept."""
    n = max(len(graph.positions), 1)
    sends = np.zeros((len(graph.senders), n), dtype=bool)
    at = graph.edges[:, 2] if graph.positions else np.zeros(graph.n_edges, dtype=np.int32)
    sends[graph.edges[kept, 0], at[kept]] = True
    number = {each: index for index, each in enumerate(graph.senders)}
    used = np.zeros((len(graph.receivers), n), dtype=bool)
    for index, receiver in enumerate(graph.receivers):
        if receiver.name == "logits":
            used[index] = True
        for part in parts_of(receiver, graph.group):
            if part in number:
                own = sends[number[part]]
                used[index] |= own.any() if receiver.name in KEYS_VALUES else own
    return used[graph.edges[:, 1], at]


def _fed(graph: Graph, kept: np.ndarray) -> np.ndarray:
    """Edges whose sender is ``embed``, or a part that receives something kept."""
    arrives = np.zeros(len(graph.receivers), dtype=bool)
    arrives[graph.edges[kept, 1]] = True
    inputs = _receivers_of(graph)
    fed = np.array(
        [
            sender.name == "embed" or bool(arrives[inputs[index]].any())
            for index, sender in enumerate(graph.senders)
        ]
    )
    return fed[graph.edges[:, 0]]
