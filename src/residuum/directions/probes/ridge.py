"""Least squares on the labels, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from residuum.directions.probes.method import Blocks, Moments, positive
from residuum.directions.probes.weights import ProbeWeights


@dataclass(frozen=True)
class Ridge:
    """Least squares on ±1 (one-hot ±1 for several classes), from moments alone.

    Attributes:
        l2: penalty, as a share of the dimensions' mean variance.
    """

    l2: float = 0.01

    def __post_init__(self) -> None:
        positive(self.l2, "l2")

    def fit(self, blocks: Blocks, moments: Moments) -> ProbeWeights:
        """See :class:`ProbeMethod`."""
        covariance = moments.covariance
        covariance.diagonal().add_(self.l2 * float(covariance.diagonal().mean()))
        share = moments.counts / moments.n
        together = 2 * share[:, None] * (moments.means - moments.mean)
        matrix = torch.linalg.solve(covariance, together.T).T
        bias = 2 * share - 1 - matrix @ moments.mean
        if len(matrix) == 2:
            matrix, bias = matrix[1:], bias[1:]
        return ProbeWeights(matrix, bias)
