"""One forward pass of a sparse coder: what is active, what it rebuilds, what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from residuum.dictionaries.coding.batch_share import BatchShare
from residuum.dictionaries.coding.coder_layout import Block
from residuum.dictionaries.coding.entries import AllEntries, Entries
from residuum.dictionaries.coding.losses import Losses
from residuum.dictionaries.coding.penalties import L1
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.coding.row_norms import make_tangent
from residuum.dictionaries.coding.sparse_products import (
    WeightGradient,
    decode_entries,
    encode_entries,
)
from residuum.dictionaries.coding.training_rules import Active, rule_of
from residuum.dictionaries.record.activations import BatchTopK, TopK
from residuum.dictionaries.record.top_entries import top_entries


@dataclass(eq=False)
class CoderStep:
    """A batch on its way through a coder.

    Attributes:
        plan, blocks: of the coder.
        own: its parameters.
        gradients: of its large weights, by name.
        x: ``[n read·d_in]``, scaled.
        target: ``[n write·d_out]``, scaled.
        room: ``[n latent]``, overwritten.
        share: what this is of the whole batch.
    """

    plan: CoderPlan
    blocks: tuple[Block, ...]
    own: Mapping[str, Tensor]
    gradients: Mapping[str, WeightGradient]
    x: Tensor
    target: Tensor
    room: Tensor
    share: BatchShare

    def __post_init__(self) -> None:
        self.n = self.share.whole
        self.rule = rule_of(self.plan.activation)
        self.shift = self.own["b_dec"] if self.plan.centred else None
        self.centred = self.x if self.shift is None else self.x - self.shift.detach()

    def losses(self, weights: Mapping[str, float], dead: Tensor) -> Losses:
        """All losses of the batch.

        Args:
            weights: coefficients of ``penalty`` and ``auxiliary``.
            dead: ``[latent]`` bool.
        """
        pre = self._pre()
        entries = self._selected(pre)
        active = self.rule.active(self._encoded(pre, entries), entries.cols, self.own)
        base = self._base() - self.target
        error, rebuilt = self._errors(active.latents, entries, base)
        reconstruction = error.detach().square().sum() / self.n
        rebuilt = rebuilt + self._alone(active, entries, base.detach())
        total, penalty, auxiliary = rebuilt, reconstruction * 0, reconstruction * 0
        if self.plan.penalty is not None:
            penalty = self._penalty(active, entries)
            total = total + weights["penalty"] * penalty
        if self.plan.aux_k and bool(dead.any()):
            auxiliary = self._auxiliary(pre, dead, error.detach())
            total = total + weights["auxiliary"] * auxiliary
        on = active.latents.detach() > 0
        return Losses(
            total=total.detach(),
            reconstruction=reconstruction,
            penalty=penalty.detach(),
            auxiliary=auxiliary.detach(),
            extra=rebuilt.detach() - reconstruction,
            l0=on.sum().to(torch.promote_types(self.x.dtype, torch.float32)) / self.n,
            fired=entries.columns(on),
            n=len(self.x),
            squared_error=reconstruction * self.n,
            target_sum=self.target.sum(0).unflatten(0, (-1, self._out_width)),
            target_squares=self.target.square().sum(),
            least=self._least(active.latents.detach()[on]),
            run_backward=partial(self._backward, total),
        )

    def _least(self, latents: Tensor) -> float | None:
        asked = isinstance(self.plan.activation, BatchTopK) and bool(len(latents))
        return float(latents.min()) if asked else None

    @property
    def _out_width(self) -> int:
        assert self.plan.out_width is not None
        return self.plan.out_width

    # -- encoding ----------------------------------------------------------------------------

    def _part(self, block: Block) -> Tensor:
        width = self.plan.width
        return self.centred[:, block.reads.start * width : block.reads.stop * width]

    def _pre(self) -> Tensor:
        """``[n latent]``, without a graph."""
        weight, bias = self.own["W_enc"].detach(), self.own[self.rule.bias].detach()
        for block in self.blocks:
            own = slice(block.first, block.last)
            torch.addmm(bias[own], self._part(block), weight[own].T, out=self.room[:, own])
        return self.room

    def _selected(self, pre: Tensor) -> Entries | AllEntries:
        vectors = {name: value.detach() for name, value in self.own.items()}
        if len(self.blocks) == 1 or not isinstance(self.plan.activation, TopK):
            return self.rule.select(pre, vectors, self.share)
        own = pre.unflatten(1, (len(self.blocks), -1))  # the k largest of each layer
        first = torch.arange(0, pre.shape[1], own.shape[2], device=pre.device)
        chosen = top_entries(own, self.plan.activation.k)[1] + first[:, None]
        return Entries.of_indices(chosen.flatten(1), pre.shape[1])

    def _encoded(self, pre: Tensor, entries: Entries | AllEntries) -> Tensor:
        """Pre-activations at the entries, with their graph."""
        values, bias, gradient = entries.of(pre), self.own[self.rule.bias], self.gradients["W_enc"]
        if len(self.blocks) == 1:
            return encode_entries(values, self.centred, bias, self.shift, entries, gradient)
        parts = []
        for block in self.blocks:
            first, last = block.first, block.last
            own = (entries.within(first, last), gradient, first)
            values_here = entries.take(values, first, last)
            x = self._part(block)
            parts.append(encode_entries(values_here, x, bias[first:last], None, *own))
        return entries.join(parts, [0, *(each.last for each in self.blocks)])

    # -- decoding ----------------------------------------------------------------------------

    def _decoded(
        self, latents: Tensor, entries: Entries | AllEntries, fixed: bool = False
    ) -> Tensor:
        """``[n write·d_out]``, without the bias; ``fixed``: no gradient for the decoder."""
        if len(self.blocks) == 1:
            gradient = None if fixed else self.gradients["W_dec"]
            return decode_entries(latents, self.own["W_dec"], entries, gradient)
        out = torch.zeros_like(self.target)
        for block in self.blocks:
            own = entries.within(block.first, block.last)
            values = entries.take(latents, block.first, block.last)
            gradient = None if fixed else self.gradients[block.name]
            part = decode_entries(values, self.own[block.name], own, gradient)
            missing = block.writes.start * self._out_width
            out = out + torch.nn.functional.pad(part, (missing, 0))
        return out

    def _base(self) -> Tensor:
        base = self.own["b_dec"]
        return base if "W_skip" not in self.own else base + self.x @ self.own["W_skip"]

    def _errors(
        self, latents: Tensor, entries: Entries | AllEntries, base: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The error with all latents ``[n d]``, and the loss: the mean over prefixes."""
        if not self.plan.prefixes:
            error = self._decoded(latents, entries) + base
            return error, error.square().sum() / self.n
        parts = []
        for first, last in zip((0, *self.plan.prefixes), self.plan.prefixes, strict=False):
            own = (entries.within(first, last), self.gradients["W_dec"], first)
            values = entries.take(latents, first, last)
            parts.append(decode_entries(values, self.own["W_dec"], *own))
        errors = torch.stack(parts).cumsum(0) + base
        return errors[-1], errors.square().sum() / (self.n * len(errors))

    # -- further losses ----------------------------------------------------------------------

    def _alone(self, active: Active, entries: Entries | AllEntries, base: Tensor) -> Tensor | float:
        if active.alone is None:
            return 0.0
        error = self._decoded(active.alone, entries, fixed=True) + base
        return error.square().sum() / self.n

    def _penalty(self, active: Active, entries: Entries | AllEntries) -> Tensor:
        if not isinstance(self.plan.penalty, L1):
            assert active.counted is not None
            return active.counted.sum() / self.n
        if not self.plan.penalty.by_decoder_norm:
            return active.sizes.sum() / self.n
        rows = (self.own[each.name].unflatten(1, (-1, self._out_width)) for each in self.blocks)
        lengths = torch.cat([each.norm(dim=2).sum(1) for each in rows])
        return (active.sizes * lengths[entries.cols]).sum() / self.n

    def _auxiliary(self, pre: Tensor, dead: Tensor, error: Tensor) -> Tensor:
        """Dead latents rebuild the error that is left; the gradient reaches their encoder."""
        which = dead.nonzero()[:, 0]
        chosen = which[top_entries(pre[:, which], self.plan.aux_k)[1]]
        entries = Entries.of_indices(chosen, pre.shape[1])
        out = self._decoded(self._encoded(pre, entries), entries)
        return (out + error).square().sum() / self.n

    # -- gradients ---------------------------------------------------------------------------

    def _backward(self, total: Tensor) -> None:
        for each in self.gradients.values():
            each.begin()
        total.backward()
        for each in self.gradients.values():
            each.finish()
        if self.plan.unit_norm:
            for block in self.blocks:
                make_tangent(self.own[block.name])
