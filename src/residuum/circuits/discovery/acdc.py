"""ACDC: edges are taken out one after the other, from the logits backward, while little is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.circuits.discovery.exact_masked import masked_runs
from residuum.circuits.discovery.path_search import own_circuit
from residuum.circuits.discovery.problem import DiscoveryProblem
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.nodes import parts_of
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, OptionError, Progress
from residuum.runs import shown

_FEWEST, _MOST = 4, 64


@dataclass(frozen=True)
class ACDC:
    """Automatic circuit discovery: an edge goes if the metric loses less than a threshold by it.

    Receivers are visited from the logits backward, the senders of each from the last to the first;
    each edge is tried in what is left by then. Many tries share a batch: the next edges are taken
    out cumulatively, and what comes after the first one that must stay is tried again, so the
    result is that of one try after the other.

    Attributes:
        threshold: loss at which an edge stays, in the metric's unit, averaged over pairs.

    Raises:
        OptionError: a threshold that is not positive.

    Shows: a circuit none of whose edges could be taken out when it was visited; an edge's score is
    what was lost then. Does not show: an order of edges of the whole model (early and late tries
    are made in other surroundings), or that another order would not find another circuit.

    Source: Conmy et al. 2023, "Towards automated circuit discovery for mechanistic
    interpretability", §3 and algorithm 1. Deviation: the metric is the task's, or that asked for
    (``metric="kl_bits"`` is the paper's).

    >>> ACDC(0.05).record
    {'name': 'ACDC', 'threshold': 0.05}
    """

    threshold: float

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if not number or not 0 < self.threshold < float("inf"):
            raise OptionError(
                f"threshold={shown(self.threshold)} is out of range",
                mend="give a positive number, in the metric's unit",
            )

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        return {"name": "ACDC", "threshold": self.threshold}

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """For every edge what was lost when it was tried."""
        tries = _Tries(problem)
        progress.start("ACDC", problem.graph.n_edges)
        try:
            for receiver in reversed(range(len(problem.graph.receivers))):
                edges = problem.graph.into(problem.graph.receivers[receiver])[::-1]
                if tries.unread(receiver):
                    tries.kept[edges] = False
                else:
                    tries.visit(edges, self.threshold)
                progress.advance(len(edges))
        finally:
            progress.finish()
        problem.passes += tries.runs.work.passes
        kept = np.flatnonzero(tries.kept).tolist()
        method = {**self.record, "kept": kept, "tries": tries.tries}
        return problem.scores(
            method,
            tries.lost,
            full=tries.full,
            empty=problem.sign * tries.runs.empty,
            warnings=(
                "a score is what was lost when the edge was tried, in what was left by then; "
                "scores of different edges are not of one model",
            ),
        )

    def chosen(self, scores: EdgeScores) -> Circuit:
        """The circuit of the edges that stayed."""
        return own_circuit(scores, scores.method["kept"], {"threshold": self.threshold})


class _Tries:
    """The state of a search.

    Attributes:
        kept: bool ``[edge]``: what is left.
        lost: float64 ``[example edge]``: what was lost with each edge when it was tried.
        tries: circuits that were run.
    """

    def __init__(self, problem: DiscoveryProblem) -> None:
        self.problem, self.graph = problem, problem.graph
        self.runs = masked_runs(problem)
        self.kept = np.ones(self.graph.n_edges, dtype=bool)
        self.lost = np.zeros((len(problem.task), self.graph.n_edges))
        self.full = self.now = problem.sign * self.runs.whole
        self.tries, self.ahead = 0, _FEWEST

    def unread(self, receiver: int) -> bool:
        """Whether nothing that is left reads what the receiver's parts send."""
        parts = parts_of(self.graph.receivers[receiver], self.graph.group)
        if parts[0].name == "logits":
            return False
        return not any(
            self.kept[self.graph.out_of(part)].any() for part in parts if part in self._senders
        )

    @property
    def _senders(self) -> tuple[Any, ...]:
        return self.graph.senders

    def visit(self, edges: np.ndarray, threshold: float) -> None:
        """Try these edges in turn."""
        at = 0
        while at < len(edges):
            some = edges[at : at + self.ahead]
            circuits = np.repeat(self.kept[None], len(some), axis=0)
            for step, edge in enumerate(some):
                circuits[step:, edge] = False
            found = self.problem.sign * self.runs.metric(circuits)
            self.tries += len(some)
            for edge, value in zip(some, found, strict=True):
                self.lost[:, edge] = self.now - value
                at += 1
                if self.lost[:, edge].mean() >= threshold:
                    self.ahead = max(_FEWEST, self.ahead // 2)
                    break
                self.kept[edge], self.now = False, value
            else:
                self.ahead = min(_MOST, 2 * self.ahead)
