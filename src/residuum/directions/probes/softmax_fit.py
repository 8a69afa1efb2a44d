"""Logistic and softmax regression by L-BFGS over streamed blocks, in float64.

The coordinates are those in which the Hessian's bound, from the covariance alone, is the identity:
so a handful of passes is enough, whatever the scales of the dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import CheckFailed
from residuum.directions.probes.method import Blocks, Moments
from residuum.directions.probes.weights import ProbeWeights

MOST_PASSES = 300
GRADIENT = 1e-7
"""Largest entry of the gradient, in nats, at which the fit ends."""
_HISTORY = 12
_CACHED = 2**21
"""Numbers that a fit keeps in float64; more are read again in every pass."""
_FLOOR = 1e-6


@dataclass
class Objective:
    """Mean cross-entropy in nats plus ``l2 / 2`` times the squared weights of scaled dimensions.

    Dimensions are centred and divided by their standard deviation; the bias is not penalised.
    """

    blocks: Blocks
    moments: Moments
    l2: float
    rows: int

    def __post_init__(self) -> None:
        covariance = self.moments.covariance
        spread = covariance.diagonal().clamp_min(0).sqrt()
        self.mean = self.moments.mean
        self.scale = spread.clamp_min(float(spread.max()) * _FLOOR)
        curvature = 0.25 * covariance / torch.outer(self.scale, self.scale)
        curvature.diagonal().add_(self.l2)
        width = len(self.mean)
        whole = torch.eye(width + 1, dtype=torch.float64)
        whole[:width, :width] = curvature
        whole[width, width] = 0.25
        self.root = torch.linalg.cholesky(whole)
        small = self.moments.n * width <= _CACHED
        self._kept = list(self._read()) if small else None

    def __call__(self, inner: Tensor) -> tuple[float, Tensor]:
        """Value, and gradient ``[row d+1]``, at preconditioned weights ``[row d+1]``."""
        weights = self.outer(inner)
        matrix = weights[:, :-1] / self.scale
        bias = weights[:, -1] - matrix @ self.mean
        loss, along, total = 0.0, torch.zeros_like(matrix), torch.zeros_like(bias)
        for x, labels in self._kept or self._read():
            raw = x @ matrix.T + bias
            two = self.rows == 1
            logits = torch.cat([torch.zeros_like(raw), raw], 1) if two else raw
            log_probs = logits.log_softmax(-1)
            loss -= float(log_probs.gather(1, labels[:, None]).sum())
            error = log_probs.exp()
            error[torch.arange(len(labels)), labels] -= 1
            along += error[:, -self.rows :].T @ x
            total += error[:, -self.rows :].sum(0)
        centred = (along - torch.outer(total, self.mean)) / self.scale
        gradient = torch.cat([centred, total[:, None]], 1) / self.moments.n
        plain = weights.clone()
        plain[:, -1] = 0
        value = loss / self.moments.n + self.l2 / 2 * float(plain.square().sum())
        gradient += self.l2 * plain
        return value, torch.linalg.solve_triangular(self.root, gradient.T, upper=False).T

    def outer(self, inner: Tensor) -> Tensor:
        """Weights of the scaled dimensions, and the bias, ``[row d+1]``."""
        return torch.linalg.solve_triangular(self.root.T, inner.T, upper=True).T

    def probe(self, inner: Tensor) -> ProbeWeights:
        """As a reader of the activations as they are."""
        weights = self.outer(inner)
        matrix = weights[:, :-1] / self.scale
        return ProbeWeights(matrix, weights[:, -1] - matrix @ self.mean)

    def _read(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((x.double(), labels) for x, labels in self.blocks)


def fit_softmax(blocks: Blocks, moments: Moments, l2: float, rows: int) -> ProbeWeights:
    """The minimum of the objective, which is strictly convex up to the softmax's shift.

    Args:
        blocks: training examples.
        moments: of the same.
        l2: penalty, of the mean loss and scaled dimensions; above 0.
        rows: 1 for two classes, else the number of classes.

    Raises:
        CheckFailed: it did not come to rest.

    Source: Nocedal 1980, "Updating quasi-Newton matrices with limited storage" (L-BFGS), with
    backtracking.
    """
    objective = Objective(blocks, moments, l2, rows)
    at = torch.zeros(rows, len(objective.mean) + 1, dtype=torch.float64)
    value, gradient = objective(at)
    steps: list[tuple[Tensor, Tensor]] = []
    for _ in range(MOST_PASSES):
        if float(gradient.abs().max()) <= GRADIENT:
            return objective.probe(at)
        way = -_times_inverse(steps, gradient)
        slope = float((way * gradient).sum())
        step = 1.0
        while True:
            new_at = at + step * way
            new_value, new_gradient = objective(new_at)
            if new_value <= value + 1e-4 * step * slope or step < 1e-10:
                break
            step /= 2
        if step < 1e-10:
            if float(gradient.abs().max()) <= 100 * GRADIENT:
                return objective.probe(at)
            break
        change = (new_at - at, new_gradient - gradient)
        if float((change[0] * change[1]).sum()) > 0:
            steps = [*steps[1 - _HISTORY :], change]
        at, value, gradient = new_at, new_value, new_gradient
    raise CheckFailed(
        f"the probe did not converge: gradient {float(gradient.abs().max()):.1e} nats",
        mend="raise l2, such as Logistic(l2=0.1)",
    )


def _times_inverse(steps: list[tuple[Tensor, Tensor]], gradient: Tensor) -> Tensor:
    """The inverse Hessian that the last steps tell of, times the gradient."""
    work, shares = gradient.clone(), []
    for s, y in reversed(steps):
        share = (s * work).sum() / (s * y).sum()
        work -= share * y
        shares.append(share)
    if steps:
        s, y = steps[-1]
        work *= (s * y).sum() / (y * y).sum()
    for (s, y), share in zip(steps, reversed(shares), strict=True):
        work += s * (share - (y * work).sum() / (s * y).sum())
    return work
