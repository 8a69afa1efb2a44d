"""Backward search: from the logits to what feeds them, and on to what feeds that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.circuits.discovery.exact import Engine, Exact, ExactEdges, measure_edges
from residuum.circuits.discovery.problem import DiscoveryProblem
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import KEYS_VALUES, inputs_of
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, OptionError, Progress
from residuum.runs import shown, whole_number


@dataclass(frozen=True)
class PathSearch:
    """Path patching from the logits backward: only edges into what was found are measured.

    The edges into the logits are measured exactly; those of at least ``threshold`` are kept, and
    the inputs of the parts that they leave are the next receivers; and so on. Edges into parts that
    were never reached are not measured and score 0.

    Attributes:
        threshold: smallest |effect| of an edge that is kept, in the metric's unit, or (with
            ``relative``) as a share of clean less reference metric.
        relative: which of the two.
        max_edges: stop before more edges than this are measured; None for no bound.
        engine: as of :class:`ExactEdges`.

    Raises:
        OptionError: a threshold that is not positive.

    Shows: a chain of edges each of which matters by itself, in the order in which a person would
    find it. Does not show: parts that matter only together, or whose way to the logits is made of
    edges each below the threshold.

    Source: Wang et al. 2022, "Interpretability in the Wild", §3 (the order of the search);
    Goldowsky-Dill et al. 2023. Deviation: each edge alone is patched, not a path of several.

    >>> PathSearch(0.05).record["relative"]
    True
    """

    threshold: float = 0.02
    relative: bool = True
    max_edges: int | None = None
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if not number or not 0 < self.threshold < float("inf"):
            raise OptionError(
                f"threshold={shown(self.threshold)} is out of range",
                mend="give a positive number, such as 0.02",
            )
        if self.max_edges is not None:
            whole_number(self.max_edges, "max_edges", 1)
        ExactEdges(self.engine)

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        return {
            "name": "PathSearch",
            "threshold": self.threshold,
            "relative": self.relative,
            "max_edges": self.max_edges,
        }

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """Exact effects of the edges that were reached, 0 elsewhere."""
        graph = problem.graph
        examples = np.zeros((len(problem.task), graph.n_edges))
        measured, kept = np.zeros((2, graph.n_edges), dtype=bool)
        least, ends = self._least(problem)
        waiting = _into(graph, [graph.node("logits", "receiver")])
        while len(waiting):
            if self.max_edges is not None and measured.sum() + len(waiting) > self.max_edges:
                problem.warnings.append(
                    f"stopped before {len(waiting)} further edges: max_edges is {self.max_edges}"
                )
                break
            found = measure_edges(problem, waiting, self.engine, progress)
            examples[:, waiting], measured[waiting] = found.examples, True
            kept[waiting] = np.abs(found.examples.mean(axis=0)) >= least
            waiting = np.flatnonzero(_open(graph, kept) & ~measured)
        method = {
            **self.record,
            "least": least,
            "measured": int(measured.sum()),
            "kept": np.flatnonzero(kept).tolist(),
        }
        note = f"{int(measured.sum())} of {graph.n_edges} edges were measured; the others score 0"
        return problem.scores(method, examples, full=ends.full, empty=ends.empty, warnings=(note,))

    def chosen(self, scores: EdgeScores) -> Circuit:
        """The circuit of the edges that were kept."""
        return own_circuit(scores, scores.method["kept"], {"threshold": scores.method["least"]})

    def _least(self, problem: DiscoveryProblem) -> tuple[float, Exact]:
        """The threshold in the metric's unit, and the metric at both ends."""
        every = measure_edges(problem, np.zeros(0, dtype=int), self.engine)
        if not self.relative:
            return float(self.threshold), every
        if every.empty is None:
            raise OptionError(
                f"a relative threshold needs a run at the reference; {problem.reference!r} is none",
                mend="give PathSearch(threshold, relative=False), in the metric's unit",
            )
        distance = abs(float(every.full.mean() - every.empty.mean()))
        if distance == 0:
            raise OptionError(
                "clean and reference prompts have the same metric, so no share of it can be taken",
                mend="give PathSearch(threshold, relative=False), in the metric's unit",
            )
        return self.threshold * distance, every


def _into(graph: Graph, receivers: list[int]) -> np.ndarray:
    return np.flatnonzero(np.isin(graph.edges[:, 1], receivers))


def _open(graph: Graph, kept: np.ndarray) -> np.ndarray:
    """Edges into the logits, or into parts that a kept edge leaves (at its position)."""
    number = {each: index for index, each in enumerate(graph.receivers)}
    found = np.zeros(graph.n_edges, dtype=bool)
    found[_into(graph, [graph.node("logits", "receiver")])] = True
    for edge in np.unique(
        graph.edges[kept][:, [0, -1]] if graph.positions else graph.edges[kept][:, [0, 0]], axis=0
    ):
        for receiver in inputs_of(graph.senders[edge[0]], graph.group):
            if receiver not in number:
                continue
            into = _into(graph, [number[receiver]])
            if graph.positions and receiver.name not in KEYS_VALUES:
                into = into[graph.edges[into, 2] == edge[1]]
            found[into] = True
    return found


def own_circuit(scores: EdgeScores, kept: Any, record: dict[str, Any]) -> Circuit:
    """The circuit that a method chose itself."""
    chosen = np.zeros(scores.graph.n_edges, dtype=bool)
    chosen[np.asarray(kept, dtype=int)] = True
    selection = {"how": str(scores.method["name"]), "by": "method", **record}
    return Circuit(scores.graph, chosen, scores, selection, scores.reference, scores.provenance)
