"""LEACE: the smallest affine edit after which no linear probe does better than a constant one.

The moments are gathered in float64, block by block; the eraser comes from them in closed form.

>>> import torch
>>> x = torch.tensor([[1.0, 0.0], [2.0, 1.0], [5.0, 0.0], [6.0, 1.0]])
>>> eraser = LeaceFitter(2, 2).update(x, torch.tensor([0, 0, 1, 1])).eraser
>>> [half.mean(0).tolist() for half in eraser(x).round(decimals=6).split(2)]  # each class's mean
[[3.5, 0.5], [3.5, 0.5]]
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import Address, Erase, OptionError, ShapeError

_LEAST_CORRELATION = 1e-9
"""Correlations of a class with the site below this are rounding."""


@dataclass(frozen=True, eq=False)
class Eraser:
    """An affine map ``x -> matrix @ x + bias`` that takes a concept out.

    Attributes:
        matrix: ``[d d]``, float64.
        bias: ``[d]``, float64.
        rank: how many dimensions are taken out.
        method: how it was made.
        n: examples that it was fitted on.
    """

    matrix: Float[Tensor, "d d"]
    bias: Tensor
    rank: int
    method: str
    n: int

    def __call__(self, x: Tensor) -> Tensor:
        """The vectors ``[... d]`` without the concept, in their own dtype."""
        if x.shape[-1] != len(self.bias):
            raise ShapeError(
                f"the eraser takes vectors of width {len(self.bias)}, got {list(x.shape)}",
                mend="use it at the site that it was fitted at",
            )
        work = x.to(self.matrix)
        return (work @ self.matrix.T + self.bias).to(x)

    def as_edit(self, at: str | Address) -> Erase:
        """The map as an edit at a site."""
        return Erase(at, matrix=self.matrix, bias=self.bias)


class Moments:
    """Means and second moments of vectors and of their classes, gathered block by block.

    Args:
        width: of a vector.
        classes: how many there are.

    Attributes:
        n: vectors seen.
        mean: ``[d]``.
        counts: of each class, ``[class]``.

    Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", for the
    merging of blocks.
    """

    def __init__(self, width: int, classes: int) -> None:
        if classes < 2:
            raise OptionError(
                f"{classes} class leaves nothing to erase", mend="give examples of two classes"
            )
        self.n = 0
        self.mean = torch.zeros(width, dtype=torch.float64)
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self._squares = torch.zeros(width, width, dtype=torch.float64)
        self._sums = torch.zeros(width, classes, dtype=torch.float64)  # of x - reference
        self._reference: Tensor | None = None
        self.eps = torch.finfo(torch.float64).eps

    def update(self, x: Tensor, labels: Tensor) -> None:
        """Take in a block: vectors ``[n d]``, classes ``[n]`` counted from 0.

        Raises:
            ShapeError: another width, labels of another number or out of range, NaN.
        """
        self._check(x, labels)
        if not len(x):
            return
        self.eps = max(self.eps, torch.finfo(x.dtype).eps)
        block = x.detach().to(self.mean)
        onehot = torch.nn.functional.one_hot(labels.cpu().long(), len(self.counts)).double()
        if self._reference is None:
            self._reference = block[0].clone()
        self._sums += (block - self._reference).T @ onehot
        self.counts += onehot.sum(dim=0)
        total, centre = self.n + len(block), block.mean(dim=0)
        away, shift = block - centre, centre - self.mean
        self._squares += away.T @ away
        self._squares += torch.outer(shift, shift) * (self.n * len(block) / total)
        self.mean = self.mean + shift * (len(block) / total)
        self.n = total

    @property
    def covariance(self) -> Tensor:
        """Of the vectors, divided by n; ``[d d]``."""
        return self._squares / max(self.n, 1)

    @property
    def cross(self) -> Tensor:
        """Covariance of the vectors with each class's indicator; ``[d class]``."""
        self._need_two()
        assert self._reference is not None
        moved = self.mean - self._reference
        return (self._sums - torch.outer(moved, self.counts)) / self.n

    def class_means(self) -> Tensor:
        """Mean of each class; ``[class d]``."""
        self._need_two()
        assert self._reference is not None
        return self._reference + (self._sums / self.counts.clamp_min(1)).T

    def _need_two(self) -> None:
        if int((self.counts > 0).sum()) < 2:
            raise OptionError(
                f"all {self.n} examples are of one class",
                mend="give examples with the concept and without",
            )

    def _check(self, x: Tensor, labels: Tensor) -> None:
        if x.ndim != 2 or x.shape[1] != len(self.mean) or labels.shape != x.shape[:1]:
            raise ShapeError(
                f"vectors of shape {list(x.shape)} and labels of shape {list(labels.shape)}",
                mend=f"give [n {len(self.mean)}] and [n]",
            )
        if not bool(torch.isfinite(x).all()):
            raise ShapeError(
                "some vectors hold NaN or infinite numbers", mend="look at the run that gave them"
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.counts):
            raise ShapeError(
                f"labels from {int(labels.min())} to {int(labels.max())} of "
                f"{len(self.counts)} classes",
                mend="count the classes from 0",
            )


