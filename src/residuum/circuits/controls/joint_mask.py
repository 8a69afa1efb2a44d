"""Learned masks that must keep the behaviour under several references at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from residuum.circuits.discovery.acdc import masked_runs
from residuum.circuits.discovery.learned_mask import LearnedMask, _drawn, opened
from residuum.circuits.discovery.path_search import own_circuit
from residuum.circuits.discovery.problem import BACKWARD, FORWARD, DiscoveryProblem, need_gradient
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.engine.references import check_reference
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, OptionError, Progress
from residuum.core.progress import track
from residuum.runs import whole_number

_STIFF = 50.0
_FLAT = 1e-12


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
        mask, n, device = self._mask, problem.graph.n_edges, problem.model.device
        truths = {name: _ends(problem, each) for name, each in runs.items()}
        portions = _portions(problem, runs, self.rows)
        gates = torch.full((n,), 2.0, dtype=torch.float32, device=device, requires_grad=True)
        hold, losses = 0.0, []
        generator = torch.Generator().manual_seed(problem.seed)
        descend = torch.optim.Adam([gates], lr=mask.lr)
        goal = mask.target(n) / n
        for step in track(range(mask.steps), progress, "learning a mask", mask.steps):
            turn, which = divmod(step, len(self.references))
            name, rows = self.references[which], portions[turn % len(portions)]
            kept = _drawn(gates, generator)[None].to(problem.model.dtype)
            values = problem.sign * runs[name].differentiable(kept, rows)[0]
            truth, scale = truths[name]
            wanted = torch.as_tensor(truth[rows.start : rows.stop])
            loss = ((values - wanted) / scale).pow(2).mean().to(device, torch.float32)
            target = 1 - (1 - goal) * min(1.0, (step + 1) / (mask.warm * mask.steps))
            over = opened(gates).mean() - target
            total = loss + hold * over + _STIFF * over**2
            gates.grad = torch.autograd.grad(total, gates)[0]
            descend.step()
            hold += mask.lr * float(over.detach())
            problem.passes += (FORWARD + BACKWARD) * len(rows) / len(problem.task)
            losses.append(float(loss.detach()))
        return opened(gates.detach()).double().cpu().numpy(), losses


def _mixed(problem: DiscoveryProblem) -> DiscoveryProblem:
    """The pairs in random order, so that a step's few are not all of one template."""
    order = np.random.default_rng(problem.seed).permutation(len(problem.task))
    return replace(problem, task=problem.task.subset(order.tolist()))


def _under(problem: DiscoveryProblem, reference: str) -> MaskedRuns:
    return masked_runs(replace(problem, reference=reference))


def _ends(problem: DiscoveryProblem, runs: MaskedRuns) -> tuple[np.ndarray, float]:
    """The clean run's metric by example, and its mean distance from the empty circuit's."""
    whole, empty = (problem.sign * each for each in (runs.whole, runs.empty))
    return whole, max(float(np.abs(whole - empty).mean()), _FLAT)


def _portions(problem: DiscoveryProblem, runs: dict[str, MaskedRuns], rows: int) -> list[range]:
    """Pairs of each step: ``rows`` of them, or as many as memory holds."""
    found = []
    for held in next(iter(runs.values())).portions.rows:
        most = min(rows, len(held))
        found += [range(at, min(at + most, held.stop)) for at in range(held.start, held.stop, most)]
    return found
