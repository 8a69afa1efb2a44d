"""Are the probabilities right: a temperature fitted on validation examples, and what is left."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

_BOUND = 3.0
"""Temperatures lie within e^-3 and e^3."""
_FEWEST_IN_A_BIN = 10


def fitted_temperature(logits: Float[Tensor, "m class"], labels: Tensor) -> float:
    """The temperature that minimises the mean cross-entropy with smoothed labels.

    A label counts ``(m + 1) / (m + classes)`` for its class, which has m examples, and the rest for
    the others: so a few examples that are all told apart are no reason for certainty. The loss is
    convex in 1 / T; its slope is bisected, within e^-3 to e^3.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; Platt 1999,
    "Probabilistic Outputs for Support Vector Machines", section 2.2, for the smoothing.

    >>> logits = torch.tensor([[0.0, 4.0]] * 4)
    >>> round(fitted_temperature(logits, torch.tensor([1, 1, 1, 0])), 3)  # 4 / log(0.683 / 0.317)
    5.201
    """
    work = logits.double()
    own = work.gather(1, labels[:, None])[:, 0]
    classes = work.shape[1]
    count = torch.bincount(labels, minlength=classes)[labels].double()
    share = (count + 1) / (count + classes)
    wanted = share * own + (1 - share) * (work.sum(1) - own) / (classes - 1)

    def slope(log_inverse: float) -> float:
        inverse = math.exp(log_inverse)
        mean = ((work * inverse).softmax(-1) * work).sum(-1)
        return float((mean - wanted).mean())

    low, high = -_BOUND, _BOUND
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def calibration_error(
    probabilities: Float[Tensor, "m class"], labels: Tensor, bins: int = 10
) -> float:
    """Expected calibration error, 0 to 1, over bins that hold equally many examples.

    At most ``bins``, and none with fewer than ten examples: in a bin of one, confidence and outcome
    always differ.

    Source: Guo et al. 2017, section 2. Deviation: equally filled bins instead of equally wide ones.
    """
    confidence, said = probabilities.double().max(-1)
    right = (said == labels).double()
    order = confidence.argsort()
    parts = order.tensor_split(max(1, min(bins, len(order) // _FEWEST_IN_A_BIN)))
    gaps = [abs(float((right[each] - confidence[each]).sum())) for each in parts]
    return sum(gaps) / len(order)


def loss_bits(logits: Float[Tensor, "m class"], labels: Tensor) -> float:
    """Mean cross-entropy in bits."""
    return float(torch.nn.functional.cross_entropy(logits.double(), labels)) / math.log(2)