class LeaceFitter:
    """Gathers moments block by block; ``.eraser`` is the frozen result.

    Args:
        width: of a vector.
        classes: how many there are.

    Shows: afterwards no linear probe, whatever its loss, beats the constant one *on the data that
    was fitted*. Does not show: that a probe that is not linear finds nothing, nor that nothing is
    left on other data; measure both.
    Source: Belrose et al. 2023, "LEACE: Perfect linear concept erasure in closed form", Theorem
    4.2: ``r(x) = x - W⁺ P W (x - mean)``, with W the whitening and P the projection onto the
    columns of W Σxz. Directions whose spread is below rounding count as constant.
    """

    def __init__(self, width: int, classes: int) -> None:
        self.moments = Moments(width, classes)

    def update(self, x: Tensor, labels: Tensor) -> LeaceFitter:
        """Take in a block of vectors ``[n d]`` with their classes ``[n]``.

        Raises:
            ShapeError: as :meth:`Moments.update`.
        """
        self.moments.update(x, labels)
        return self

    @property
    def eraser(self) -> Eraser:
        """The smallest affine edit that guards the classes, from what was seen so far.

        Raises:
            OptionError: one class only, or vectors that are all the same.
        """
        moments = self.moments
        whiten, colour = whitening(moments)
        left, sizes, _ = torch.linalg.svd(whiten @ moments.cross, full_matrices=False)
        basis = left[:, sizes > _LEAST_CORRELATION]
        taken = (colour @ basis) @ (basis.T @ whiten)
        eye = torch.eye(len(moments.mean), dtype=torch.float64)
        return Eraser(eye - taken, taken @ moments.mean, basis.shape[1], "LEACE", moments.n)


def whitening(moments: Moments) -> tuple[Tensor, Tensor]:
    """``W`` and its pseudo-inverse: square roots of the covariance's; both ``[d d]``.

    Raises:
        OptionError: the vectors are all the same.
    """
    spread, axes = torch.linalg.eigh(moments.covariance)
    size = max(moments.n, len(spread))
    floor = max((size * moments.eps) ** 2, size * torch.finfo(torch.float64).eps)
    rounding = (8 * torch.finfo(torch.float64).eps * float(moments.mean.abs().max())) ** 2
    kept = (spread > floor * spread.max()) & (spread > rounding)
    if moments.n < 2 or not bool(kept.any()):
        raise OptionError(
            f"the {moments.n} vectors are all the same: there is nothing to erase",
            mend="choose a site and a position at which the prompts differ",
        )
    spread, axes = spread[kept], axes[:, kept]
    return (axes / spread.sqrt()) @ axes.T, (axes * spread.sqrt()) @ axes.T
