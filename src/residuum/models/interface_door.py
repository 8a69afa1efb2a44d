"""The door of families with an attention interface: one registered function sees q, k and v.

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
from typing import Any

from torch import Tensor, nn

from residuum.models.attention import AttentionCall, Visitor, attend_explicitly
from residuum.models.parts import Parts

NAME = "residuum"
_ACTIVE = threading.local()
_KERNELS: dict[int, str] = {}
"""Kernel of each configuration that is set to ``NAME``, for threads that have no door open."""


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

    name = _KERNELS.get(id(kwargs.get("config")), "sdpa")
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
        name = _KERNELS.get(id(module.config), "sdpa")
        return _kernel(module, name)(module, query, key, value, mask, **kw)
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


def own_kernel(
    parts: Parts, layer: int, query: Tensor, key: Tensor, value: Tensor, call: AttentionCall
) -> Tensor:
    """``z`` of one layer by the model's own kernel, called as ``call`` recorded."""
    module = parts.layers[layer].attn
    name = module.config._attn_implementation or "eager"
    return _kernel(module, name)(module, query, key, value, call.mask, **call.options)[0]


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
def registered_function(parts: Parts, visitor: Visitor) -> Iterator[dict[int, AttentionCall]]:
    """Set the model to the registered attention function while the context is open.

    Yields:
        Layer -> what its attention function was last called with.
    """
    modules = {id(layer.attn): layer.index for layer in parts.layers}
    _register()
    configs = {id(c): c for c in (parts.hf.config, *(a.attn.config for a in parts.layers))}
    for each in list(configs.values()):
        text = each.get_text_config()
        configs[id(text)] = text
    before = {key: each._attn_implementation_internal for key, each in configs.items()}
    kernels = {key: _KERNELS.get(key) for key in configs}
    kernel = _kernel_name(parts, visitor)
    door = _OpenDoor(modules, kernel, visitor)
    stack = _ACTIVE.__dict__.setdefault("stack", [])
    stack.append(door)
    try:
        for key, each in configs.items():
            _KERNELS[key] = kernel
            each._attn_implementation_internal = NAME
        yield door.calls
    finally:
        for key, each in configs.items():
            each._attn_implementation_internal = before[key]
            outer = kernels[key]
            if outer is None:
                del _KERNELS[key]
            else:
                _KERNELS[key] = outer
        stack.remove(door)
