"""Recording how each block and its attention were called, so that they can be called again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from residuum.models import Adapted, Batch, LayerCall
from residuum.runs.capture import Kept
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
    adapted: Adapted, batch: Batch, kept: list[Kept] | None = None
) -> tuple[list[BlockCall], Tensor]:
    """Every block's call in one pass over ``batch``, without gradients, and the logits.

    Args:
        kept: further sites to keep in the same pass.
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
            logits, _ = one_pass(adapted, batch, [], kept or [])
        finally:
            for handle in handles:
                handle.remove()
    assert logits is not None
    return [calls[index] for index in sorted(calls)], logits
