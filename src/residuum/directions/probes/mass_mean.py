"""Nearest class mean: the difference of means as a probe."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from residuum.directions.probes.method import Blocks, Moments
from residuum.directions.probes.weights import ProbeWeights
from residuum.runs.arguments import yes_or_no

_FLOOR = 1e-6


@dataclass(frozen=True)
class MassMean:
    """The nearest class mean, from means and covariances alone.

    Attributes:
        whiten: measure distance by the covariance within classes (linear discriminant analysis);
            otherwise the vector of two classes is the plain difference of their means.

    Source: Marks and Tegmark 2023, "The Geometry of Truth", section 5.1. Deviation: the threshold
    is halfway between the means instead of at zero.
    """

    whiten: bool = False

    def __post_init__(self) -> None:
        yes_or_no(self.whiten, "whiten")

    def fit(self, blocks: Blocks, moments: Moments) -> ProbeWeights:
        """See :class:`ProbeMethod`."""
        means, within = moments.means, moments.within
        centred = means - moments.mean
        if self.whiten:
            spread = within.diagonal().clamp_min(0).sqrt()
            spread = spread.clamp_min(_FLOOR * float(spread.max()))
            scaled = within / torch.outer(spread, spread)
            scaled.diagonal().add_(_FLOOR)
            matrix = torch.linalg.solve(scaled, (centred / spread).T).T / spread
        else:
            along = (centred @ within * centred).sum(1).sum() / centred.square().sum()
            total = float(moments.covariance.diagonal().sum())
            matrix = centred / max(float(along), _FLOOR * total)
        bias = -((centred / 2 + moments.mean) * matrix).sum(1)
        if len(matrix) == 2:
            matrix, bias = (each[1:] - each[:1] for each in (matrix, bias))
        return ProbeWeights(matrix, bias)
