"""How well a dictionary reconstructs vectors: active latents and explained variance, with noise.

Sums are kept by row of text, so that intervals come from drawing rows anew, and two measurements
are compared on the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

DRAWS = 400
_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the tokens of each row of text.

    Attributes:
        tokens, active, error, square: ``[row]``: tokens, active latents, squared error, squared
            length of the target.
        target: ``[row d]``, the target itself.
    """

    tokens: Float[Tensor, " row"]
    active: Float[Tensor, " row"]
    error: Float[Tensor, " row"]
    square: Float[Tensor, " row"]
    target: Float[Tensor, "row d"]

    def l0(self, weights: Float[Tensor, "draw row"]) -> Float[Tensor, " draw"]:
        """Active latents a token, for each drawing of rows."""
        return (weights @ self.active) / (weights @ self.tokens)

    def unexplained(self, weights: Float[Tensor, "draw row"]) -> Float[Tensor, " draw"]:
        """Share of the variance about the mean that is not explained, for each drawing."""
        mean = weights @ self.target
        variance = weights @ self.square - mean.pow(2).sum(-1) / (weights @ self.tokens)
        return (weights @ self.error) / variance.clamp_min(1e-30)


def measured(
    dictionary: Any, x: Tensor, target: Tensor, rows: Int[Tensor, " token"], n_rows: int
) -> Sums:
    """Sums of a dictionary that reads ``x [token d_in]`` and should make ``target [token d_out]``.

    Several sites have an axis of their own before the last one.
    """
    target = target.flatten(1)
    tokens, active_sum, error, square = torch.zeros(4, n_rows, dtype=torch.float64)
    whole = torch.zeros(n_rows, target.shape[1], dtype=torch.float64)
    for some in torch.arange(len(x)).split(_AT_ONCE):
        latents = dictionary.encode(x[some])
        made = dictionary.rebuilt(x[some], latents).float().flatten(1)
        active = (latents != 0).sum(-1)
        wanted = target[some].double()
        place = rows[some]
        tokens.index_add_(0, place, torch.ones(len(some), dtype=torch.float64))
        active_sum.index_add_(0, place, active.double())
        error.index_add_(0, place, (wanted - made.double()).pow(2).sum(-1))
        square.index_add_(0, place, wanted.pow(2).sum(-1))
        whole.index_add_(0, place, wanted)
    return Sums(tokens, active_sum, error, square, whole)


def drawings(n_rows: int, seed: int = 0) -> Float[Tensor, "draw row"]:
    """How often each row is in each drawing; the first one is the text itself."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(n_rows, (DRAWS, n_rows), generator=generator)
    counts = torch.zeros(DRAWS, n_rows, dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones_like(counts))
    return torch.cat([torch.ones(1, n_rows, dtype=torch.float64), counts])


def interval(draws: Float[Tensor, " draw"]) -> tuple[float, float, float]:
    """The value on the text itself and the ends of its 95 % interval."""
    low, high = draws[1:].quantile(torch.tensor([0.025, 0.975], dtype=draws.dtype))
    return float(draws[0]), float(low), float(high)


def turned(values: Float[Tensor, "token d"], seed: int = 0) -> Float[Tensor, "token d"]:
    """The same cloud of vectors, about the same mean, in another orientation.

    What a dictionary explains of it owes nothing to its latents' directions.
    """
    generator = torch.Generator().manual_seed(seed)
    d = values.shape[1]
    basis = torch.linalg.qr(torch.randn(d, d, generator=generator)).Q.to(values.device)
    mean = values.mean(0)
    return (values - mean) @ basis + mean
