"""Learned masks: which edges must stay, asked of gradient descent over gates of all edges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.discovery.acdc import masked_runs
from residuum.circuits.discovery.path_search import own_circuit
from residuum.circuits.discovery.problem import BACKWARD, FORWARD, DiscoveryProblem, need_gradient
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, OptionError, Progress
from residuum.core.progress import track
from residuum.runs import shown, whole_number

_TEMPERATURE, _LOW, _HIGH = 2 / 3, -0.1, 1.1
_STIFF = 50.0
"""Weight of the squared distance from the target."""

_FLAT = 1e-12


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
        whole, empty = (problem.sign * each for each in (runs.whole, runs.empty))
        open_, losses = self._trained(problem, runs, whole, empty, progress)
        problem.passes += runs.work.passes
        n = self.target(problem.graph.n_edges)
        kept = np.argsort(-open_, kind="stable")[:n]
        method = {
            **self.record,
            "kept": sorted(kept.tolist()),
            "loss": losses[-1],
            "expected": float(open_.sum()),
        }
        note = "a score is the probability that the edge's gate is open, not an effect"
        return problem.scores(method, None, values=open_, full=whole, empty=empty, warnings=(note,))

    def chosen(self, scores: EdgeScores) -> Circuit:
        """The circuit of the gates most probably open, as many as the target."""
        return own_circuit(scores, scores.method["kept"], {"n_edges": len(scores.method["kept"])})

    def _trained(
        self,
        problem: DiscoveryProblem,
        runs: MaskedRuns,
        whole: np.ndarray,
        empty: np.ndarray,
        progress: Progress,
    ) -> tuple[np.ndarray, list[float]]:
        scale = max(float(np.abs(whole - empty).mean()), _FLAT)
        n, device = problem.graph.n_edges, problem.model.device
        gates = torch.full((n,), 2.0, dtype=torch.float32, device=device, requires_grad=True)
        hold = 0.0
        generator = torch.Generator().manual_seed(problem.seed)
        descend = torch.optim.Adam([gates], lr=self.lr)
        goal, losses = self.target(n) / n, []
        portions = list(runs.portions.rows)
        for step in track(range(self.steps), progress, "learning a mask", self.steps):
            rows = portions[step % len(portions)]
            kept = _drawn(gates, generator)[None].to(problem.model.dtype)
            values = problem.sign * runs.differentiable(kept, rows)[0]
            truth = torch.as_tensor(whole[rows.start : rows.stop])
            loss = ((values - truth) / scale).pow(2).mean().to(device, torch.float32)
            target = 1 - (1 - goal) * min(1.0, (step + 1) / (self.warm * self.steps))
            over = opened(gates).mean() - target
            total = loss + hold * over + _STIFF * over**2
            gates.grad = torch.autograd.grad(total, gates)[0]
            descend.step()
            hold += self.lr * float(over.detach())
            problem.passes += (FORWARD + BACKWARD) * len(rows) / len(problem.task)
            losses.append(float(loss.detach()))
        return opened(gates.detach()).double().cpu().numpy(), losses


def opened(gates: Tensor) -> Tensor:
    """Probability that each gate is not 0."""
    return torch.sigmoid(gates - _TEMPERATURE * math.log(-_LOW / _HIGH))


def _drawn(gates: Tensor, generator: torch.Generator) -> Tensor:
    """A draw of every gate, 0 to 1."""
    uniform = torch.rand(gates.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(gates.device)
    noise = uniform.log() - (1 - uniform).log()
    soft = torch.sigmoid((gates + noise) / _TEMPERATURE)
    return (soft * (_HIGH - _LOW) + _LOW).clamp(0, 1)
