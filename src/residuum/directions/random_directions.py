"""Random directions to compare a found one with: of the activations' covariance, or isotropic.

A direction that was found on labels without meaning is a random mixture of the activations' own
deviations: it has their covariance. Draws of that covariance are therefore what "found nothing"
looks like, with one exception. Where the concept itself makes most of the variance, such draws are
the concept's own direction over again, and the stronger a concept the less could be shown of it. So
the null of every test here is the covariance with the variance between the two sides *levelled*:
counted as no more than the largest that there is within the sides. Draws of the whole covariance
and isotropic ones, which lie mostly where activations never vary, are reported, and no verdict
rests on them.
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
        activations: what the site holds on the prompts of the test, both sides of each pair;
            for the null :func:`levelled`.
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


def levelled(
    clean: Float[Tensor, "pair d"], corrupt: Float[Tensor, "pair d"]
) -> Float[Tensor, "example d"]:
    """Both sides' activations, their means drawn together where they lie too far apart.

    The deviations within each side stay. The variance along the difference of the means is kept
    where it is at most the largest variance within the sides, so that nothing is changed for labels
    without meaning; else it becomes that. (Where nothing varies within the sides, it is kept.)

    Why not the deviations within the sides alone: they leave out the concept altogether, and any
    direction that leans on it, one found on random labels among them, then beats every draw.

    >>> far = levelled(torch.tensor([[9.0, 1.0], [9.0, -1.0]]), torch.tensor([[-9.0, 0.0]] * 2))
    >>> [round(x, 3) for x in (far - far.mean(dim=0)).square().mean(dim=0).tolist()]
    [0.5, 0.5]
    """
    means = clean.mean(dim=0), corrupt.mean(dim=0)
    within = torch.cat([clean - means[0], corrupt - means[1]])
    half = (means[0] - means[1]) / 2
    largest = torch.linalg.matrix_norm(within, ord=2) / len(within) ** 0.5
    limited = bool(half.any()) and bool(largest > 0)
    share = (largest / half.norm()).clamp(max=1.0) if limited else 1.0
    return within + share * torch.cat([half.expand_as(clean), -half.expand_as(corrupt)])


def isotropic_directions(
    d: int, draws: int, k: int = 1, seed: int = 0, dtype: torch.dtype = torch.float32
) -> list[Float[Tensor, "rank d"]]:
    """Subspaces spanned by ``k`` vectors of which every orientation is as likely.

    >>> isotropic_directions(3, 2, k=2)[1].shape
    torch.Size([2, 3])
    """
    generator = torch.Generator().manual_seed(seed)
    return [orthonormal(torch.randn(k, d, generator=generator).to(dtype)) for _ in range(draws)]
