"""Queries, keys and values: how each family stores and lays out their projections.

Three layouts cover the families: three separate matrices; one fused matrix in blocks
``[q | k | v]``; one fused matrix grouped by key head, ``[q … q k v]`` for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from residuum.core import LoadError
from residuum.models.family import Family


def linear_weight(module: nn.Module) -> Tensor:
    """Weight of a linear map as ``[in, out]``, whatever its storage (Linear or Conv1D)."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        raise LoadError(
            f"{type(module).__name__} has no plain weight",
            mend="load the model unquantised, or merge the adapter into the weights (PEFT: "
            "merge_and_unload()); runs work on the model as it is",
        )
    return weight if hasattr(module, "nf") else weight.T


@dataclass(frozen=True)
class Projections:
    """The projections of one attention module.

    Attributes:
        modules: q, k, v modules, or the one fused module.
        layout: ``separate``, ``blocks`` or ``grouped``.
    """

    modules: tuple[nn.Module, ...]
    layout: str
    n_heads: int
    n_kv_heads: int
    d_head: int
    q_norm: nn.Module | None = None
    k_norm: nn.Module | None = None

    @staticmethod
    def of(attn: nn.Module, family: Family, config: Any) -> Projections:
        """Find the projections of an attention module."""
        modules = tuple(getattr(attn, name) for name in family.qkv)
        n_heads = int(config.num_attention_heads)
        d_head = _head_dim(attn, config, n_heads)
        return Projections(
            modules=modules,
            layout=family.qkv_layout,
            n_heads=n_heads,
            n_kv_heads=_kv_heads(attn, family, config, n_heads),
            d_head=d_head,
            q_norm=getattr(attn, family.q_norm, None) if family.q_norm else None,
            k_norm=getattr(attn, family.k_norm, None) if family.k_norm else None,
        )

    def heads(self, slot: str) -> int:
        """Number of heads of ``q``, ``k`` or ``v``."""
        return self.n_heads if slot == "q" else self.n_kv_heads

    def module(self, slot: str) -> nn.Module:
        """The module that makes ``q``, ``k`` or ``v``."""
        return self.modules["qkv".index(slot)] if len(self.modules) == 3 else self.modules[0]

    def read(self, out: Tensor, slot: str) -> Tensor:
        """Heads of one slot ``[..., head, d_head]`` from that module's output ``[..., width]``."""
        if self.layout == "separate":
            return out.unflatten(-1, (self.heads(slot), self.d_head))
        if self.layout == "blocks":
            sizes = [self.heads(each) * self.d_head for each in "qkv"]
            part = out.split(sizes, dim=-1)["qkv".index(slot)]
            return part.unflatten(-1, (self.heads(slot), self.d_head))
        grouped = out.unflatten(-1, (self.n_kv_heads, -1, self.d_head))
        if slot == "q":
            return grouped[..., :-2, :].flatten(-3, -2)
        return grouped[..., -2 if slot == "k" else -1, :]

    def write(self, out: Tensor, slot: str, heads: Tensor) -> Tensor:
        """The module's output with one slot's heads replaced; a new tensor."""
        if self.layout == "separate":
            return heads.flatten(-2)
        parts = {each: self.read(out, each) for each in "qkv"} | {slot: heads}
        if self.layout == "blocks":
            return torch.cat([parts[each].flatten(-2) for each in "qkv"], dim=-1)
        queries = parts["q"].unflatten(-2, (self.n_kv_heads, -1))
        rest = [parts[each].unsqueeze(-2) for each in "kv"]
        return torch.cat([queries, *rest], dim=-2).flatten(-3)

    def weight(self, slot: str) -> Tensor:
        """``[head, d_model, d_head]``."""
        return self.read(linear_weight(self.module(slot)), slot).transpose(0, 1)

    def bias(self, slot: str) -> Tensor | None:
        """``[head, d_head]``, or None."""
        bias = getattr(self.module(slot), "bias", None)
        return None if bias is None else self.read(bias, slot)


def _head_dim(attn: nn.Module, config: Any, n_heads: int) -> int:
    for name in ("head_dim", "head_size", "attention_head_size"):
        value = getattr(attn, name, None)
        if isinstance(value, int):
            return value
    return int(getattr(config, "head_dim", None) or config.hidden_size // n_heads)


def _kv_heads(attn: nn.Module, family: Family, config: Any, n_heads: int) -> int:
    if family.name == "falcon":
        grouped = config.new_decoder_architecture
        return config.num_kv_heads if grouped else (1 if config.multi_query else n_heads)
    value = getattr(config, "num_key_value_heads", None)
    return int(value) if isinstance(value, int) else n_heads
