"""The attention door of families that do not use transformers' attention interface.

BLOOM, Falcon, GPT-J and GPT-Neo write attention out inside their modules. While a door is open
on such a model, the ``forward`` of its attention modules is replaced, on the instance, by one
built from the module's own projections and the same explicit attention as everywhere else.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from residuum.models.attention import AttentionCall, Visitor, attend_explicitly
from residuum.models.parts import Layer, Parts

Heads = tuple[Tensor, Tensor, Tensor]
Prepare = Callable[[Layer, Tensor, dict[str, Any]], tuple[Heads, AttentionCall]]


def _heads(layer: Layer, hidden: Tensor) -> Heads:
    """q, k, v as ``[batch, head, pos, d_head]`` through the module's own projections."""
    projections = layer.projections
    if projections.layout == "separate":
        outs = [module(hidden) for module in projections.modules]
    else:
        outs = [projections.modules[0](hidden)] * 3
    q, k, v = (projections.read(out, s).transpose(1, 2) for out, s in zip(outs, "qkv", strict=True))
    return q, k, v


def _cached(layer: Layer, k: Tensor, v: Tensor, kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    cache = kwargs.get("layer_past")
    return (k, v) if cache is None else cache.update(k, v, layer.index)


def _bloom(layer: Layer, hidden: Tensor, kwargs: dict[str, Any]) -> tuple[Heads, AttentionCall]:
    q, k, v = _heads(layer, hidden)
    k, v = _cached(layer, k, v, kwargs)
    alibi = kwargs["alibi"].unflatten(0, (hidden.shape[0], -1))
    options = {
        "scaling": layer.attn.inv_norm_factor,
        "bias": alibi * layer.attn.beta,
        "single": "softmax",
    }
    return (q, k, v), AttentionCall(kwargs.get("attention_mask"), options)


def _falcon(layer: Layer, hidden: Tensor, kwargs: dict[str, Any]) -> tuple[Heads, AttentionCall]:
    q, k, v = _heads(layer, hidden)
    alibi = kwargs.get("alibi")
    if alibi is None:
        rotate = sys.modules[type(layer.attn).__module__].apply_rotary_pos_emb
        q, k = rotate(q, k, *kwargs["position_embeddings"])
    k, v = _cached(layer, k, v, kwargs)
    scaling = 1.0 / math.sqrt(layer.projections.d_head)
    options: dict[str, Any] = {"scaling": scaling}
    if alibi is not None and layer.attn.config._attn_implementation != "sdpa":
        options["bias"] = alibi.reshape(hidden.shape[0], -1, 1, alibi.shape[-1]) * scaling
    return (q, k, v), AttentionCall(kwargs.get("attention_mask"), options)


def _gptj(layer: Layer, hidden: Tensor, kwargs: dict[str, Any]) -> tuple[Heads, AttentionCall]:
    attn = layer.attn
    rotate = sys.modules[type(attn).__module__].apply_rotary_pos_emb
    q, k, v = _heads(layer, hidden)
    positions = kwargs["position_ids"]
    table = attn._get_embed_positions(positions)
    index = positions.unsqueeze(-1).repeat(1, 1, table.shape[-1])
    sin, cos = torch.gather(table, 1, index).to(k.dtype).chunk(2, dim=-1)
    width = attn.rotary_dim or layer.projections.d_head
    q, k = (_rotate_part(each, rotate, sin, cos, width) for each in (q, k))
    k, v = _cached(layer, k, v, kwargs)
    return (q, k, v), AttentionCall(
        kwargs.get("attention_mask"), {"scaling": 1 / attn.scale_attn, "single": "scores"}
    )


def _rotate_part(
    heads: Tensor, rotate: Callable[..., Tensor], sin: Tensor, cos: Tensor, width: int
) -> Tensor:
    by_pos = heads.transpose(1, 2)
    turned = rotate(by_pos[..., :width], sin, cos)
    return torch.cat([turned, by_pos[..., width:]], dim=-1).transpose(1, 2)


def _gpt_neo(layer: Layer, hidden: Tensor, kwargs: dict[str, Any]) -> tuple[Heads, AttentionCall]:
    q, k, v = _heads(layer, hidden)
    k, v = _cached(layer, k, v, kwargs)
    return (q, k, v), AttentionCall(
        kwargs.get("attention_mask"), {"scaling": 1.0, "single": "scores"}
    )


_PREPARE: dict[str, Prepare] = {
    "bloom": _bloom,
    "falcon": _falcon,
    "gptj": _gptj,
    "gpt_neo": _gpt_neo,
}


def prepare_heads(
    parts: Parts, layer: Layer, hidden: Tensor, kwargs: dict[str, Any]
) -> tuple[Heads, AttentionCall]:
    """q, k, v after rotary embedding, and how attention is to be called with them."""
    heads, call = _PREPARE[parts.family.name](layer, hidden, kwargs)
    call.mask = _windowed(layer, call.mask, heads[0].shape[-2], heads[1].shape[-2])
    return heads, call


def _windowed(layer: Layer, mask: Tensor | None, q_len: int, k_len: int) -> Tensor | None:
    """The mask with GPT-Neo's own causal and local window; other families' masks hold theirs."""
    window = getattr(layer.attn, "bias", None)
    if not isinstance(window, Tensor) or window.ndim != 4:
        return mask
    allowed = window[:, :, k_len - q_len : k_len, :k_len]
    if mask is None:
        return allowed
    mask = mask[..., :k_len]
    return allowed & (mask if mask.dtype == torch.bool else mask == 0)


def _forward(parts: Parts, layer: Layer, visitor: Visitor, calls: dict[int, AttentionCall]) -> Any:
    def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        residual = args[0] if args else kwargs.get("residual")
        heads, call = prepare_heads(parts, layer, hidden_states, kwargs)
        calls[layer.index] = call
        q, k, v = (
            visitor.visit(layer.index, slot, each.transpose(1, 2)).transpose(1, 2)
            for slot, each in zip("qkv", heads, strict=True)
        )
        if k.shape[-2] != heads[1].shape[-2]:
            mask = kwargs.get("attention_mask")
            call.mask = _windowed(layer, mask, q.shape[-2], k.shape[-2])
        z, pattern = attend_explicitly(
            layer.attn, q, k, v, call.mask, visitor, layer.index, **call.options
        )
        out = layer.o_proj(z.flatten(-2))
        return (out + residual if parts.family.name == "bloom" else out), pattern

    return forward


@contextmanager
def replaced_forwards(parts: Parts, visitor: Visitor) -> Iterator[dict[int, AttentionCall]]:
    """Replace ``forward`` of the attention modules where something was asked for."""
    calls: dict[int, AttentionCall] = {}
    before: list[tuple[Any, Any]] = []
    try:
        for layer in parts.layers:
            if visitor.wants(layer.index):
                before.append((layer.attn, layer.attn.__dict__.get("forward")))
                layer.attn.forward = _forward(parts, layer, visitor, calls)
        yield calls
    finally:
        for module, forward in before:
            if forward is None:
                del module.forward
            else:
                module.forward = forward
