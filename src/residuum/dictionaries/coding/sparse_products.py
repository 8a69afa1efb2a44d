"""Encoding and decoding at the entries, with exact gradients that touch nothing else.

Gradients of the large weights do not go through autograd: they are written into a buffer that is
kept between the steps (:class:`WeightGradient`), since memory taken anew costs as much as the
product itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from residuum.dictionaries.coding.entries import AllEntries, Entries


class WeightGradient:
    """Where the gradient of a weight ``[latent d]`` is gathered during one backward pass.

    ``begin`` before, ``finish`` after; between them rows are written the first time and added to
    later. Gradients that autograd or an earlier pass left in ``weight.grad`` stay in the sum.
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self._buffer: Tensor | None = None
        self._written: list[tuple[int, int]] = []

    def lie_in(self, buffer: Tensor) -> None:
        """Gather in this memory, of the weight's shape."""
        self._buffer = buffer

    def begin(self) -> None:
        """Before a backward pass."""
        adding = self._buffer is not None and self.weight.grad is self._buffer
        self._written = [(0, len(self.weight))] if adding else []
        if self._buffer is None:
            self._buffer = torch.empty_like(self.weight)

    def add(self, entries: Entries | AllEntries, values: Tensor, right: Tensor, first: int) -> None:
        """``A.T @ right`` onto the rows from ``first`` on."""
        assert self._buffer is not None, "begin() comes first"
        last = first + entries.shape[1]
        gaps = self._gaps(first, last)
        new = gaps == [(first, last)]
        if not new:
            self._clear(gaps)
        entries.add_transposed(self._buffer[first:last], values, right, not new)
        self._written = sorted([*self._written, *gaps])

    def _gaps(self, first: int, last: int) -> list[tuple[int, int]]:
        """The rows of a range that nothing was written to yet, as ranges."""
        gaps = []
        for low, high in self._written:
            if first < low:
                gaps.append((first, min(low, last)))
            first = max(first, high)
            if first >= last:
                return gaps
        return [*gaps, (first, last)]

    def _clear(self, ranges: list[tuple[int, int]]) -> None:
        assert self._buffer is not None
        for low, high in ranges:
            self._buffer[low:high].zero_()

    def finish(self) -> None:
        """After it: ``weight.grad`` is the gradient."""
        self._clear(self._gaps(0, len(self.weight)))
        if self.weight.grad is None:
            self.weight.grad = self._buffer
        elif self.weight.grad is not self._buffer and self._buffer is not None:
            self.weight.grad.add_(self._buffer)


class _Encode(Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        values, x, weight, _, shift, entries, gradient, first = given
        ctx.save_for_backward(x, weight)
        ctx.rest = entries, gradient, first, shift is not None
        return values.clone() if isinstance(entries, AllEntries) else values

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        entries, gradient, first, has_shift = ctx.rest
        gradient.add(entries, grads[0], x, first)
        sums = entries.column_sums(grads[0])
        to_shift = -(sums @ weight) if has_shift else None
        return None, None, None, sums, to_shift, None, None, None


def encode_entries(
    values: Tensor,
    x: Tensor,
    bias: Tensor,
    shift: Tensor | None,
    entries: Entries | AllEntries,
    gradient: WeightGradient,
    first: int = 0,
) -> Tensor:
    """The values of ``x @ weight.T + bias`` at the entries, with gradients for what made them.

    Args:
        values: already computed, without a graph.
        x: ``[n d]``, the input with ``shift`` taken off; gets no gradient.
        bias: ``[latent]``.
        shift: ``[d]``, what was taken off the input, or None.
        entries: where.
        gradient: of the weight.
        first: the weight's row that is latent 0 of the entries.
    """
    weight = gradient.weight.detach()[first : first + entries.shape[1]]
    out: Any = _Encode.apply(values, x, weight, bias, shift, entries, gradient, first)
    return out


class _Decode(Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        values, weight, entries, gradient, first = given
        ctx.save_for_backward(values, weight)
        ctx.rest = entries, gradient, first
        return entries.times(values, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        values, weight = ctx.saved_tensors
        entries, gradient, first = ctx.rest
        grad = grads[0].contiguous()
        if gradient is not None:
            gradient.add(entries, values, grad, first)
        return entries.dots(grad, weight), None, None, None, None


def decode_entries(
    values: Tensor,
    weight: Tensor,
    entries: Entries | AllEntries,
    gradient: WeightGradient | None,
    first: int = 0,
) -> Tensor:
    """``A @ weight`` ``[n d]`` of the values at the entries; gradients for both.

    Args:
        values: at the entries.
        weight: ``[latent d]``, all rows.
        entries: where.
        gradient: of the weight; None holds it fixed.
        first: the weight's row that is latent 0 of the entries.
    """
    rows = weight.detach()[first : first + entries.shape[1]]
    out: Any = _Decode.apply(values, rows, entries, gradient, first)
    return out
