"""Counts, means and second moments of vectors by class, gathered block by block in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from residuum.core import ShapeError


class ClassMoments:
    """Gathers ``[m d]`` blocks; the first block's mean is taken off, so that sums stay accurate.

    Args:
        width: ``d``.
        classes: how many.

    >>> moments = ClassMoments(1, 2)
    >>> moments.update(torch.tensor([[1.0], [3.0], [8.0]]), torch.tensor([0, 0, 1]))
    >>> moments.means.flatten().tolist(), moments.mean.tolist()
    ([2.0, 8.0], [4.0])
    """

    def __init__(self, width: int, classes: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self._shift: Tensor | None = None
        self._sums = torch.zeros(classes, width, dtype=torch.float64)
        self._squares = torch.zeros(width, width, dtype=torch.float64)

    def update(self, x: Tensor, labels: Tensor) -> None:
        """Take in vectors ``[m d]`` and their labels ``[m]``."""
        if x.ndim != 2 or x.shape[1] != self._sums.shape[1] or len(x) != len(labels):
            raise ShapeError(
                f"vectors {list(x.shape)} and {len(labels)} labels for width {self._sums.shape[1]}",
                mend="give [m d] and one label each",
            )
        work = x.double()
        if self._shift is None:
            self._shift = work.mean(0)
        work = work - self._shift
        self.counts += torch.bincount(labels, minlength=len(self.counts)).double()
        self._sums.index_add_(0, labels, work)
        self._squares += work.T @ work

    @property
    def n(self) -> float:
        """Vectors so far."""
        return float(self.counts.sum())

    @property
    def means(self) -> Tensor:
        """Mean of each class, ``[class d]``; NaN for a class without vectors."""
        return self._sums / self.counts[:, None] + self._origin

    @property
    def mean(self) -> Tensor:
        """Mean of all, ``[d]``."""
        return self._sums.sum(0) / self.n + self._origin

    @property
    def covariance(self) -> Tensor:
        """Total covariance ``[d d]``, divided by n."""
        centre = self._sums.sum(0) / self.n
        return self._squares / self.n - torch.outer(centre, centre)

    @property
    def within(self) -> Tensor:
        """Covariance within classes ``[d d]``, divided by n."""
        present = self.counts > 0
        means = self._sums[present] / self.counts[present, None]
        return (self._squares - (means * self.counts[present, None]).T @ means) / self.n

    def of_dims(self, chosen: Tensor) -> ClassMoments:
        """The moments of some of the dimensions."""
        few = ClassMoments(len(chosen), len(self.counts))
        few.counts = self.counts
        few._shift = self._origin[chosen]
        few._sums = self._sums[:, chosen]
        few._squares = self._squares[chosen][:, chosen]
        return few

    @property
    def _origin(self) -> Tensor:
        return torch.zeros(self._sums.shape[1]).double() if self._shift is None else self._shift
