"""The engine of a run: plan the edits and captures, make the pass, check that all edits fired."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from residuum.core import (
    Address,
    Edit,
    Freeze,
    OptionError,
    Provenance,
)
from residuum.models import Adapted, Batch, Flow
from residuum.runs.apply import Coder, Planned
from residuum.runs.capture import Capture, Kept
from residuum.runs.places import columns_of
from residuum.runs.planning import (
    by_site,
    check_fired,
    check_options,
    plan_captures,
    plan_edits,
    refuse_norm_conflict,
    refuse_not_finite,
)
from residuum.runs.run import Run
from residuum.runs.session import Enough, Live, Session


def forward_arguments(
    adapted: Adapted, batch: Batch, device: Any, *, plain: bool = False
) -> dict[str, Any]:
    """Arguments of the model's forward: what a user would pass, plus positions if padded.

    Args:
        plain: leave the cache as the user has it; in some families (GPT-Neo) the memory layout of
            cached keys changes the last bit.
    """
    arguments: dict[str, Any] = {"input_ids": batch.ids.to(device)}
    accepts = inspect.signature(adapted.hf.forward).parameters
    if "use_cache" in accepts and not plain:
        arguments["use_cache"] = False
    refuse_padding(adapted, batch)
    if batch.mask is not None and "attention_mask" in accepts:
        mask = batch.mask.to(device)
        arguments["attention_mask"] = mask.long()
        if adapted.family.position_ids:
            arguments["position_ids"] = (mask.long().cumsum(1) - 1).clamp_min(0)
    return arguments


def refuse_padding(adapted: Adapted, batch: Batch) -> None:
    """Padding is an error where the self-check found that it changes the numbers."""
    if batch.mask is None:
        return
    side = "left" if bool(batch.starts.any()) else "right"
    if side not in adapted.padding:
        raise OptionError(
            f"padding on the {side} changes the numbers of this family's prompts",
            mend="run prompts of one length together",
        )


def model_device(adapted: Adapted) -> torch.device:
    """Device of the embedding, where token ids go in."""
    return next(adapted.parts.embed.parameters()).device


def one_pass(
    adapted: Adapted,
    batch: Batch,
    planned: list[Planned],
    kept: list[Kept],
    *,
    first_row: int = 0,
    logits: bool = True,
    grad: bool = False,
    own_cache: bool = False,
) -> tuple[Tensor | None, dict[Address, Live]]:
    """One forward pass; returns the logits (or None) and the tensors still in the graph.

    Args:
        own_cache: let the model keep its key/value cache as it would for its user.
    """
    device = model_device(adapted)
    asked = bool(planned or kept or grad)
    arguments = forward_arguments(adapted, batch, device, plain=own_cache)
    session = Session(
        adapted,
        by_site(planned),
        by_site(kept),
        columns_of(batch),
        Flow(batch=batch.ids.shape[0], pos=batch.ids.shape[1]),
        real=batch.mask,
        first_row=first_row,
        grad=grad,
        stop_early=not logits,
    )
    with adapted.passing(), torch.enable_grad() if grad else torch.no_grad():
        try:
            with session.installed() if asked else nullcontext():
                output = adapted.hf(**arguments)
        except Enough:
            return None, session.live
    return (output.logits if logits else None), session.live


def freeze_values(
    adapted: Adapted, batch: Batch, planned: list[Planned], first_row: int = 0
) -> None:
    """Fill in what frozen sites are in the unedited run."""
    frozen = [each for each in planned if isinstance(each.edit, Freeze)]
    if not frozen:
        return
    kept = {each.address: Kept(Capture(each.address), each.address, each.coder) for each in frozen}
    one_pass(adapted, batch, [], list(kept.values()), logits=False, first_row=first_row)
    for each in frozen:
        value = kept[each.address].result()
        assert isinstance(value, Tensor)
        each.frozen = value


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
) -> Run:
    """See :meth:`residuum.runs.model.Model.run`."""
    planned = plan_edits(adapted, edits, batch, coders)
    kept = plan_captures(adapted, capture, batch, coders, defaults)
    check_options(planned, kept, batch, logits, batch_size, grad_of)
    differentiated = [each.address for each in kept] if grad_of is not None else []
    refuse_norm_conflict(adapted, [each.address for each in planned], differentiated)
    rows = len(batch.ids)
    size = batch_size or rows
    outputs: list[Tensor] = []
    grads: dict[Address, Tensor] = {}
    value: Tensor | None = None
    for start in range(0, rows, size):
        chunk = batch.rows(start, start + size)
        for each in planned:
            each.first_row, each.chunk = start, len(chunk.ids)
        freeze_values(adapted, chunk, planned, start)
        out, live = one_pass(
            adapted,
            chunk,
            planned,
            kept,
            first_row=start,
            logits=logits,
            grad=grad_of is not None,
            own_cache=not planned and not kept,
        )
        if grad_of is not None and out is not None:
            value, grads = _gradients(grad_of, out, live, kept)
        if out is not None and edits:
            refuse_not_finite(out if chunk.mask is None else out[chunk.mask.to(out.device)], edits)
        if out is not None:
            outputs.append(out.detach())
    fired = check_fired(planned)
    whole = None if not outputs else outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return Run(
        batch=batch,
        logits=whole,
        edits=tuple(edits),
        fired=fired,
        captured={each.address: each.result() for each in kept},
        origin=origin,
        grads=grads,
        metric=value,
        words=lambda: _strings(adapted, batch),
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
