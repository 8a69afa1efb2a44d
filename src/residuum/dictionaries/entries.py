"""Active entries of a latent matrix: gathering, weighting and scattering, with exact gradients.

An entry is a place (row, column) of ``[n latent]``; entries are sorted by row. Two operations need
gradients, and both touch only the entries: ``encode_entries`` (what of ``x @ W.T`` the entries
hold) and ``decode_entries`` (``A @ W`` for the sparse ``A``). Where more than one entry in
``DENSE`` is active, the dense product is the faster one and is taken instead; the numbers are the
same up to rounding.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

DENSE = 48


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
    def of_mask(mask: Tensor) -> Entries:
        """The places where ``[n latent]`` is true."""
        rows, cols = mask.nonzero(as_tuple=True)
        return Entries(rows, cols, (mask.shape[0], mask.shape[1]))

    @staticmethod
    def of_indices(indices: Tensor, n_latents: int) -> Entries:
        """``[n k]`` indices of latents."""
        n, k = indices.shape
        rows = torch.arange(n, device=indices.device).repeat_interleave(k)
        return Entries(rows, indices.reshape(-1), (n, n_latents))

    @property
    def dense(self) -> bool:
        """Whether a dense product is the faster one."""
        return self.rows.numel() * DENSE > self.shape[0] * self.shape[1]

    def where(self, mask: Tensor) -> Entries:
        """Those with true in ``[entry]``."""
        return Entries(self.rows[mask], self.cols[mask], self.shape)

    def full(self, values: Tensor) -> Tensor:
        """``[n latent]`` with the values at the entries, zeros elsewhere."""
        out = values.new_zeros(self.shape)
        out[self.rows, self.cols] = values
        return out

    def times(self, values: Tensor, right: Tensor) -> Tensor:
        """``A @ right``: ``[n d]`` from ``right [latent d]``."""
        if self.dense:
            return self.full(values) @ right
        return _csr(self.rows, self.cols, values, self.shape) @ right

    def transposed_times(self, values: Tensor, right: Tensor) -> Tensor:
        """``A.T @ right``: ``[latent d]`` from ``right [n d]``."""
        if self.dense:
            return self.full(values).T @ right
        cols, order = torch.sort(self.cols, stable=True)
        turned = _csr(cols, self.rows[order], values[order], (self.shape[1], self.shape[0]))
        return turned @ right

    def dots(self, left: Tensor, right: Tensor) -> Tensor:
        """``[entry]``: dot products of row ``row`` of ``left`` and row ``col`` of ``right``."""
        if self.dense:
            return (left @ right.T)[self.rows, self.cols]
        places = _csr(self.rows, self.cols, left.new_zeros(len(self.rows)), self.shape)
        return torch.sparse.sampled_addmm(places, left, right.T).values()


def _csr(rows: Tensor, cols: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    index = torch.int32 if rows.device.type == "cpu" else torch.int64
    starts = torch.searchsorted(rows, torch.arange(shape[0] + 1, device=rows.device))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            starts.to(index), cols.to(index), values, shape, check_invariants=False
        )


class _Encode(Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        values, x, weight, bias, shift, entries = given
        ctx.save_for_backward(x, weight)
        ctx.entries = entries
        ctx.has = (bias is not None, shift is not None)
        return values

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad, entries = grads[0], ctx.entries
        to_weight = entries.transposed_times(grad, x)
        has_bias, has_shift = ctx.has
        sums = None
        if has_bias or has_shift:
            sums = torch.zeros(len(weight), dtype=grad.dtype, device=grad.device)
            sums.index_add_(0, entries.cols, grad)
        to_shift = -(sums @ weight) if has_shift and sums is not None else None
        return None, None, to_weight, sums if has_bias else None, to_shift, None


def encode_entries(
    values: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    shift: Tensor | None,
    entries: Entries,
) -> Tensor:
    """The values ``(x @ weight.T + bias)`` at the entries, with gradients for what made them.

    Args:
        values: ``[entry]``, already computed.
        x: ``[n d]``, the input with ``shift`` taken off; gets no gradient.
        weight: ``[latent d]``.
        bias: ``[latent]``, or None.
        shift: ``[d]``, what was taken off the input, or None.
        entries: where.
    """
    out: Any = _Encode.apply(values, x, weight, bias, shift, entries)
    return out


class _Decode(Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        values, weight, entries = given
        ctx.save_for_backward(values, weight)
        ctx.entries = entries
        return entries.times(values, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        values, weight = ctx.saved_tensors
        grad, entries = grads[0].contiguous(), ctx.entries
        needs_values, needs_weight, _ = ctx.needs_input_grad
        to_values = entries.dots(grad, weight) if needs_values else None
        to_weight = entries.transposed_times(values, grad) if needs_weight else None
        return to_values, to_weight, None


def decode_entries(values: Tensor, weight: Tensor, entries: Entries) -> Tensor:
    """``A @ weight`` ``[n d]`` of the values at the entries; gradients for both."""
    out: Any = _Decode.apply(values, weight, entries)
    return out
