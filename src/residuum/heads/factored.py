"""Products of two thin matrices, never multiplied out.

A head's circuits are ``[d_model d_model]`` or ``[d_vocab d_vocab]`` matrices of rank ``d_head``.
Everything asked of them here (norm, spectrum, eigenvalues, trace, largest entries) is computed from
the two factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import OptionError, ShapeError
from residuum.runs import whole_number

_LARGEST_DENSE = 2**26
"""Entries that :meth:`FactoredMatrix.dense` multiplies out without being told to."""

_CHUNK_ENTRIES = 2**24
"""Entries of the product that are held at a time."""


@dataclass(frozen=True, eq=False)
class FactoredMatrix:
    """The matrix ``left @ right``, kept as its factors.

    Shows: a linear map of low rank, exactly. Does not show: what vectors it is driven with.

    Attributes:
        left: ``[rows inner]``.
        right: ``[inner columns]``.

    Raises:
        ShapeError: no two matrices of one dtype that can be multiplied, or NaN in them.

    >>> import torch
    >>> thin = FactoredMatrix(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, 4.0]]))
    >>> thin.shape, thin.trace(), thin.T.rows([0]).tolist()
    ((2, 2), 11.0, [[3.0, 6.0]])
    """

    left: Tensor
    right: Tensor

    def __post_init__(self) -> None:
        pair = (self.left, self.right)
        if not all(isinstance(each, Tensor) and each.ndim == 2 for each in pair):
            raise ShapeError("a factor is no matrix", mend="give two tensors with two axes each")
        if self.left.shape[1] != self.right.shape[0] or not self.left.shape[1]:
            raise ShapeError(
                f"factors {list(self.left.shape)} and {list(self.right.shape)} do not fit",
                mend="give [rows inner] and [inner columns]",
            )
        if self.left.dtype != self.right.dtype or not self.left.is_floating_point():
            raise ShapeError(
                f"factors of {self.left.dtype} and {self.right.dtype}",
                mend="give both in one floating-point dtype",
            )
        if not all(bool(torch.isfinite(each).all()) for each in pair):
            raise ShapeError("a factor holds NaN or infinity", mend="look at the weights")

    def __repr__(self) -> str:
        return f"FactoredMatrix({self.shape[0]} × {self.shape[1]}, inner {self.inner})"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the product."""
        return (self.left.shape[0], self.right.shape[1])

    @property
    def inner(self) -> int:
        """Width between the factors: an upper bound on the rank."""
        return self.left.shape[1]

    @property
    def T(self) -> FactoredMatrix:
        """The transpose."""
        return FactoredMatrix(self.right.T, self.left.T)

    def __matmul__(self, other: FactoredMatrix | Tensor) -> FactoredMatrix:
        """The product with a matrix or with another factored one, again factored.

        The narrower of the two inner widths is kept.

        Raises:
            ShapeError: the shapes do not fit.
        """
        if not isinstance(other, FactoredMatrix):
            _fit(self.right, other)
            return FactoredMatrix(self.left, self.right @ other)
        _fit(self.right, other.left)
        middle = self.right @ other.left
        if self.inner <= other.inner:
            return FactoredMatrix(self.left, middle @ other.right)
        return FactoredMatrix(self.left @ middle, other.right)

    def __rmatmul__(self, other: Tensor) -> FactoredMatrix:
        """A matrix times this one."""
        _fit(other, self.left)
        return FactoredMatrix(other @ self.left, self.right)

    def rows(self, index: Any) -> Tensor:
        """Rows of the product, ``[len(index) columns]``.

        Raises:
            ShapeError: an index out of range.
        """
        return self.left[_indices(index, self.shape[0], "row")] @ self.right

    def columns(self, index: Any) -> Tensor:
        """Columns of the product, ``[rows len(index)]``.

        Raises:
            ShapeError: an index out of range.
        """
        return self.left @ self.right[:, _indices(index, self.shape[1], "column")]

    def dense(self, force: bool = False) -> Tensor:
        """The product, multiplied out.

        Raises:
            OptionError: it would hold more than 67 million entries and ``force`` is False.
        """
        if not force and self.shape[0] * self.shape[1] > _LARGEST_DENSE:
            raise OptionError(
                f"the product would be {self.shape[0]} × {self.shape[1]}",
                mend="use rows(), columns(), svd() or top_entries(), or say dense(force=True)",
            )
        return self.left @ self.right

    def norm(self) -> float:
        """Frobenius norm."""
        return float(torch.linalg.matrix_norm(self._core()[1]))

    def trace(self) -> float:
        """Sum of the diagonal.

        Raises:
            ShapeError: the matrix is not square.
        """
        self._square("a trace")
        return float((self.left.double() * self.right.T.double()).sum())

    def eigenvalues(self) -> Tensor:
        """The eigenvalues that are not zero by shape, complex, largest absolute value first.

        ``[min(inner, rows)]``: those of ``right @ left``, which the product shares; all others of
        the product are zero.

        Raises:
            ShapeError: the matrix is not square.
        """
        self._square("eigenvalues")
        left, right = self.left.double(), self.right.double()
        small = right @ left if self.inner <= self.shape[0] else left @ right
        values = torch.linalg.eigvals(small)
        return values[values.abs().argsort(descending=True)]

    def svd(self) -> tuple[Tensor, Tensor, Tensor]:
        """``U [rows k], S [k], V [columns k]`` with product = U diag(S) Vᵀ, S falling.

        ``k`` is the smallest of rows, inner and columns; signs of the pairs are arbitrary.
        """
        q_left, core, q_right = self._core()
        u, s, vh = torch.linalg.svd(core, full_matrices=False)
        u, v, s = q_left @ u, q_right @ vh.mH, s
        rank = min(*self.shape, self.inner)
        return u[:, :rank], s[:rank], v[:, :rank]

    def top_entries(self, n: int = 10, largest: bool = True) -> list[tuple[int, int, float]]:
        """The ``n`` largest (or smallest) entries: row, column, value.

        The product is made a band of rows at a time, about 17 million entries, never whole.

        Raises:
            OptionError: ``n`` is out of range.
        """
        whole_number(n, "n", 1)
        sign = 1.0 if largest else -1.0
        values = torch.empty(0, dtype=self.left.dtype, device=self.left.device)
        places = torch.empty(0, dtype=torch.long, device=self.left.device)
        for start, band in self.bands():
            flat = (sign * band).flatten()
            if len(values) == n:  # only what beats the worst so far
                at = (flat > values[-1]).nonzero()[:, 0]
                flat = flat[at]
            else:
                at = torch.arange(len(flat), device=flat.device)
            best, among = flat.topk(min(n, len(flat)))
            values = torch.cat([values, best])
            places = torch.cat([places, at[among] + start * self.shape[1]])
            values, order = values.topk(min(n, len(values)))
            places = places[order]
        width = self.shape[1]
        return [
            (int(at) // width, int(at) % width, sign * float(value))
            for at, value in zip(places, values, strict=True)
        ]

    def bands(self) -> Iterator[tuple[int, Tensor]]:
        """First row and entries ``[rows_of_band columns]`` of one band after the other."""
        step = max(1, _CHUNK_ENTRIES // self.shape[1])
        for start in range(0, self.shape[0], step):
            yield start, self.left[start : start + step] @ self.right

    def _core(self) -> tuple[Tensor, Tensor, Tensor]:
        """Orthonormal bases of both sides and the small matrix between them, in float64."""
        q_left, r_left = torch.linalg.qr(self.left.double())
        q_right, r_right = torch.linalg.qr(self.right.T.double())
        return q_left, r_left @ r_right.T, q_right

    def _square(self, what: str) -> None:
        if self.shape[0] != self.shape[1]:
            raise ShapeError(
                f"a {self.shape[0]} × {self.shape[1]} matrix has no {what.split()[-1]}",
                mend="ask for svd(), or for a circuit from the stream to the stream",
            )


def _fit(left: Tensor, right: Tensor) -> None:
    if not isinstance(right, Tensor) or right.ndim != 2 or left.shape[-1] != right.shape[0]:
        shape = list(right.shape) if isinstance(right, Tensor) else type(right).__name__
        raise ShapeError(
            f"cannot multiply {list(left.shape)} with {shape}",
            mend="the columns of the first are the rows of the second",
        )


def _indices(index: Any, size: int, what: str) -> Tensor:
    try:
        at = torch.as_tensor(index)
    except (TypeError, ValueError, RuntimeError):
        at = torch.tensor(0.0)
    if at.dtype.is_floating_point or at.dtype == torch.bool or at.ndim != 1:
        raise ShapeError(f"{what} numbers are a list of whole numbers", mend="write [0, 5]")
    if len(at) and not (int(at.min()) >= 0 and int(at.max()) < size):
        raise ShapeError(f"a {what} is out of range", mend=f"use 0 to {size - 1}")
    return at.long()
