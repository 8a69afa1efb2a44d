"""Ways through a graph: what is reached from the embedding, what reaches the logits, random paths.

A *place* is a sender at a named position (or everywhere). An edge leaves one place; it arrives at
those whose output it can change: queries and MLPs at its own position, keys and values at all.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import KEYS_VALUES, parts_of


class GraphPaths:
    """The places of a graph and the edges between them.

    Args:
        graph: of a model.
        among: bool ``[edge]``: only these edges are walked along; by default all.

    Attributes:
        starts: place that each edge leaves.
        ends: places that each edge arrives at.
        live: edges that lie on a path from the embedding to the logits.
    """

    def __init__(self, graph: Graph, among: np.ndarray | None = None) -> None:
        n = max(len(graph.positions), 1)
        self.graph = graph
        columns = graph.edges.T.tolist()
        at = columns[2] if graph.positions else [0] * graph.n_edges
        self.starts = [sender * n + place for sender, place in zip(columns[0], at, strict=True)]
        self.logits = len(graph.senders) * n
        self.embeds = {
            sender * n + place
            for sender, each in enumerate(graph.senders)
            if each.name == "embed"
            for place in range(n)
        }
        reached = _reached(graph, n, self.logits)
        self.ends = [reached[each] for each in zip(columns[1], at, strict=True)]
        self._order = np.argsort(graph.edges[:, 0], kind="stable").tolist()
        walked = np.ones(graph.n_edges, dtype=bool) if among is None else among
        fed, read = self.fed(walked), self.read(walked)
        self.live = np.array(
            [
                each
                for each in np.flatnonzero(walked).tolist()
                if self.starts[each] in fed and not read.isdisjoint(self.ends[each])
            ],
            dtype=np.int64,
        )
        self._into: dict[int, list[int]] = {}
        self._out: dict[int, list[int]] = {}
        for edge in self.live.tolist():
            self._out.setdefault(self.starts[edge], []).append(edge)
            for place in self.ends[edge]:
                self._into.setdefault(place, []).append(edge)

    def fed(self, kept: np.ndarray) -> set[int]:
        """Places that are reached from the embedding along kept edges."""
        found = set(self.embeds)
        for edge in self._order:
            if kept[edge] and self.starts[edge] in found:
                found.update(self.ends[edge])
        return found

    def read(self, kept: np.ndarray) -> set[int]:
        """Places from which the logits are reached along kept edges, the logits among them."""
        found = {self.logits}
        for edge in reversed(self._order):
            if kept[edge] and not found.isdisjoint(self.ends[edge]):
                found.add(self.starts[edge])
        return found

    def through(
        self, edge: int, fed: set[int], read: set[int], generator: np.random.Generator
    ) -> list[int]:
        """A random path through a live edge, from a fed place to one that is read.

        Each step back takes one of the live edges that arrive there, each step on one of those that
        leave, all equally probable, until a fed (a read) place is reached.
        """
        found = [edge]
        place = self.starts[edge]
        while place not in fed:
            step = _one_of(self._into[place], generator)
            found.append(step)
            place = self.starts[step]
        ends = self.ends[edge]
        while read.isdisjoint(ends):
            onward = [each for each in ends if each in self._out]
            step = _one_of(self._out[_one_of(onward, generator)], generator)
            found.append(step)
            ends = self.ends[step]
        return found

    def join(self, edges: Iterable[int], fed: set[int], read: set[int]) -> None:
        """Add a path's places to the fed and the read ones."""
        for edge in edges:
            fed.update(self.ends[edge])
            read.add(self.starts[edge])


def _reached(graph: Graph, n: int, logits: int) -> dict[tuple[int, int], tuple[int, ...]]:
    """For each receiver and position, the places whose output it can change."""
    number = {each: index for index, each in enumerate(graph.senders)}
    found = {}
    for receiver, each in enumerate(graph.receivers):
        mine = [number[part] for part in parts_of(each, graph.group) if part in number]
        for place in range(n):
            places = range(n) if each.name in KEYS_VALUES else [place]
            ends = tuple(part * n + at for part in mine for at in places)
            found[receiver, place] = (logits,) if each.name == "logits" else ends
    return found


def _one_of(choices: list[int], generator: np.random.Generator) -> int:
    return choices[int(generator.integers(len(choices)))]
