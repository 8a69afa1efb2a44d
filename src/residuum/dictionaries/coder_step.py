"""One forward pass of a sparse coder: what is active, what it rebuilds, what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.dictionaries.activations import BatchTopK, TopK
from residuum.dictionaries.coder_layout import Block
from residuum.dictionaries.entries import Entries, decode_entries, encode_entries
from residuum.dictionaries.losses import Losses
from residuum.dictionaries.penalties import L1
from residuum.dictionaries.plan import CoderPlan
from residuum.dictionaries.top_entries import top_entries
from residuum.dictionaries.training_rules import Active, rule_of


@dataclass(eq=False)
class CoderStep:
    """A batch on its way through a coder.

    Attributes:
        plan, blocks: of the coder.
        own: its parameters.
        x: ``[n read·d_in]``, scaled.
        target: ``[n write·d_out]``, scaled.
        least: smallest active latent of the batch, where BatchTopK asks for it.
    """

    plan: CoderPlan
    blocks: tuple[Block, ...]
    own: Mapping[str, Tensor]
    x: Tensor
    target: Tensor
    least: float | None = None

    def __post_init__(self) -> None:
        self.n = len(self.x)
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
        if isinstance(self.plan.activation, BatchTopK) and bool(on.any()):
            self.least = float(active.latents.detach()[on].min())
        return Losses(
            total=total,
            reconstruction=reconstruction,
            penalty=penalty.detach(),
            auxiliary=auxiliary.detach(),
            extra=rebuilt.detach() - reconstruction,
            l0=on.sum() / self.n,
            fired=self._fired(entries.cols[on]),
            n=self.n,
            squared_error=reconstruction * self.n,
            target_sum=self.target.sum(0).unflatten(0, (-1, self._out_width)),
            target_squares=self.target.square().sum(),
            on_backward=self._project,
        )

    @property
    def _out_width(self) -> int:
        assert self.plan.out_width is not None
        return self.plan.out_width

    # -- encoding ----------------------------------------------------------------------------

    def _part(self, x: Tensor, block: Block) -> Tensor:
        width = self.plan.width
        return x[:, block.reads.start * width : block.reads.stop * width]

    def _pre(self) -> Tensor:
        """``[n latent]``, without a graph."""
        weight, bias = self.own["W_enc"].detach(), self.own[self.rule.bias].detach()
        linear = torch.nn.functional.linear
        if len(self.blocks) == 1:
            return linear(self.centred, weight, bias)
        own = [(self._part(self.centred, each), each.latents) for each in self.blocks]
        return torch.cat([linear(x, weight[where], bias[where]) for x, where in own], 1)

    def _selected(self, pre: Tensor) -> Entries:
        vectors = {name: value.detach() for name, value in self.own.items()}
        if len(self.blocks) == 1 or not isinstance(self.plan.activation, TopK):
            return self.rule.select(pre, vectors)
        own = pre.unflatten(1, (len(self.blocks), -1))  # the k largest of each layer
        first = torch.arange(0, pre.shape[1], own.shape[2], device=pre.device)
        chosen = top_entries(own, self.plan.activation.k)[1] + first[:, None]
        return Entries.of_indices(chosen.flatten(1), pre.shape[1])

    def _encoded(self, pre: Tensor, entries: Entries) -> Tensor:
        """Pre-activations at the entries, with their graph."""
        values, weight, bias = pre[entries.rows, entries.cols], self.own["W_enc"], self.rule.bias
        if len(self.blocks) == 1:
            return encode_entries(values, self.centred, weight, self.own[bias], self.shift, entries)
        out = torch.zeros_like(values)
        for block in self.blocks:
            which, own = _of_block(entries, block)
            x = self._part(self.centred, block)
            part = weight[block.latents], self.own[bias][block.latents]
            out = out.index_put((which,), encode_entries(values[which], x, *part, None, own))
        return out

    # -- decoding ----------------------------------------------------------------------------

    def _decoded(self, latents: Tensor, entries: Entries, fixed: bool = False) -> Tensor:
        """``[n write·d_out]``, without the bias."""
        if len(self.blocks) == 1:
            weight = self.own["W_dec"]
            return decode_entries(latents, weight.detach() if fixed else weight, entries)
        out = torch.zeros_like(self.target)
        for block in self.blocks:
            which, own = _of_block(entries, block)
            weight = self.own[block.name]
            part = decode_entries(latents[which], weight.detach() if fixed else weight, own)
            missing = block.writes.start * self._out_width
            out = out + torch.nn.functional.pad(part, (missing, 0))
        return out

    def _base(self) -> Tensor:
        base = self.own["b_dec"]
        return base if "W_skip" not in self.own else base + self.x @ self.own["W_skip"]

    def _errors(self, latents: Tensor, entries: Entries, base: Tensor) -> tuple[Tensor, Tensor]:
        """The error with all latents ``[n d]``, and the loss: the mean over prefixes."""
        if not self.plan.prefixes:
            error = self._decoded(latents, entries) + base
            return error, error.square().sum() / self.n
        order, stacked = _by_prefix(entries, self.plan.prefixes)
        parts = decode_entries(latents[order], self.own["W_dec"], stacked)
        errors = parts.unflatten(0, (-1, self.n)).cumsum(0) + base
        return errors[-1], errors.square().sum() / (self.n * len(errors))

    # -- further losses ----------------------------------------------------------------------

    def _alone(self, active: Active, entries: Entries, base: Tensor) -> Tensor | float:
        if active.alone is None:
            return 0.0
        error = self._decoded(active.alone, entries, fixed=True) + base
        return error.square().sum() / self.n

    def _penalty(self, active: Active, entries: Entries) -> Tensor:
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

    def _fired(self, latents: Tensor) -> Tensor:
        fired = torch.zeros(self.plan.n_latents, dtype=torch.bool, device=latents.device)
        fired[latents] = True
        return fired

    def _project(self) -> None:
        """Take from the decoder's gradient what would change its rows' lengths."""
        if not self.plan.unit_norm:
            return
        for block in self.blocks:
            weight, grad = self.own[block.name].detach(), self.own[block.name].grad
            if grad is not None:
                along = torch.linalg.vecdot(weight, grad, dim=1)
                grad.addcmul_(weight, along[:, None], value=-1)


def _of_block(entries: Entries, block: Block) -> tuple[Tensor, Entries]:
    """Which entries are a block's, and these, counted from its first latent."""
    first, last = block.latents.start, block.latents.stop
    which = ((entries.cols >= first) & (entries.cols < last)).nonzero()[:, 0]
    rows, cols = entries.rows[which], entries.cols[which] - first
    return which, Entries(rows, cols, (entries.shape[0], last - first))


def _by_prefix(entries: Entries, prefixes: tuple[int, ...]) -> tuple[Tensor, Entries]:
    """The entries in one matrix ``[prefix·n latent]``: row ``p·n + i`` has those that are new."""
    n, m = entries.shape
    ends = torch.tensor(prefixes, device=entries.cols.device)
    rows = torch.bucketize(entries.cols, ends, right=True) * n + entries.rows
    rows, order = rows.sort(stable=True)
    return order, Entries(rows, entries.cols[order], (n * len(prefixes), m))
