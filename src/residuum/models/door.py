"""The attention door: one registered attention function that sees q, k and v of every layer.

transformers lets a model run on a named attention function. This module registers one under
``"residuum"``. While a door is open on a model its attention modules are set to that name; the
function hands on to the model's own kernel, or computes attention explicitly for the layers where
somebody asked for scores or pattern. When the door closes the model is as it was. Nothing else in
the process is touched; other models never see the name.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from residuum.models.parts import Parts

NAME = "residuum"
_ACTIVE = threading.local()


class Visitor(Protocol):
    """Who stands at the door. Tensors come and go in the site's axis order."""

    def wants(self, layer: int) -> bool:
        """Whether anything at this layer's door was asked for."""
        ...

    def explicit(self, layer: int) -> bool:
        """Whether scores or pattern of this layer are asked for."""
        ...

    def visit(self, layer: int, slot: str, value: Tensor) -> Tensor:
        """Look at ``q, k, v, scores, pattern`` or ``z`` and return what to go on with."""
        ...


@dataclass
class AttentionCall:
    """What one layer's attention function was called with, besides q, k and v."""

    mask: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class _OpenDoor:
    """The state of a door: which module is which layer, the kernel to hand on to, who visits."""

    layer_of: dict[int, int]
    kernel_name: str
    visitor: Visitor
    calls: dict[int, AttentionCall] = field(default_factory=dict)


def _current() -> _OpenDoor | None:
    stack = getattr(_ACTIVE, "stack", None)
    return stack[-1] if stack else None


def _register() -> None:
    """Make the name known to transformers; once, and only when a door is first opened."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _mask)


def _mask(*args: Any, **kwargs: Any) -> Any:
    """Build the mask that the model's own kernel would get."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    door = _current()
    name = door.kernel_name if door is not None else "sdpa"
    return ALL_MASK_ATTENTION_FUNCTIONS[name](*args, **kwargs)


def _kernel(module: nn.Module, name: str) -> Callable[..., Any]:
    from transformers import AttentionInterface

    if name == "eager":
        return sys.modules[type(module).__module__].eager_attention_forward
    return AttentionInterface()[name]


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kw: Any
) -> tuple[Tensor, Tensor | None]:
    """The registered function: visit q, k, v, z; hand on, or compute explicitly."""
    door = _current()
    layer = None if door is None else door.layer_of.get(id(module))
    if door is None or layer is None:
        return _kernel(module, door.kernel_name if door else "sdpa")(
            module, query, key, value, mask, **kw
        )
    door.calls[layer] = AttentionCall(mask, kw)
    if not door.visitor.wants(layer):
        return _kernel(module, door.kernel_name)(module, query, key, value, mask, **kw)
    query, key, value = (
        door.visitor.visit(layer, slot, heads.transpose(1, 2)).transpose(1, 2)
        for slot, heads in (("q", query), ("k", key), ("v", value))
    )
    if not door.visitor.explicit(layer):
        z, weights = _kernel(module, door.kernel_name)(module, query, key, value, mask, **kw)
        return door.visitor.visit(layer, "z", z), weights
    return attend_explicitly(module, query, key, value, mask, door.visitor, layer, **kw)


def attend_explicitly(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    visitor: Visitor | None,
    layer: int,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, honouring soft caps, sinks, additive biases and grouped heads.

    Args:
        query: ``[batch, head, q_pos, d_head]``; ``key`` and ``value`` with their own, fewer heads.
        mask: boolean (true = attend), additive, or None for plain causal (or no) masking.
        s_aux: per-head sink logits.
        bias: added to the scores after scaling (ALiBi).

    Returns:
        ``z`` as ``[batch, q_pos, head, d_head]`` and the pattern.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (each.repeat_interleave(groups, dim=1) for each in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ key.transpose(-1, -2) * scale
    if bias is not None:
        scores = scores + bias
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = _masked(scores, mask, causal=getattr(module, "is_causal", True))
    if visitor is not None:
        scores = visitor.visit(layer, "scores", scores)
    pattern = _softmax(scores, s_aux).to(value.dtype)
    if visitor is not None:
        pattern = visitor.visit(layer, "pattern", pattern)
    z = (pattern @ value).transpose(1, 2).contiguous()
    return (z if visitor is None else visitor.visit(layer, "z", z)), pattern


def _masked(scores: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    lowest = torch.finfo(scores.dtype).min
    if mask is None:
        q_len, k_len = scores.shape[-2:]
        if not causal or q_len == 1:
            return scores
        allowed = torch.ones(q_len, k_len, dtype=torch.bool, device=scores.device)
        return scores.masked_fill(~allowed.tril(k_len - q_len), lowest)
    mask = mask[..., : scores.shape[-1]]
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, lowest)
    return (scores + mask).clamp_min(lowest)


def _softmax(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Softmax in at least float32; with sinks, each row shares its mass with one more logit."""
    work = torch.promote_types(scores.dtype, torch.float32)
    if sinks is None:
        return torch.softmax(scores, dim=-1, dtype=work)
    extra = sinks.reshape(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[-2], 1)
    return torch.softmax(torch.cat([scores, extra.to(scores.dtype)], -1), -1, dtype=work)[..., :-1]


def _kernel_name(parts: Parts, visitor: Visitor) -> str:
    """The model's own kernel; where scores are asked for, one whose mask can be read."""
    name = parts.layers[0].attn.config._attn_implementation or "eager"
    if name == NAME:
        outer = _current()
        name = outer.kernel_name if outer is not None else "eager"
    if name in ("eager", "sdpa") or not any(visitor.explicit(a.index) for a in parts.layers):
        return name
    return "sdpa" if getattr(parts.hf, "_supports_sdpa", False) else "eager"


@contextmanager
def open_door(parts: Parts, visitor: Visitor) -> Iterator[dict[int, AttentionCall]]:
    """Let ``visitor`` see every attention layer of the model while the context is open.

    Yields:
        Layer -> what its attention function was last called with.
    """
    from residuum.models.module_door import replaced_forwards

    modules = {id(layer.attn): layer.index for layer in parts.layers}
    if parts.family.door == "module":
        with replaced_forwards(parts, visitor) as calls:
            yield calls
        return
    _register()
    configs = {id(c): c for c in (parts.hf.config, *(a.attn.config for a in parts.layers))}
    for each in list(configs.values()):
        text = each.get_text_config()
        configs[id(text)] = text
    before = {key: each._attn_implementation_internal for key, each in configs.items()}
    kernel = _kernel_name(parts, visitor)
    door = _OpenDoor(modules, kernel, visitor)
    stack = _ACTIVE.__dict__.setdefault("stack", [])
    stack.append(door)
    try:
        for each in configs.values():
            each._attn_implementation_internal = NAME
        yield door.calls
    finally:
        for key, each in configs.items():
            each._attn_implementation_internal = before[key]
        stack.remove(door)
