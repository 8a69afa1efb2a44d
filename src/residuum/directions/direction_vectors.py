"""The numbers of a direction: one vector or several, their span, and angles between spans."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import Address, ShapeError
from residuum.runs import Model

_RANK = 1e-6


def checked_vectors(vector: Tensor, where: str) -> Tensor:
    """The same in float64, a copy of its own: ``[d]`` or independent rows ``[k d]``.

    Raises:
        ShapeError: another shape; NaN or infinite; zero, or dependent rows.
    """
    value = torch.as_tensor(vector).detach().to("cpu", torch.float64, copy=True)
    rows = value if value.ndim == 2 else value[None]
    if value.ndim not in (1, 2) or not rows.numel() or not bool(value.isfinite().all()):
        raise ShapeError(
            f"a direction is finite numbers [d] or [k d], got {_told(value)}",
            mend="look where the vector comes from",
            where=where,
        )
    if int(torch.linalg.matrix_rank(rows, rtol=_RANK)) < len(rows):
        raise ShapeError(
            "the vector is zero, or the vectors are dependent",
            mend="the data do not differ there; take another site, or fewer vectors",
            where=where,
        )
    return value


def need_width(width: int, at: Address, model: Model) -> None:
    """Refuse vectors that are not as long as the stream's or the MLP's, where the site is that.

    Raises:
        ShapeError: they are longer or shorter.
    """
    axis = at.site.dims[-1]
    wanted = {"d_model": model.dims.d_model, "d_mlp": model.dims.d_mlp}.get(axis)
    if wanted and wanted != width and at.dictionary is None and at.site.part_letter != "E":
        raise ShapeError(
            f"the direction has width {width}, the site {wanted}",
            mend="give a direction of this site: rz.direction(model, ...)",
            where=str(at),
        )


def orthonormal_rows(rows: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """Orthonormal rows of the same span; of one row, its unit vector."""
    q, r = torch.linalg.qr((rows / rows.norm(dim=1, keepdim=True)).T)
    return (q * r.diagonal().sign()).T.contiguous()


def cosine_between(first: Float[Tensor, "k d"], second: Float[Tensor, "m d"]) -> float:
    """Of two orthonormal sets of rows; signed for single ones, else of the smallest angle.

    Raises:
        ShapeError: of another width.
    """
    if first.shape[1] != second.shape[1]:
        raise ShapeError(
            f"directions of width {first.shape[1]} and {second.shape[1]}",
            mend="compare directions of the same site",
        )
    if len(first) == len(second) == 1:
        return float((first[0] @ second[0]).clamp(-1, 1))
    return float(torch.linalg.svdvals(first @ second.T)[0].clamp(0, 1))


def _told(value: Tensor) -> str:
    bad = int((~value.isfinite()).sum())
    return f"{list(value.shape)}" + (f" with {bad} NaN or infinite" if bad else "")
