"""The moments of the same vectors under other labels, without another pass over their squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.directions.probes.method import Moments
from residuum.directions.site_values import SiteValues


@dataclass(frozen=True, eq=False)
class Relabelled:
    """Moments whose classes are others; mean and covariance are those of the vectors.

    Attributes:
        vectors: moments of the same vectors under their own labels.
        counts: ``[class]`` examples of each.
        offsets: ``[class d]`` mean of each class minus the mean of all; NaN for an empty one.
    """

    vectors: Moments
    counts: Tensor
    offsets: Tensor

    @property
    def n(self) -> float:
        """How many examples."""
        return self.vectors.n

    @property
    def mean(self) -> Tensor:
        """Mean of all, ``[d]``."""
        return self.vectors.mean

    @property
    def means(self) -> Tensor:
        """Mean of each class, ``[class d]``; NaN for a class without vectors."""
        return self.offsets + self.mean

    @property
    def covariance(self) -> Tensor:
        """Total covariance ``[d d]``, divided by n."""
        return self.vectors.covariance

    @property
    def within(self) -> Tensor:
        """Covariance within classes ``[d d]``, divided by n."""
        some = self.counts > 0
        offsets, share = self.offsets[some], self.counts[some, None] / self.n
        return self.covariance - (offsets * share).T @ offsets

    def of_dims(self, chosen: Tensor) -> Relabelled:
        """The moments of some of the dimensions."""
        return Relabelled(self.vectors.of_dims(chosen), self.counts, self.offsets[:, chosen])


def relabelled(
    values: SiteValues, moments: Moments, labellings: Sequence[Tensor]
) -> list[Relabelled]:
    """Moments of the values under several labellings, in one pass.

    Args:
        values: training examples.
        moments: of the same, under any labels.
        labellings: a class for each example, ``[n]``; classes as in ``values.classes``.
    """
    classes, mean = len(values.classes), moments.mean
    sums = torch.zeros(len(labellings), classes, len(mean), dtype=torch.float64)
    done = 0
    for x, _ in values.blocks() if labellings else ():
        centred = x.double() - mean
        for total, labels in zip(sums, labellings, strict=True):
            total.index_add_(0, labels[done : done + len(x)], centred)
        done += len(x)
    counts = [torch.bincount(labels, minlength=classes).double() for labels in labellings]
    return [
        Relabelled(moments, count, total / count[:, None])
        for count, total in zip(counts, sums, strict=True)
    ]
