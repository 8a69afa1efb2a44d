"""Active entries of a latent matrix ``[n latent]``, and the three products with them.

A coder's step needs ``A @ W`` (decode), ``A.T @ X`` (gradients of weights) and dot products at the
entries (gradients of values), for a matrix ``A`` that is zero outside its entries. ``Entries`` does
these with the entries alone; ``AllEntries`` is the same for a matrix with so many that dense
products are faster. What is written for one holds for the other: values are ``[entry]`` there and
``[n latent]`` here, and ``vector[entries.cols]`` fits them in both.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

DENSE = 16
"""More than one entry in so many: dense products are taken (they break even near one in ten)."""


@dataclass(frozen=True, eq=False)
class Entries:
    """Places in an ``[n latent]`` matrix, sorted by row.

    Attributes:
        rows, cols: ``[entry]``, int64.
        shape: ``(n, latent)``.
    """

    rows: Tensor
    cols: Tensor
    shape: tuple[int, int]

    @staticmethod
    def of_indices(indices: Tensor, n_latents: int) -> Entries:
        """``[n k]`` indices of latents."""
        n, k = indices.shape
        rows = torch.arange(n, device=indices.device).repeat_interleave(k)
        return Entries(rows, indices.reshape(-1), (n, n_latents))

    def of(self, matrix: Tensor) -> Tensor:
        """A matrix's values at the entries."""
        return matrix[self.rows, self.cols]

    def times(self, values: Tensor, right: Tensor) -> Tensor:
        """``A @ right``: ``[n d]`` from ``right [latent d]``."""
        n, d = self.shape[0], right.shape[1]
        if not len(values):
            return right.new_zeros(n, d)
        return _into(right.new_empty(n, d), self._matrix(values), right, False)

    def add_transposed(self, out: Tensor, values: Tensor, right: Tensor, add: bool) -> None:
        """``A.T @ right`` into ``out [latent d]``, or onto it (``add``)."""
        if len(values):
            order, starts, rows = self._turned
            shape = (self.shape[1], self.shape[0])
            _into(out, _csr(starts, rows, values[order], shape), right, add)
        elif not add:
            out.zero_()

    def dots(self, left: Tensor, right: Tensor) -> Tensor:
        """``[entry]``: dot products of row ``row`` of ``left`` and row ``col`` of ``right``."""
        if not len(self.rows):
            return left.new_zeros(0)
        places = self._matrix(left.new_zeros(len(self.rows)))
        return torch.sparse.sampled_addmm(places, left, right.T).values()

    def column_sums(self, values: Tensor) -> Tensor:
        """``[latent]``."""
        return values.new_zeros(self.shape[1]).index_add_(0, self.cols, values)

    def columns(self, mask: Tensor) -> Tensor:
        """``[latent]``: whether some entry of the column has true in ``mask [entry]``."""
        found = torch.zeros(self.shape[1], dtype=torch.bool, device=mask.device)
        found[self.cols[mask]] = True
        return found

    def within(self, first: int, last: int) -> Entries:
        """Those of the columns ``first`` to ``last`` (excluded), counted from ``first``."""
        which = self._where(first, last)
        shape = (self.shape[0], last - first)
        return Entries(self.rows[which], self.cols[which] - first, shape)

    def take(self, values: Tensor, first: int, last: int) -> Tensor:
        """The values of :meth:`within`."""
        return values[self._where(first, last)]

    def join(self, parts: Sequence[Tensor], edges: Sequence[int]) -> Tensor:
        """The inverse of :meth:`take` over columns cut at ``edges``, from 0 to the last."""
        order = torch.cat([self._where(*pair) for pair in pairwise(edges)])
        return torch.cat(list(parts))[order.argsort()]

    def _where(self, first: int, last: int) -> Tensor:
        return ((self.cols >= first) & (self.cols < last)).nonzero()[:, 0]

    def _matrix(self, values: Tensor) -> Tensor:
        return _csr(*self._placed, values, self.shape)

    @cached_property
    def _placed(self) -> tuple[Tensor, Tensor]:
        """Starts of the rows, and columns."""
        return _starts(self.rows, self.shape[0]), _index(self.cols)

    @cached_property
    def _turned(self) -> tuple[Tensor, Tensor, Tensor]:
        """Order by column, starts of the columns, and rows in that order."""
        cols, order = _index(self.cols).sort(stable=True)
        return order, _starts(cols, self.shape[1]), _index(self.rows)[order]


@dataclass(frozen=True, eq=False)
class AllEntries:
    """Every place of an ``[n latent]`` matrix; values are the matrix itself."""

    shape: tuple[int, int]

    @property
    def cols(self) -> slice:
        """All of them."""
        return slice(None)

    def of(self, matrix: Tensor) -> Tensor:
        """The matrix."""
        return matrix

    def times(self, values: Tensor, right: Tensor) -> Tensor:
        """See :class:`Entries`."""
        return values @ right

    def add_transposed(self, out: Tensor, values: Tensor, right: Tensor, add: bool) -> None:
        """See :class:`Entries`."""
        torch.addmm(out, values.T, right, beta=float(add), out=out)

    def dots(self, left: Tensor, right: Tensor) -> Tensor:
        """See :class:`Entries`."""
        return left @ right.T

    def column_sums(self, values: Tensor) -> Tensor:
        """See :class:`Entries`."""
        return values.sum(0)

    def columns(self, mask: Tensor) -> Tensor:
        """See :class:`Entries`."""
        return mask.any(0)

    def within(self, first: int, last: int) -> AllEntries:
        """See :class:`Entries`."""
        return AllEntries((self.shape[0], last - first))

    def take(self, values: Tensor, first: int, last: int) -> Tensor:
        """See :class:`Entries`."""
        return values[:, first:last]

    def join(self, parts: Sequence[Tensor], edges: Sequence[int]) -> Tensor:
        """See :class:`Entries`."""
        return torch.cat(list(parts), 1)


def entries_of_mask(mask: Tensor) -> Entries | AllEntries:
    """The places where ``[n latent]`` is true; all places, where that is many."""
    n, m = mask.shape
    if int(mask.count_nonzero()) * DENSE > n * m:
        return AllEntries((n, m))
    rows, cols = mask.nonzero(as_tuple=True)
    return Entries(rows, cols, (n, m))


def _index(values: Tensor) -> Tensor:
    """As MKL's sparse products want it on a CPU; elsewhere as it is."""
    return values.to(torch.int32) if values.device.type == "cpu" else values


def _starts(rows: Tensor, n: int) -> Tensor:
    bounds = torch.arange(n + 1, dtype=rows.dtype, device=rows.device)
    return _index(torch.searchsorted(rows, bounds))


def _csr(starts: Tensor, cols: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, cols, values, shape, check_invariants=False)


def _into(out: Tensor, left: Tensor, right: Tensor, add: bool) -> Tensor:
    return torch.addmm(out, left, right, beta=float(add), out=out)
