"""The engine of a run: plan the edits and captures, make the pass, check that all edits fired."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from residuum.core import (
    Address,
    Edit,
    EditError,
    EditNeverFired,
    Freeze,
    OptionError,
    Provenance,
    Resample,
    Splice,
)
from residuum.models import Adapted, Batch, Flow
from residuum.runs.apply import Coder, Planned
from residuum.runs.capture import Capture, Kept
from residuum.runs.places import columns_of, resolve
from residuum.runs.run import Run
from residuum.runs.session import Enough, Live, Session


def plan_edits(
    adapted: Adapted, edits: Sequence[Edit], batch: Batch, coders: dict[str, Coder]
) -> list[Planned]:
    """Each edit at each site it means, checked against the model and the prompts."""
    planned = []
    for edit in edits:
        if not isinstance(edit, Edit):
            raise EditError(
                f"{edit!r} is not an edit", mend="give edits such as rz.Zero('L2.z[H3]')"
            )
        for address in resolve(adapted, edit.at, batch):
            planned.append(Planned(edit, address, coder=_coder(edit, address, coders)))
    _refuse_norm_conflict(planned)
    return planned


def _coder(edit: Edit, address: Address, coders: dict[str, Coder]) -> Coder | None:
    name = edit.dictionary if isinstance(edit, Splice) else address.dictionary
    if name is None:
        return None
    if name not in coders:
        raise EditError(
            f"no dictionary named {name!r} is loaded on this model",
            mend="hang it on with model.dictionaries[name] = coder",
            where=str(address),
        )
    return coders[name]


def _refuse_norm_conflict(planned: list[Planned]) -> None:
    """A head's own input is read through the norm anew: an edit of the norm would be lost."""
    names = {(each.address.layer, each.address.name) for each in planned}
    for layer, name in names:
        if name in ("q_in", "k_in", "v_in") and (layer, "ln1") in names:
            raise EditError(
                f"L{layer}.{name} and L{layer}.ln1 are edited together, which is ambiguous",
                mend="edit one of them",
            )


def plan_captures(
    adapted: Adapted, wanted: Iterable[Any], batch: Batch, defaults: dict[str, Any]
) -> list[Kept]:
    """Each requested site once, in forward order of the request."""
    kept: dict[Address, Kept] = {}
    if isinstance(wanted, (str, Capture, Address)):
        wanted = [wanted]
    for each in wanted:
        request = each if isinstance(each, Capture) else Capture(each, **defaults)
        for address in resolve(adapted, request.at, batch):
            kept.setdefault(address, Kept(request, address))
    return list(kept.values())


def _by_site(items: Iterable[Any]) -> dict[Address, list[Any]]:
    table: dict[Address, list[Any]] = defaultdict(list)
    for each in items:
        table[each.address.base].append(each)
    return dict(table)


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
    if batch.mask is not None:
        mask = batch.mask.to(device)
        arguments["attention_mask"] = mask.long()
        if adapted.family.position_ids:
            arguments["position_ids"] = (mask.long().cumsum(1) - 1).clamp_min(0)
    return arguments


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
) -> tuple[Tensor | None, dict[Address, Live]]:
    """One forward pass; returns the logits (or None) and the tensors still in the graph."""
    device = model_device(adapted)
    asked = bool(planned or kept or grad)
    arguments = forward_arguments(adapted, batch, device, plain=not asked)
    session = Session(
        adapted,
        _by_site(planned),
        _by_site(kept),
        columns_of(batch),
        Flow(batch=batch.ids.shape[0], pos=batch.ids.shape[1]),
        real=batch.mask,
        first_row=first_row,
        grad=grad,
        stop_early=not logits,
    )
    with torch.enable_grad() if grad else torch.no_grad():
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
    kept = {each.address: Kept(Capture(each.address), each.address) for each in frozen}
    one_pass(adapted, batch, [], list(kept.values()), logits=False, first_row=first_row)
    for each in frozen:
        value = kept[each.address].result()
        assert isinstance(value, Tensor)
        each.frozen = value


def check_fired(planned: list[Planned]) -> dict[Edit, int]:
    """Edit -> number of sites it wrote to; an edit that wrote nowhere is an error."""
    fired: dict[Edit, int] = {}
    for each in planned:
        fired[each.edit] = fired.get(each.edit, 0) + min(each.fired, 1)
    silent = [edit for edit, count in fired.items() if count == 0]
    if silent:
        raise EditNeverFired(
            f"{silent[0].kind} at {silent[0].at} never fired",
            mend="the position lies outside the prompts, or the pass stopped before the site",
            where=str(silent[0].at),
        )
    return fired


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
    kept = plan_captures(adapted, capture, batch, defaults)
    _check_options(planned, kept, batch, logits, batch_size, grad_of)
    rows = len(batch.ids)
    size = batch_size or rows
    outputs: list[Tensor] = []
    grads: dict[Address, Tensor] = {}
    value: Tensor | None = None
    for start in range(0, rows, size):
        chunk = batch.rows(start, start + size)
        freeze_values(adapted, chunk, planned, start)
        out, live = one_pass(
            adapted, chunk, planned, kept, first_row=start, logits=logits, grad=grad_of is not None
        )
        if grad_of is not None and out is not None:
            value, grads = _gradients(grad_of, out, live, kept)
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
        tokens=_strings(adapted, batch),
    )


def _strings(adapted: Adapted, batch: Batch) -> tuple[tuple[str, ...], ...]:
    if adapted.tokens.tokenizer is None:
        return ()
    ends = zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True)
    return tuple(
        tuple(adapted.tokens.strings(row[start : start + length]))
        for row, (start, length) in zip(batch.ids, ends, strict=True)
    )


def _check_options(
    planned: list[Planned],
    kept: list[Kept],
    batch: Batch,
    logits: bool,
    batch_size: int | None,
    grad_of: Any,
) -> None:
    if not logits and not kept and not planned:
        raise OptionError("nothing was asked for", mend="capture a site, or leave logits=True")
    if grad_of is not None and (not logits or not kept):
        raise OptionError(
            "gradients need the logits and at least one captured site",
            mend="run with logits=True and capture=[...]",
        )
    chunked = batch_size is not None and batch_size < len(batch.ids)
    if chunked and grad_of is not None:
        raise OptionError("gradients are taken over one batch", mend="leave batch_size out")
    if chunked and any(isinstance(p.edit, Resample) and p.edit.value is None for p in planned):
        raise OptionError(
            "resampling within the batch needs the whole batch in one pass",
            mend="leave batch_size out, or give reference rows as value=",
        )
    if batch_size is not None and batch_size < 1:
        raise OptionError("batch_size must be at least 1", mend="leave it out for one pass")
    ragged = any(
        isinstance(p.edit, Resample) and p.address.pos is None and p.edit.value is None
        for p in planned
    )
    if ragged and batch.mask is not None:
        raise EditError(
            "resampling all positions between prompts of different lengths misaligns them",
            mend="address single positions, or use prompts of equal length",
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
