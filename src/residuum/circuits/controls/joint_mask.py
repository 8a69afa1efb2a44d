"""Learned masks that must keep the behaviour under several references at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from residuum.circuits.discovery.acdc import masked_runs
from residuum.circuits.discovery.gates import Descent, Goal, goal_of
from residuum.circuits.discovery.learned_mask import LearnedMask
from residuum.circuits.discovery.path_search import own_circuit
from residuum.circuits.discovery.problem import DiscoveryProblem, need_gradient
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.engine.references import check_reference
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, OptionError, Progress
from residuum.runs import whole_number


@dataclass(frozen=True)
class JointMask:
    """A gate for every edge, trained to keep the metric under several references in turn.

    A circuit that was found under one reference can do nothing under another: exchanging clean and
    corrupt prompts asks only for what differs between them. Here each step of a
    :class:`residuum.circuits.LearnedMask` takes the next reference and the next few pairs, so that
    one set of edges has to do under all.

    Attributes:
        n_edges, share: the target; one of them.
        references: in turn; the circuit is recorded under the problem's own reference, which
            ``rz.discover`` is given.
        steps: of Adam, over all references together.
        rows: pairs in a step.
        lr, warm: as of ``LearnedMask``.

    Raises:
        OptionError: no target or two, an unknown reference, or an option out of range.

    Shows: a set of edges that together keep the metric on these prompts under each of these
    references. Does not show: an edge's own effect: a score is the probability that its gate is
    open. Other seeds may find another set.

    Source: as of ``LearnedMask``; the references in turn are ours.

    >>> JointMask(share=0.1).record["references"]
    ['counterfactual', 'mean']
    """

    n_edges: int | None = None
    share: float | None = None
    references: tuple[str, ...] = ("counterfactual", "mean")
    steps: int = 300
    rows: int = 16
    lr: float = 0.2
    warm: float = 0.5

    def __post_init__(self) -> None:
        _ = self._mask
        if isinstance(self.references, str) or not self.references:
            raise OptionError(
                f"references={self.references!r}: no names of references",
                mend="give several, such as ('counterfactual', 'mean')",
            )
        found = tuple(dict.fromkeys(map(check_reference, self.references)))
        object.__setattr__(self, "references", found)
        whole_number(self.rows, "rows", 1)

    @property
    def _mask(self) -> LearnedMask:
        return LearnedMask(self.n_edges, self.share, self.steps, self.lr, self.warm)

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        own = {"references": list(self.references), "rows": self.rows}
        return {**self._mask.record, "name": "JointMask", **own}

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """For every edge the probability that its gate is open."""
        need_gradient(problem.metric)
        mixed = _mixed(problem)
        runs = {each: _under(mixed, each) for each in self.references}
        open_, losses = self._trained(problem, runs, progress)
        own = runs.get(problem.reference) or _under(mixed, problem.reference)
        problem.passes += sum(each.work.passes for each in {*runs.values(), own})
        n = self._mask.target(problem.graph.n_edges)
        method = {
            **self.record,
            "kept": sorted(np.argsort(-open_, kind="stable")[:n].tolist()),
            "loss": losses[-1],
            "expected": float(open_.sum()),
        }
        whole, empty = (problem.sign * each for each in (own.whole, own.empty))
        note = "a score is the probability that the edge's gate is open, not an effect"
        return problem.scores(method, None, values=open_, full=whole, empty=empty, warnings=(note,))

    def chosen(self, scores: EdgeScores) -> Circuit:
        """The circuit of the gates most probably open, as many as the target."""
        return own_circuit(scores, scores.method["kept"], {"n_edges": len(scores.method["kept"])})

    def _trained(
        self, problem: DiscoveryProblem, runs: dict[str, MaskedRuns], progress: Progress
    ) -> tuple[np.ndarray, list[float]]:
        """Probability that each gate is open, and the loss of each step."""
        mask, portions = self._mask, _portions(problem, runs, self.rows)
        goals = [goal_of(problem, runs[name]) for name in self.references]

        def turn(step: int) -> tuple[Goal, range]:
            round_, which = divmod(step, len(goals))
            return goals[which], portions[round_ % len(portions)]

        open_ = mask.target(problem.graph.n_edges)
        return Descent(open_, mask.steps, mask.lr, mask.warm).train(problem, turn, progress)


def _mixed(problem: DiscoveryProblem) -> DiscoveryProblem:
    """The pairs in random order, so that a step's few are not all of one template."""
    order = np.random.default_rng(problem.seed).permutation(len(problem.task))
    return replace(problem, task=problem.task.subset(order.tolist()))


def _under(problem: DiscoveryProblem, reference: str) -> MaskedRuns:
    return masked_runs(replace(problem, reference=reference))


def _portions(problem: DiscoveryProblem, runs: dict[str, MaskedRuns], rows: int) -> list[range]:
    """Pairs of each step: ``rows`` of them, or as many as memory holds."""
    found = []
    for held in next(iter(runs.values())).portions.rows:
        most = min(rows, len(held))
        found += [range(at, min(at + most, held.stop)) for at in range(held.start, held.stop, most)]
    return found
