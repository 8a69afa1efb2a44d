"""Gates of all edges, trained: hard concrete draws, the metric's loss, a target for how many open.

Source: Louizos, Welling, Kingma 2018, "Learning sparse neural networks through L0 regularization",
§2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.discovery.problem import BACKWARD, FORWARD, DiscoveryProblem
from residuum.circuits.engine.masked import MaskedRuns
from residuum.core import Progress
from residuum.core.progress import track

_TEMPERATURE, _LOW, _HIGH = 2 / 3, -0.1, 1.1
_STIFF = 50.0
"""Weight of the squared distance from the target."""

_FLAT = 1e-12


@dataclass(frozen=True)
class Goal:
    """What a step is held to: the clean run's metric, under one reference.

    Attributes:
        runs: under that reference.
        whole: the clean run's metric, ``[example]``.
        scale: its mean distance from the empty circuit's.
    """

    runs: MaskedRuns
    whole: np.ndarray
    scale: float


def goal_of(problem: DiscoveryProblem, runs: MaskedRuns) -> Goal:
    """What masked runs are held to."""
    whole, empty = (problem.sign * each for each in (runs.whole, runs.empty))
    return Goal(runs, whole, max(float(np.abs(whole - empty).mean()), _FLAT))


@dataclass(frozen=True)
class Descent:
    """How gates are trained.

    Attributes:
        open: edges to keep.
        steps, lr: of Adam; the multiplier of the target rises at the same rate.
        warm: share of the steps over which the target falls from all edges to its value.
    """

    open: int
    steps: int
    lr: float
    warm: float

    def train(
        self,
        problem: DiscoveryProblem,
        turn: Callable[[int], tuple[Goal, range]],
        progress: Progress,
    ) -> tuple[np.ndarray, list[float]]:
        """Probability that each gate is open, ``[edge]``, and the loss of each step.

        Args:
            turn: what a step is held to, and on which pairs, from the step's number.
        """
        n, device = problem.graph.n_edges, problem.model.device
        gates = torch.full((n,), 2.0, dtype=torch.float32, device=device, requires_grad=True)
        hold, share, losses = 0.0, self.open / n, []
        generator = torch.Generator().manual_seed(problem.seed)
        descend = torch.optim.Adam([gates], lr=self.lr)
        for step in track(range(self.steps), progress, "learning a mask", self.steps):
            goal, rows = turn(step)
            kept = _drawn(gates, generator)[None].to(problem.model.dtype)
            values = problem.sign * goal.runs.differentiable(kept, rows)[0]
            wanted = torch.as_tensor(goal.whole[rows.start : rows.stop])
            loss = ((values - wanted) / goal.scale).pow(2).mean().to(device, torch.float32)
            target = 1 - (1 - share) * min(1.0, (step + 1) / (self.warm * self.steps))
            over = _opened(gates).mean() - target
            total = loss + hold * over + _STIFF * over**2
            gates.grad = torch.autograd.grad(total, gates)[0]
            descend.step()
            hold += self.lr * float(over.detach())
            problem.passes += (FORWARD + BACKWARD) * len(rows) / len(problem.task)
            losses.append(float(loss.detach()))
        return _opened(gates.detach()).double().cpu().numpy(), losses


def _opened(gates: Tensor) -> Tensor:
    """Probability that each gate is not 0."""
    return torch.sigmoid(gates - _TEMPERATURE * math.log(-_LOW / _HIGH))


def _drawn(gates: Tensor, generator: torch.Generator) -> Tensor:
    """A draw of every gate, 0 to 1."""
    uniform = torch.rand(gates.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(gates.device)
    noise = uniform.log() - (1 - uniform).log()
    soft = torch.sigmoid((gates + noise) / _TEMPERATURE)
    return (soft * (_HIGH - _LOW) + _LOW).clamp(0, 1)
