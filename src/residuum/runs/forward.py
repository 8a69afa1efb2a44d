"""The engine of a run: plan the edits and captures, make the pass, check that all edits fired."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from residuum.core import (
    Address,
    AddressError,
    Edit,
    EditError,
    EditNeverFired,
    Erase,
    Freeze,
    OptionError,
    Provenance,
    Resample,
    Span,
    Splice,
)
from residuum.models import Adapted, Batch, Flow
from residuum.runs.apply import Coder, Planned
from residuum.runs.capture import Capture, Kept
from residuum.runs.places import columns_of, resolve
from residuum.runs.run import Run
from residuum.runs.session import Enough, Live, Session


def plan_edits(
    adapted: Adapted,
    edits: Sequence[Edit],
    batch: Batch,
    coders: dict[str, Coder],
    more: int = 0,
) -> list[Planned]:
    """Each edit at each site it means, checked against the model and the prompts.

    Args:
        more: tokens that generation will add to the prompts.
    """
    planned = []
    for edit in edits:
        if not isinstance(edit, Edit):
            raise EditError(
                f"{edit!r} is not an edit", mend="give edits such as rz.Zero('L2.z[H3]')"
            )
        for address in resolve(adapted, edit.at, batch, more):
            _refuse_single_number(edit, address)
            name = edit.dictionary if isinstance(edit, Splice) else address.dictionary
            coder = _coder(name, address, coders)
            planned.append(Planned(edit, address, coder=coder, rows=len(batch.ids)))
    return planned


def _refuse_single_number(edit: Edit, address: Address) -> None:
    """A neuron or a latent is one number: it has no directions, and no dictionary reads it."""
    last = address.site.part_axis == len(address.site.dims) - 1
    single = address.dictionary is not None or (last and isinstance(address.part, int))
    if single and isinstance(edit, (Erase, Splice)):
        raise EditError(
            f"{edit.kind} works on vectors, and {address} is no site of vectors",
            mend=f"address the whole site, {address.base}",
            where=str(address),
        )


def _coder(name: str | None, address: Address, coders: dict[str, Coder]) -> Coder | None:
    if name is None:
        return None
    if name not in coders:
        raise EditError(
            f"no dictionary named {name!r} is loaded on this model",
            mend="hang it on with model.dictionaries[name] = coder",
            where=str(address),
        )
    return coders[name]


def refuse_norm_conflict(
    adapted: Adapted, edited: Iterable[Address], touched: Iterable[Address]
) -> None:
    """A reader's own input goes through the norm anew: an edit of the norm's output is lost there.

    Args:
        edited: sites that are edited.
        touched: these, and sites that gradients are taken with respect to.
    """
    written = {(each.layer, each.name) for each in edited}
    names = written | {(each.layer, each.name) for each in touched}
    for layer, name in sorted(names, key=str):
        readers = ["q_in", "k_in", "v_in"]
        part = adapted.parts.layers[layer] if isinstance(layer, int) else None
        if part is not None and part.wiring == "parallel" and part.ln2 is None:
            readers.append("mlp_in")
        pair = {(layer, name), (layer, "ln1")}
        if name in readers and pair <= names and pair & written:
            raise EditError(
                f"L{layer}.{name} and L{layer}.ln1 are taken together, which is ambiguous",
                mend="edit one of them, and take gradients with respect to others in another run",
            )


def plan_captures(
    adapted: Adapted,
    wanted: Any,
    batch: Batch,
    coders: dict[str, Coder],
    defaults: dict[str, Any],
    more: int = 0,
) -> list[Kept]:
    """Each requested site once, in forward order of the request."""
    kept: dict[Address, Kept] = {}
    one = isinstance(wanted, (str, Capture, Address)) or not isinstance(wanted, Iterable)
    asked: list[Any] = [wanted] if one else [*wanted]  # pyright: ignore[reportGeneralTypeIssues]
    requests = [_request(each, defaults) for each in asked]
    if not requests and any(value is not None for value in defaults.values()):
        given = ", ".join(name for name, value in defaults.items() if value is not None)
        raise OptionError(f"{given} without capture", mend="say what to capture, or leave it out")
    for request in requests:
        for address in resolve(adapted, request.at, batch, more):
            _refuse_empty_span(address, batch)
            own = replace(request, at=address)
            coder = _coder(address.dictionary, address, coders)
            if kept.setdefault(address, Kept(own, address, coder)).request != own:
                raise OptionError(
                    f"{address} is captured twice, in two ways",
                    mend="ask for it once; make two runs for two forms of it",
                )
    return list(kept.values())


def _request(wanted: Any, defaults: dict[str, Any]) -> Capture:
    """A capture with the run's defaults where it says nothing itself."""
    if not isinstance(wanted, Capture):
        return Capture(wanted, **defaults)
    return replace(wanted, **{k: v for k, v in defaults.items() if getattr(wanted, k) is None})


def _refuse_empty_span(address: Address, batch: Batch) -> None:
    if isinstance(address.pos, Span):
        longest = int(batch.lengths.max())
        if not address.pos.indices(longest):
            raise AddressError(
                f"positions {address.pos} hold no token: the longest prompt has {longest}",
                mend=f"use positions from 0 to {longest - 1}",
                where=str(address),
            )


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
        _by_site(planned),
        _by_site(kept),
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
    kept = plan_captures(adapted, capture, batch, coders, defaults)
    _check_options(planned, kept, batch, logits, batch_size, grad_of)
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
    if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
        raise OptionError(
            f"batch_size={batch_size!r}: it is a number of prompts, at least 1",
            mend="leave it out for one pass",
        )
    if grad_of is not None and not callable(grad_of):
        raise OptionError(
            f"grad_of={grad_of!r} is no function",
            mend="give a callable that takes [batch pos d_vocab] and returns a tensor",
        )
    chunked = batch_size is not None and batch_size < len(batch.ids)
    if chunked and grad_of is not None:
        raise OptionError("gradients are taken over one batch", mend="leave batch_size out")
    if chunked and any(isinstance(p.edit, Resample) and p.edit.value is None for p in planned):
        raise OptionError(
            "resampling within the batch needs the whole batch in one pass",
            mend="leave batch_size out, or give reference rows as value=",
        )
    refuse_ragged_resample(planned, batch)


def refuse_ragged_resample(planned: list[Planned], batch: Batch) -> None:
    """Prompts of different lengths cannot lend each other all their positions."""
    whole = any(
        isinstance(p.edit, Resample) and p.address.pos is None and p.edit.value is None
        for p in planned
    )
    if whole and batch.mask is not None:
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
