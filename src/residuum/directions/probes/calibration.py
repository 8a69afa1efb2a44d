"""Are the probabilities right: a temperature fitted on validation examples, and what is left."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

_BOUND = 3.0
"""Temperatures lie within e^-3 and e^3: a few perfect examples are no reason for certainty."""


def fitted_temperature(logits: Float[Tensor, "m class"], labels: Tensor) -> float:
    """The temperature that minimises the mean cross-entropy, within e^-3 to e^3.

    The loss is convex in 1 / T; its slope is bisected. Logits that separate the classes perfectly
    go to the lower bound.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.

    >>> logits = torch.tensor([[0.0, 4.0]] * 4)
    >>> round(fitted_temperature(logits, torch.tensor([1, 1, 1, 0])), 3)  # 4 / log(3)
    3.641
    """
    work = logits.double()
    own = work.gather(1, labels[:, None])[:, 0]

    def slope(log_inverse: float) -> float:
        inverse = math.exp(log_inverse)
        mean = ((work * inverse).softmax(-1) * work).sum(-1)
        return float((mean - own).mean())

    low, high = -_BOUND, _BOUND
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def calibration_error(
    probabilities: Float[Tensor, "m class"], labels: Tensor, bins: int = 10
) -> float:
    """Expected calibration error, 0 to 1, over bins that hold equally many examples.

    Source: Guo et al. 2017, section 2. Deviation: equally filled bins instead of equally wide ones.
    """
    confidence, said = probabilities.double().max(-1)
    right = (said == labels).double()
    order = confidence.argsort()
    parts = order.tensor_split(min(bins, len(order)))
    gaps = [abs(float((right[each] - confidence[each]).sum())) for each in parts]
    return sum(gaps) / len(order)


def loss_bits(logits: Float[Tensor, "m class"], labels: Tensor) -> float:
    """Mean cross-entropy in bits."""
    return float(torch.nn.functional.cross_entropy(logits.double(), labels)) / math.log(2)
