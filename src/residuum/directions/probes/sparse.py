"""A probe that reads only a few dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import OptionError
from residuum.directions.probes.method import Blocks, Moments, positive
from residuum.directions.probes.softmax_fit import fit_softmax
from residuum.directions.probes.weights import ProbeWeights
from residuum.runs import whole_number


@dataclass(frozen=True)
class SparseProbe:
    """Logistic (or softmax) regression on the ``k`` dimensions whose class means differ most.

    Attributes:
        k: dimensions (neurons, at ``mlp_act``) that are read.
        l2: as in :class:`Logistic`.

    Source: Gurnee et al. 2023, "Finding Neurons in a Haystack", section 3 (maximum mean
    difference). Deviation: the difference counts in standard deviations within classes.
    """

    k: int = 16
    l2: float = 0.01

    def __post_init__(self) -> None:
        whole_number(self.k, "k", 1)
        positive(self.l2, "l2")

    def fit(self, blocks: Blocks, moments: Moments) -> ProbeWeights:
        """See :class:`ProbeMethod`.

        Raises:
            OptionError: more dimensions than the site has.
        """
        width = len(moments.mean)
        if self.k > width:
            raise OptionError(f"k={self.k} of {width} dimensions", mend=f"use at most {width}")
        chosen = chosen_dims(moments, self.k)
        rows = 1 if len(moments.counts) == 2 else len(moments.counts)
        few = fit_softmax(_Columns(blocks, chosen), moments.of_dims(chosen), self.l2, rows)
        matrix = torch.zeros(rows, width, dtype=torch.float64)
        matrix[:, chosen] = few.matrix
        return ProbeWeights(matrix, few.bias)


def chosen_dims(moments: Moments, k: int) -> Tensor:
    """The dimensions whose class means are furthest apart in standard deviations, ascending."""
    share = (moments.counts / moments.n)[:, None]
    between = (share * (moments.means - moments.mean).square()).sum(0)
    within = moments.within.diagonal().clamp_min(0)
    score = between / (within + 1e-12 * float(within.mean()) + 1e-300)
    return score.topk(k).indices.sort().values


@dataclass(frozen=True)
class _Columns:
    blocks: Blocks
    chosen: Tensor

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((x[:, self.chosen], labels) for x, labels in self.blocks)
