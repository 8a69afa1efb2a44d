"""What the edges of a circuit do, measured one by one, and at which positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from residuum.circuits.discovery.exact import measure_edges
from residuum.circuits.discovery.problem import DiscoveryProblem
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import parts_of
from residuum.circuits.graph.positions import END, REST, positions_for
from residuum.circuits.roles.part_role import PartEffect
from residuum.core import Progress, TaskError
from residuum.runs import Metric, Model, Task, bootstrap_mean_intervals, sign_flip_max_t

_ROUNDING = 1e-5
"""Effects below this share of the metric's own size are rounding."""


@dataclass(frozen=True)
class Measuring:
    """How edges are measured.

    Attributes:
        reference: what an edge carries instead.
        most: so many edges of the circuit, the largest by score.
        least: share of the largest effect below which an edge is no evidence.
    """

    model: Model
    task: Task
    metric: Metric
    reference: str
    most: int
    least: float
    seed: int
    max_memory: int | None
    progress: Progress

    def problem(self, graph: Graph) -> DiscoveryProblem:
        """The edges of a graph on the task."""
        return DiscoveryProblem(
            self.model, self.task, graph, self.metric, self.reference, self.seed, self.max_memory
        )

    def measured(self, graph: Graph, edges: np.ndarray) -> tuple[tuple[PartEffect, ...], float]:
        """Exact effects of these edges, in the same order, and the passes that they took."""
        if not len(edges):
            return (), 0.0
        problem = self.problem(graph)
        exact = measure_edges(problem, edges, "auto", self.progress)
        values, means = exact.examples, exact.examples.mean(axis=0)
        low, high = bootstrap_mean_intervals(values.T, seed=self.seed)
        flips = sign_flip_max_t(values, seed=self.seed)
        rounding = _ROUNDING * float(np.abs(exact.full).max())
        large = np.abs(means) >= max(self.least * float(np.abs(means).max()), rounding)
        found = []
        for at, edge in enumerate(edges.tolist()):
            sender, receiver, *place = graph.edges[edge].tolist()
            found.append(
                PartEffect(
                    str(graph.senders[sender]),
                    str(graph.receivers[receiver]),
                    tuple(map(str, parts_of(graph.receivers[receiver], graph.group))),
                    graph.positions[place[0]] if place else "",
                    float(means[at]),
                    float(low[at]),
                    float(high[at]),
                    float(flips.p[at]),
                    bool(large[at] and flips.verdicts[at] == "shown"),
                )
            )
        return tuple(found), problem.passes


def chosen_edges(circuit: Circuit, most: int) -> tuple[np.ndarray, str]:
    """Edges of the circuit that are measured, and a warning where that is not all of them."""
    edges = np.flatnonzero(circuit.kept)
    total = len(edges)
    if total <= most:
        return edges, ""
    if circuit.scores is not None:
        edges = edges[np.argsort(-np.abs(circuit.scores.values[edges]), kind="stable")]
    which = "largest by score" if circuit.scores is not None else "first"
    return np.sort(edges[:most]), (
        f"{most} of {total:,} edges were measured, the {which}; names rest on these (most=)"
    )


def work_positions(circuit: Circuit, task: Task) -> tuple[tuple[str, ...], str]:
    """The positions to tell apart, and a warning where the task's own cannot be used."""
    if circuit.graph.positions:
        return circuit.graph.positions, ""
    if not task.positions:
        return (END, REST), ""
    try:
        return positions_for(task), ""
    except TaskError as error:
        return (END, REST), f"the task's positions are not told apart: {error.what}"


def by_position(
    measuring: Measuring, circuit: Circuit, strongest: Sequence[PartEffect], names: Sequence[str]
) -> tuple[dict[str, tuple[PartEffect, ...]], float]:
    """Each sender's strongest edge at each position alone, largest first, and the passes."""
    graph = circuit.graph
    if not strongest:
        return {}, 0.0
    inside = set(circuit.edge_names)
    edges = [
        (graph.node(each.sender, "sender"), graph.node(each.receiver, "receiver"), position)
        for each in strongest
        for position, name in enumerate(names)
        if not graph.positions or f"{each.sender} -> {each.receiver} @{name}" in inside
    ]
    order = sorted(range(len(edges)), key=lambda at: (edges[at][1], edges[at][2], edges[at][0]))
    placed = Graph(
        graph.senders,
        graph.receivers,
        np.array([edges[at] for at in order], dtype=np.int32),
        tuple(names),
        graph.group,
    )
    found, passes = measuring.measured(placed, np.arange(placed.n_edges))
    groups: dict[str, list[PartEffect]] = {}
    for each in found:
        groups.setdefault(each.sender, []).append(each)
    return {sender: _largest_first(each) for sender, each in groups.items()}, passes


def _largest_first(effects: Sequence[PartEffect]) -> tuple[PartEffect, ...]:
    return tuple(sorted(effects, key=lambda each: -abs(each.value)))


def into_and_out_of(
    effects: Sequence[PartEffect], part: str
) -> tuple[tuple[PartEffect, ...], tuple[PartEffect, ...]]:
    """Measured edges out of a part, and into it, largest first."""
    out = [each for each in effects if each.sender == part]
    into = [each for each in effects if part in each.readers]
    return _largest_first(out), _largest_first(into)
