"""What one probe reaches: accuracy on each side, with its interval, calibration and controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.directions.harvesting import SiteValues
from residuum.directions.probes.calibration import calibration_error, loss_bits
from residuum.directions.probes.weights import ProbeWeights
from residuum.runs import bootstrap_mean_interval, wilson_interval


@dataclass(frozen=True)
class ProbeScore:
    """How one probe does.

    Attributes:
        at: the site (with its position, where one names the token read).
        layer: its layer; None for a site of the whole model.
        position: token read, in words.
        train, validation, test: accuracy, 0 to 1.
        low, high: 95 % interval of ``test``, clustered by template; NaN for a single template.
        validation_bits: cross-entropy on validation, after the temperature was fitted there.
        test_bits: cross-entropy on the test side.
        calibration_error: expected, on the test side, 0 to 1.
        temperature: that was fitted.
        control: accuracy of the same method on the control task; NaN without one.
        shuffled: accuracy of the same method on shuffled labels.
    """

    at: str
    layer: int | None
    position: str
    train: float
    validation: float
    test: float
    low: float
    high: float
    validation_bits: float
    test_bits: float
    calibration_error: float
    temperature: float
    control: float
    shuffled: float

    @property
    def selectivity(self) -> float:
        """Test accuracy minus control accuracy."""
        return self.test - self.control


def logits_of(probe: ProbeWeights, values: SiteValues) -> Tensor:
    """Calibrated logits of every example, ``[n class]``; the activations are read in blocks."""
    return torch.cat([probe.logits(x) for x, _ in values.blocks()])


def accuracy(probe: ProbeWeights, values: SiteValues) -> float:
    """Share of right answers."""
    return float((logits_of(probe, values).argmax(-1) == values.labels).double().mean())


def test_numbers(
    logits: Tensor, labels: Tensor, clusters: Sequence[str] | None, seed: int
) -> dict[str, float]:
    """The test side's fields of a score."""
    right = (logits.argmax(-1) == labels).double().numpy()
    if clusters is None:
        low, high = wilson_interval(int(right.sum()), len(right))
    else:
        low, high = bootstrap_mean_interval(right.tolist(), seed=seed, clusters=clusters)
    return {
        "test": float(right.mean()),
        "low": low,
        "high": high,
        "test_bits": loss_bits(logits, labels),
        "calibration_error": calibration_error(logits.softmax(-1), labels),
    }


def best_of(scores: Sequence[ProbeScore]) -> int:
    """The best by validation accuracy, then validation loss, then the earliest. No test number."""

    def key(index: int) -> tuple[float, float, int]:
        score = scores[index]
        bits = score.validation_bits if math.isfinite(score.validation_bits) else math.inf
        return (score.validation, -bits, -index)

    return max(range(len(scores)), key=key)
