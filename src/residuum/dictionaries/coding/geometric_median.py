"""The geometric median: the point with the smallest sum of distances."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def geometric_median(
    points: Float[Tensor, "n d"], steps: int = 100, tolerance: float = 1e-7
) -> Float[Tensor, " d"]:
    """The geometric median of points, by Weiszfeld's iteration; works in float64.

    Args:
        points: at least one.
        steps: at most so many iterations.
        tolerance: stop when the sum of distances falls by a smaller share than this.

    Source: Weiszfeld 1937; as a start of the decoder bias: Bricken et al. 2023, "Towards
    Monosemanticity", appendix.
    """
    points = points.detach().to(torch.float64)
    least = torch.finfo(torch.float64).eps * points.abs().amax().clamp_min(1)
    median, before = points.mean(0), torch.inf
    for _ in range(steps):
        distances = (points - median).norm(dim=1).clamp_min(least)
        total = float(distances.sum())
        if before - total <= tolerance * total:
            break
        before = total
        weights = 1 / distances
        median = (weights @ points) / weights.sum()
    return median
