"""Recording how each block and its attention were called, so that they can be called again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address
from residuum.models import Adapted, Batch, LayerCall
from residuum.runs.capture import Capture, Kept
from residuum.runs.forward import one_pass

_CACHE_NAMES = ("past_key_values", "layer_past", "use_cache", "output_attentions")


@dataclass
class BlockCall:
    """One block's call in a plain pass.

    Attributes:
        stream: what came in, ``[batch pos d_model]``.
        output: what went out.
        args, kwargs: the block's other arguments.
        call: what the layer seam needs to call its attention again.
    """

    stream: Tensor
    output: Tensor
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    call: LayerCall = field(default_factory=LayerCall)


def record_calls(
    adapted: Adapted,
    batch: Batch,
    kept: list[Kept] | None = None,
    *,
    answers_only: bool = False,
) -> tuple[list[BlockCall], Tensor]:
    """Every block's call in one pass over ``batch``, without gradients, and the logits.

    Args:
        kept: further sites to keep in the same pass.
        answers_only: unembed each prompt's last real token alone; logits ``[batch 1 d_vocab]``.
    """
    calls: dict[int, BlockCall] = {}
    layer_calls: dict[int, LayerCall] = {}
    handles = []

    def before_attention(index: int) -> Any:
        def hook(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
            keep = {k: v for k, v in kwargs.items() if k not in (*_CACHE_NAMES, "hidden_states")}
            layer_calls[index] = LayerCall(keep)

        return hook

    def after_block(index: int) -> Any:
        def hook(_: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
            stream = args[0] if args else kwargs["hidden_states"]
            out = output[0] if isinstance(output, tuple) else output
            rest = {k: v for k, v in kwargs.items() if k != "hidden_states"}
            calls[index] = BlockCall(stream, out, tuple(args[1:]), rest, layer_calls[index])

        return hook

    with adapted.lock:
        try:
            for layer in adapted.parts.layers:
                hook = before_attention(layer.index)
                handles.append(layer.attn.register_forward_pre_hook(hook, with_kwargs=True))
                after = after_block(layer.index)
                handles.append(layer.block.register_forward_hook(after, with_kwargs=True))
            if answers_only and adapted.parts.unembed is not None:
                hook = _last_tokens(batch)
                handles.append(adapted.parts.unembed.register_forward_pre_hook(hook))
            logits, _ = one_pass(adapted, batch, [], kept or [])
        finally:
            for handle in handles:
                handle.remove()
    assert logits is not None
    return [calls[index] for index in sorted(calls)], logits


def record_sites(
    adapted: Adapted, batch: Batch, sites: Sequence[Address]
) -> tuple[dict[Address, Tensor], Tensor]:
    """Sites of one plain pass, and the logits at each prompt's last token ``[batch d_vocab]``."""
    kept = {at: Kept(Capture(at), at) for at in sites}
    _, logits = record_calls(adapted, batch, list(kept.values()), answers_only=True)
    values = {at: each.result() for at, each in kept.items()}
    return {at: value for at, value in values.items() if isinstance(value, Tensor)}, logits[:, 0]


def _last_tokens(batch: Batch) -> Any:
    """A hook that hands the unembedding each prompt's last real token and no other."""
    ends = batch.starts + batch.lengths - 1

    def hook(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        rows = torch.arange(len(ends), device=args[0].device)
        return (args[0][rows, ends.to(args[0].device)].unsqueeze(1), *args[1:])

    return hook
