"""A fresh linear probe in float64, fitted until it has converged: the judge of an erasure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import OptionError

TIE_NATS = 1e-2
"""A class must lead the majority's log odds by more than this to be predicted: less is rounding."""

_PENALTY = 1e-3
_STEPS = 300


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """Softmax regression on standardised vectors.

    Where what it says differs from the constant probe by less than ``TIE_NATS``, it says the most
    frequent class: on activations in float32 an erased concept leaves rounding behind, and an
    accuracy would count its sign.

    Attributes:
        weight: ``[class d]``, on standardised vectors.
        bias: ``[class]``.
        centre, scale: ``[d]``, of the standardising.
        prior: log share of each class where it was fitted, ``[class]``.
    """

    weight: Float[Tensor, "classes d"]
    bias: Tensor
    centre: Tensor
    scale: Tensor
    prior: Tensor

    @staticmethod
    def fit(x: Tensor, labels: Tensor, classes: int = 0, penalty: float = _PENALTY) -> LinearProbe:
        """Fit it: vectors ``[n d]``, classes ``[n]``.

        Args:
            classes: how many there are; 0 counts them.
            penalty: of the squared weights, beside the mean loss in nats.

        Raises:
            OptionError: one class only.
        """
        work, labels = x.detach().double().cpu(), labels.cpu().long()
        count = classes or int(labels.max()) + 1
        shares = torch.bincount(labels, minlength=count).double() / len(labels)
        if int((shares > 0).sum()) < 2:
            raise OptionError(
                "a probe needs examples of two classes", mend="give both, with and without"
            )
        centre, scale = work.mean(0), work.std(0, correction=0)
        scale = torch.where(scale > 1e-12 * scale.max().clamp_min(1e-300), scale, torch.inf)
        inputs = (work - centre) / scale
        prior = shares.clamp_min(1e-12).log()
        theta = torch.cat([torch.zeros(count, x.shape[1], dtype=torch.float64), prior[:, None]], 1)
        theta = _minimise(inputs, labels, theta.requires_grad_(), penalty)
        return LinearProbe(theta[:, :-1], theta[:, -1], centre, scale, prior)

    def logits(self, x: Tensor) -> Tensor:
        """Log odds up to a constant, ``[n class]``."""
        return ((x.double().cpu() - self.centre) / self.scale) @ self.weight.T + self.bias

    def log_odds(self, x: Tensor) -> Tensor:
        """Of the second of two classes against the first, ``[n]``."""
        logits = self.logits(x)
        return logits[:, 1] - logits[:, 0]

    def predict(self, x: Tensor) -> Tensor:
        """Classes ``[n]``; ties go to the most frequent one."""
        logits = self.logits(x)
        frequent = int(self.prior.argmax())
        logits[:, frequent] += TIE_NATS
        return logits.argmax(dim=1)

    def accuracy(self, x: Tensor, labels: Tensor) -> float:
        """Share of right predictions, 0 to 1."""
        return float((self.predict(x) == labels.cpu()).double().mean())

    def loss_nats(self, x: Tensor, labels: Tensor) -> float:
        """Mean cross-entropy."""
        return float(torch.nn.functional.cross_entropy(self.logits(x), labels.cpu().long()))


def _minimise(inputs: Tensor, labels: Tensor, theta: Tensor, penalty: float) -> Tensor:
    """Weights and bias ``[class d+1]`` at the least penalised loss."""
    solver = torch.optim.LBFGS(
        [theta], max_iter=_STEPS, tolerance_grad=1e-10, tolerance_change=1e-14,
        history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        solver.zero_grad()
        logits = inputs @ theta[:, :-1].T + theta[:, -1]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss = loss + penalty * theta[:, :-1].square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
    return theta.detach()


def majority_share(labels: Tensor) -> float:
    """Share of the most frequent class."""
    return float(torch.bincount(labels.cpu().long()).max()) / max(len(labels), 1)


def entropy_nats(labels: Tensor) -> float:
    """Loss of the constant probe."""
    shares = torch.bincount(labels.cpu().long()).double() / max(len(labels), 1)
    return -sum(float(p) * math.log(float(p)) for p in shares if p > 0)
