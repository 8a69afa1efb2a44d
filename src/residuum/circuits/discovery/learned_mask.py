"""Learned masks: which edges must stay, asked of gradient descent over gates of all edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.circuits.discovery.exact_masked import masked_runs
from residuum.circuits.discovery.gates import Descent, goal_of
from residuum.circuits.discovery.path_search import own_circuit
from residuum.circuits.discovery.problem import DiscoveryProblem, need_gradient
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, OptionError, Progress
from residuum.runs import shown, whole_number


@dataclass(frozen=True)
class LearnedMask:
    """A gate for every edge, trained to keep the metric with so many edges open.

    Each gate is hard concrete: drawn anew at each step, exactly 0 or 1 with positive probability.
    The loss is the squared distance of the masked run's metric from the clean run's (as a share of
    clean less empty), and an augmented Lagrangian holds the expected number of open gates at the
    target.

    Attributes:
        n_edges, share: the target; one of them.
        steps: of Adam.
        lr: its rate; the Lagrangian's multiplier rises at the same rate.
        warm: share of the steps over which the target falls from all edges to its value.

    Raises:
        OptionError: no target or two, or an option out of range.

    Shows: a set of edges that together keep the metric on these prompts. Does not show: an edge's
    own effect: a score is the probability that its gate is open. Other seeds may find another set.

    Source: Louizos, Welling, Kingma 2018, "Learning sparse neural networks through L0
    regularization", §2.2 (hard concrete); Bhaskar et al. 2024, "Finding transformer circuits with
    edge pruning", §3 (edges and the Lagrangian). Deviation: the task's metric, where they use KL.

    >>> LearnedMask(share=0.1).record["steps"]
    200
    """

    n_edges: int | None = None
    share: float | None = None
    steps: int = 200
    lr: float = 0.2
    warm: float = 0.5

    def __post_init__(self) -> None:
        if (self.n_edges is None) == (self.share is None):
            raise OptionError("n_edges and share: no target, or two", mend="give one of them")
        if self.n_edges is not None:
            whole_number(self.n_edges, "n_edges", 1)
        whole_number(self.steps, "steps", 1)
        for name, given, most in (
            ("share", self.share, 1),
            ("lr", self.lr, 100),
            ("warm", self.warm, 1),
        ):
            if given is not None and not (isinstance(given, (int, float)) and 0 < given <= most):
                raise OptionError(
                    f"{name}={shown(given)} is out of range", mend=f"give a number in (0, {most}]"
                )

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        size = {"n_edges": self.n_edges} if self.share is None else {"share": self.share}
        return {
            "name": "LearnedMask",
            **size,
            "steps": self.steps,
            "lr": self.lr,
            "warm": self.warm,
        }

    def target(self, n_edges: int) -> int:
        """Edges to keep of so many."""
        if self.n_edges is not None:
            return min(self.n_edges, n_edges)
        assert self.share is not None
        return max(1, round(self.share * n_edges))

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """For every edge the probability that its gate is open."""
        need_gradient(problem.metric)
        runs = masked_runs(problem)
        goal, portions = goal_of(problem, runs), list(runs.portions.rows)
        n = self.target(problem.graph.n_edges)
        open_, losses = Descent(n, self.steps, self.lr, self.warm).train(
            problem, lambda step: (goal, portions[step % len(portions)]), progress
        )
        problem.passes += runs.work.passes
        kept = np.argsort(-open_, kind="stable")[:n]
        method = {
            **self.record,
            "kept": sorted(kept.tolist()),
            "loss": losses[-1],
            "expected": float(open_.sum()),
        }
        note = "a score is the probability that the edge's gate is open, not an effect"
        return problem.scores(
            method,
            None,
            values=open_,
            full=goal.whole,
            empty=problem.sign * runs.empty,
            warnings=(note,),
        )

    def chosen(self, scores: EdgeScores) -> Circuit:
        """The circuit of the gates most probably open, as many as the target."""
        return own_circuit(scores, scores.method["kept"], {"n_edges": len(scores.method["kept"])})
