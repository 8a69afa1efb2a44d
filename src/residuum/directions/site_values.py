"""What some examples hold at one site, read block by block, and what can be said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import Address, ShapeError, TaskError
from residuum.directions.moments import ClassMoments

_BLOCK = 1024
LEAST_SPREAD = 1e-6
"""A spread below this share of the mean's length is rounding."""


class Rows(Protocol):
    """Vectors that can be read by row and column, from memory or from disk."""

    @property
    def width(self) -> int:
        """Length of a vector."""
        ...

    def read(self, rows: Tensor, cell: int) -> Float[Tensor, "m d"]:
        """Vectors of some rows, ascending, of one column."""
        ...


@dataclass(frozen=True, eq=False)
class SiteValues:
    """What some examples hold at one site, readable block by block.

    Attributes:
        at: the site (with its position).
        labels: ``[n]`` of these examples.
        rows: ``[n]`` which of the harvested rows they are, ascending.
        pairs: ``[n]`` contrast pair of each, or None.
        classes: names of the labels.
        cell: which column of the source they are.
        source: where they are read from.
    """

    at: Address
    labels: Tensor
    rows: Tensor
    pairs: Tensor | None
    classes: tuple[str, ...]
    cell: int
    source: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._stream()

    def blocks(self) -> Iterator[tuple[Float[Tensor, "m d"], Tensor]]:
        """Vectors ``[m d]`` and labels ``[m]``, in order; flat in memory."""
        yield from self._stream()

    def all(self) -> Float[Tensor, "n d"]:
        """All vectors at once."""
        return torch.cat([x for x, _ in self.blocks()])

    def moments(self) -> ClassMoments:
        """Means and covariances by class, gathered in one pass in float64."""
        found = ClassMoments(self.source.width, len(self.classes))
        for x, labels in self.blocks():
            found.update(x, labels)
        return found

    def constant(self, moments: ClassMoments | None = None) -> bool:
        """Whether every example holds the same there, but for rounding.

        Args:
            moments: of these examples, where they are known.
        """
        moments = self.moments() if moments is None else moments
        spread = moments.covariance.diagonal().sum().clamp_min(0).sqrt()
        return bool(spread <= LEAST_SPREAD * moments.mean.norm())

    def need_spread(self) -> None:
        """Refuse activations that are the same in every example.

        Raises:
            ShapeError: they are.
        """
        if self.constant():
            raise ShapeError(
                "the activations are the same in every example",
                mend="read another token or a later site: at this one the examples do not differ",
                where=str(self.at),
            )

    def whole_pairs(self) -> SiteValues:
        """Those whose contrast pair is here in full.

        Raises:
            TaskError: there are none.
        """
        numbers = torch.full((len(self),), -1) if self.pairs is None else self.pairs
        count = torch.bincount(numbers + 1)
        whole = (numbers >= 0) & (count[numbers + 1] == 2)
        if not bool(whole.any()):
            raise TaskError(
                "the examples are no contrast pairs",
                mend="make them from a task, Examples.from_task(task), or leave paired=True out",
            )
        pairs = None if self.pairs is None else self.pairs[whole]
        return replace(self, labels=self.labels[whole], rows=self.rows[whole], pairs=pairs)

    def difference_moment(self) -> Tensor:
        """Mean of ``(x₁ - x₀)(x₁ - x₀)ᵀ`` over whole contrast pairs, ``[d d]``, float64."""
        assert self.pairs is not None
        width = self.source.width
        total = torch.zeros(width, width, dtype=torch.float64)
        order = self.pairs.argsort(stable=True)
        for start in range(0, len(order), 2 * _BLOCK):
            part = order[start : start + 2 * _BLOCK].sort().values
            some = replace(
                self, labels=self.labels[part], rows=self.rows[part], pairs=self.pairs[part]
            )
            by_pair = some.pairs.argsort(stable=True)  # type: ignore[union-attr]
            sign = 2.0 * some.labels[by_pair].double() - 1
            signed = some.all().double()[by_pair] * sign[:, None]
            differences = signed.unflatten(0, (-1, 2)).sum(1)
            total += differences.T @ differences
        return total / (len(order) // 2)

    def _stream(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self), _BLOCK):
            rows = self.rows[start : start + _BLOCK]
            yield self.source.read(rows, self.cell), self.labels[start : start + _BLOCK]
