"""A run from its request: plan edits and captures, make the passes, check that all fired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, Edit, OptionError, Provenance
from residuum.models import Adapted, Batch
from residuum.runs.apply import Coder
from residuum.runs.capture import Kept
from residuum.runs.planning import (
    check_fired,
    check_options,
    plan_captures,
    plan_edits,
    refuse_norm_conflict,
    refuse_not_finite,
)
from residuum.runs.run import Run
from residuum.runs.run_passes import Passes
from residuum.runs.run_trace import Ground, keeps_stream
from residuum.runs.session import Live


def run_forward(
    adapted: Adapted,
    batch: Batch,
    *,
    edits: Sequence[Edit],
    capture: Iterable[Any],
    coders: dict[str, Coder],
    logits: bool,
    batch_size: int | None,
    grad_of: Callable[[Tensor], Tensor] | None,
    defaults: dict[str, Any],
    origin: Callable[[], Provenance],
    after: Any = None,
) -> Run:
    """See :meth:`residuum.runs.model.Model.run`."""
    planned = plan_edits(adapted, edits, batch, coders)
    kept = plan_captures(adapted, capture, batch, coders, defaults)
    check_options(planned, kept, batch, logits, batch_size, grad_of)
    differentiated = [each.address for each in kept] if grad_of is not None else []
    refuse_norm_conflict(adapted, [each.address for each in planned], differentiated)
    rows = len(batch.ids)
    size, grad = min(batch_size or rows, rows), grad_of is not None
    passes = Passes(adapted, batch, planned, kept, size, logits, grad)
    traced = keeps_stream(kept)
    ground = Ground.of(adapted) if traced or after is not None else None
    if after is not None and ground is not None:
        passes.follow(after, ground)
    outputs: list[Tensor] = []
    grads: dict[Address, Tensor] = {}
    value: Tensor | None = None
    for start in range(0, rows, size):
        out = passes.chunk(start)
        if out is None:
            continue
        if grad_of is not None:
            value, grads = _gradients(grad_of, out, passes.live, kept)
        if edits:
            mask = None if batch.mask is None else batch.mask[start : start + size]
            refuse_not_finite(out if mask is None else out[mask.to(out.device)], edits)
        outputs.append(out.detach())
    passes.count_skipped_edits()
    fired = check_fired(planned)
    captured = passes.captured()
    return Run(
        batch=batch,
        logits=None if not outputs else outputs[0] if len(outputs) == 1 else torch.cat(outputs),
        edits=tuple(edits),
        fired=fired,
        captured=captured,
        origin=origin,
        grads=grads,
        metric=value,
        words=lambda: _strings(adapted, batch),
        passes=passes.cost,
        reuse=passes.reuse,
        trace=passes.trace(ground, captured) if ground and traced else None,
    )


def _strings(adapted: Adapted, batch: Batch) -> tuple[tuple[str, ...], ...]:
    if adapted.tokens.tokenizer is None:
        return ()
    ends = zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True)
    return tuple(
        tuple(adapted.tokens.strings(row[start : start + length]))
        for row, (start, length) in zip(batch.ids, ends, strict=True)
    )


def _gradients(
    metric: Callable[[Tensor], Tensor], logits: Tensor, live: dict[Address, Live], kept: list[Kept]
) -> tuple[Tensor, dict[Address, Tensor]]:
    value = metric(logits)
    if not isinstance(value, Tensor) or not value.requires_grad:
        raise OptionError(
            "grad_of must be a differentiable function of the logits",
            mend="give a callable that takes [batch pos d_vocab] and returns a tensor",
        )
    sites = [each.address.base for each in kept]
    tensors = [live[site].tensor for site in sites]
    found = torch.autograd.grad(value.sum(), tensors, allow_unused=True)
    grads = {}
    for site, tensor, grad in zip(sites, tensors, found, strict=True):
        full = torch.zeros_like(tensor) if grad is None else grad
        grads[site] = full.reshape(live[site].shape).detach()
    return value.detach(), grads
