"""Random directions to compare a found one with: of the activations' covariance, or isotropic.

A direction that was found on labels without meaning is a random mixture of the activations' own
deviations: it has their covariance. Draws of that covariance are therefore what "found nothing"
looks like, and they are the null of every test here. Isotropic draws lie mostly where activations
never vary, so that they move little: they are reported, and no verdict rests on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import ShapeError


def orthonormal(rows: Float[Tensor, "k d"]) -> Float[Tensor, "rank d"]:
    """Orthonormal rows that span these rows; the single row of a direction keeps its sign.

    Raises:
        ShapeError: the rows are zero.

    >>> orthonormal(torch.tensor([[0.0, -2.0]])).tolist()
    [[0.0, -1.0]]
    """
    if not bool(rows.any()):
        raise ShapeError("a direction is zero", mend="give a vector with a length")
    if len(rows) == 1:
        return rows / rows.norm()
    _, sizes, basis = torch.linalg.svd(rows, full_matrices=False)
    return basis[sizes > sizes.max() * max(rows.shape) * torch.finfo(rows.dtype).eps]


def covariance_directions(
    activations: Float[Tensor, "example d"],
    draws: int,
    k: int = 1,
    seed: int = 0,
    spared: Sequence[Sequence[float]] | None = None,
) -> list[Float[Tensor, "rank d"]]:
    """Subspaces spanned by ``k`` vectors drawn from N(0, covariance of the activations).

    Args:
        activations: what the site holds on the prompts of the test, both sides of each pair.
        draws: how many.
        k: dimensions of each.
        seed: of the draws.
        spared: orthonormal rows that are taken out of every draw, as the method that found the
            direction to compare with takes them out of what it finds.

    Returns:
        Orthonormal rows, one tensor for each draw; of lower rank where the activations are.

    >>> line = torch.tensor([[0.0, 1.0], [0.0, -1.0], [0.0, 3.0]])
    >>> [[abs(x) for x in row] for row in covariance_directions(line, 1)[0].tolist()]
    [[0.0, 1.0]]
    """
    generator = torch.Generator().manual_seed(seed)
    centred = (activations - activations.mean(dim=0)).cpu()
    if spared is not None:
        out = torch.tensor(spared, dtype=torch.float64)
        centred = (centred.double() - centred.double() @ out.T @ out).to(centred)
    if not bool(centred.any()):
        raise ShapeError(
            "the activations at this site are the same on every prompt",
            mend="choose a later site, or a position behind the first difference",
        )
    weights = torch.randn(draws, k, len(centred), generator=generator).to(centred.dtype)
    return [orthonormal(rows @ centred) for rows in weights]


def isotropic_directions(
    d: int, draws: int, k: int = 1, seed: int = 0, dtype: torch.dtype = torch.float32
) -> list[Float[Tensor, "rank d"]]:
    """Subspaces spanned by ``k`` vectors of which every orientation is as likely.

    >>> isotropic_directions(3, 2, k=2)[1].shape
    torch.Size([2, 3])
    """
    generator = torch.Generator().manual_seed(seed)
    return [orthonormal(torch.randn(k, d, generator=generator).to(dtype)) for _ in range(draws)]
