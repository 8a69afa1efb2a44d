"""Ways to erase: LEACE, the projection of class means, a subspace found probe after probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from residuum.core import OptionError
from residuum.directions.erasure_probe import LinearProbe
from residuum.directions.leace import Eraser, LeaceFitter

Blocks = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""Gives vectors ``[m d]`` with classes ``[m]``, batch by batch, as often as it is asked."""


class ErasureMethod(Protocol):
    """A way to make an eraser from labelled vectors."""

    def fit(self, blocks: Blocks, width: int, classes: int) -> Eraser:
        """The eraser."""
        ...


@dataclass(frozen=True)
class Leace:
    """The smallest affine map after which no linear probe finds the classes; streams.

    Source: Belrose et al. 2023, Theorem 4.2; see :class:`LeaceFitter`.

    >>> Leace()
    Leace()
    """

    def fit(self, blocks: Blocks, width: int, classes: int) -> Eraser:
        """The eraser, from one pass over the data."""
        return _moments(blocks, width, classes).eraser


@dataclass(frozen=True)
class Projection:
    """Take out the span of the differences of class means, at right angles; streams.

    It guards as LEACE does and changes the vectors more. The overall mean stays.

    >>> Projection()
    Projection()
    """

    def fit(self, blocks: Blocks, width: int, classes: int) -> Eraser:
        """The eraser, from one pass over the data."""
        moments = _moments(blocks, width, classes).moments
        means = moments.class_means()[moments.counts > 0]
        return projector(means - moments.mean, moments.mean, "Projection", moments.n)


@dataclass(frozen=True)
class Subspace:
    """Take out ``k`` directions, each that of a fresh linear probe after those before it.

    Holds the vectors in memory. No law says that k directions are enough: read the proof.

    Attributes:
        k: rounds; each takes out one direction for two classes, one a class for more.

    Source: Ravfogel et al. 2020, "Null It Out" (iterative null-space projection); here with a
    converged logistic probe.

    >>> Subspace(2).k
    2
    """

    k: int = 1

    def __post_init__(self) -> None:
        if type(self.k) is not int or self.k < 1:
            raise OptionError(f"k={self.k!r}", mend="give a whole number of rounds, 1 or more")

    def fit(self, blocks: Blocks, width: int, classes: int) -> Eraser:
        """The eraser, from as many fits as there are rounds."""
        parts = list(blocks())
        x = torch.cat([part for part, _ in parts]).double()
        labels = torch.cat([part for _, part in parts])
        rows = torch.zeros(0, width, dtype=torch.float64)
        for _ in range(self.k):
            now = projector(rows, x.mean(0), "", len(x))(x) if len(rows) else x
            probe = LinearProbe.fit(now, labels, classes)
            normals = probe.weight / probe.scale
            rows = torch.cat([rows, normals - normals.mean(0)])
        return projector(rows, x.mean(0), f"Subspace({self.k})", len(x))


def projector(rows: Tensor, mean: Tensor, method: str, n: int) -> Eraser:
    """The map that takes out the span of ``rows [k d]`` and keeps the mean."""
    _, sizes, axes = torch.linalg.svd(rows, full_matrices=False)
    basis = axes[sizes > 1e-9 * sizes.max()]
    taken = basis.T @ basis
    return Eraser(torch.eye(len(mean)).to(mean) - taken, taken @ mean, len(basis), method, n)


def _moments(blocks: Blocks, width: int, classes: int) -> LeaceFitter:
    fitter = LeaceFitter(width, classes)
    for x, labels in blocks():
        fitter.update(x, labels)
    return fitter
