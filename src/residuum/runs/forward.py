"""One forward pass of the model, with edits and captures, and with blocks left out."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, OptionError
from residuum.models import Adapted, Batch, Flow
from residuum.runs.apply import Planned
from residuum.runs.capture import Kept
from residuum.runs.places import columns_of
from residuum.runs.planning import by_site
from residuum.runs.session import Enough, Live, Session
from residuum.runs.skipped_blocks import SkippedBlocks


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
    skip: SkippedBlocks | None = None,
) -> tuple[Tensor | None, dict[Address, Live]]:
    """One forward pass; returns the logits (or None) and the tensors still in the graph.

    Args:
        own_cache: let the model keep its key/value cache as it would for its user.
        skip: blocks to leave out.
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
            with (
                nullcontext() if skip is None else skip.installed(),
                session.installed() if asked else nullcontext(),
            ):
                output = adapted.hf(**arguments)
        except Enough:
            return None, session.live
    return (output.logits if logits else None), session.live
