"""Planning a run: which edit and which capture at which site; what cannot be done is refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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
    OptionError,
    Resample,
    Span,
    Splice,
)
from residuum.models import Adapted, Batch
from residuum.runs.apply import Coder, Placed, Planned
from residuum.runs.capture import Capture, Kept
from residuum.runs.places import resolve


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
    coder = coders[name]
    if isinstance(coder, Placed) and _place(address) not in map(
        _place, (*coder.reads, *coder.writes)
    ):
        own = ", ".join(dict.fromkeys(str(each.base) for each in (*coder.reads, *coder.writes)))
        raise EditError(
            f"dictionary {name!r} belongs to {own}, not to {address.base}",
            mend=f"address it there, or hang on a dictionary that was made for {address.base}",
            where=str(address),
        )
    return coder


def _place(address: Address) -> tuple[str, int | None]:
    """Site and layer; the stream before a block is the stream after the one before it."""
    if address.name == "resid_pre" and isinstance(address.layer, int) and address.layer > 0:
        return "resid_post", address.layer - 1
    return address.name, address.layer if isinstance(address.layer, int) else None


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
                mend="edit one of them: name its site, where a pattern such as * takes both"
                if pair <= written
                else "edit one of them, and take gradients with respect to others in another run",
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


def by_site(items: Iterable[Any]) -> dict[Address, list[Any]]:
    """Edits or captures grouped by whole site, in order."""
    table: dict[Address, list[Any]] = defaultdict(list)
    for each in items:
        table[each.address.base].append(each)
    return dict(table)


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


def check_options(
    planned: list[Planned],
    kept: list[Kept],
    batch: Batch,
    logits: bool,
    batch_size: int | None,
    grad_of: Any,
) -> None:
    """Refuse options that contradict each other, or that would be ignored."""
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


def refuse_not_finite(logits: Tensor, edits: Sequence[Edit]) -> None:
    """Edits that drive the logits to NaN or infinity give an answer that means nothing."""
    if not bool(torch.isfinite(logits).all()):
        names = ", ".join(f"{edit.kind} {edit.at}" for edit in edits) or "none"
        raise EditError(
            f"the logits are NaN or infinite; edits: {names}",
            mend="use smaller values or scales, or a wider dtype",
        )
