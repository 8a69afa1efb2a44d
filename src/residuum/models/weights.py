"""Weights by name, in the field's order, whatever the family's storage.

``W_Q, W_K, W_V [head d_model d_head]``, ``W_O [head d_head d_model]``, ``W_in, W_gate
[d_model d_mlp]``, ``W_out [d_mlp d_model]`` (with a leading ``expert`` in mixtures),
``W_E [d_vocab d_model]``, ``W_U [d_model d_vocab]``. Keys and values have their own, fewer heads in
grouped models. They are views of the model's parameters where storage allows; do not write to them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from residuum.core import AddressError
from residuum.models.parts import Layer, Parts
from residuum.models.projections import linear_weight


def output_heads(layer: Layer) -> Tensor:
    """``W_O`` of one block, ``[head d_head d_model]``."""
    return linear_weight(layer.o_proj).unflatten(0, (layer.projections.n_heads, -1))


@dataclass(frozen=True)
class ByLayer:
    """One kind of weight, indexed by layer: ``model.W_Q[3]``."""

    name: str
    layers: tuple[Layer, ...]
    of: Callable[[Layer], Tensor | None]

    def __getitem__(self, index: int) -> Tensor:
        """One layer's tensor.

        Raises:
            AddressError: no layer's number, out of range, or a block without this weight.
        """
        index = _layer_number(self.name, index)
        if not -len(self.layers) <= index < len(self.layers):
            raise AddressError(
                f"layer {index} is out of range: the model has {len(self.layers)} layers",
                mend=f"use 0 to {len(self.layers) - 1}",
                where=self.name,
            )
        layer = self.layers[index]
        value = None if layer.opaque else self.of(layer)
        if value is None:
            raise AddressError(
                f"block {index} has no {self.name}",
                mend="this family stores no such weight there",
                where=self.name,
            )
        return value.detach()

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def stack(self) -> Tensor:
        """All layers in one tensor ``[layer ...]``."""
        return torch.stack(list(self))

    def __repr__(self) -> str:
        shapes = (None if each.opaque else self.of(each) for each in self.layers)
        shape = next((tuple(each.shape) for each in shapes if each is not None), "nothing")
        return f"{self.name}[{len(self)} layers of {shape}]"


def _layer_number(name: str, index: Any) -> int:
    """A whole number, also NumPy's or torch's; slices, pairs and texts are refused."""
    try:
        if isinstance(index, bool):
            raise TypeError
        return operator.index(index)
    except (TypeError, ValueError):
        plain = isinstance(index, (str, tuple, slice, bool, float))
        got = repr(index) if plain else type(index).__name__
        raise AddressError(
            f"model.{name} is indexed by the number of a layer, got {got}",
            mend=f"write model.{name}[layer] for one layer's tensor, then its own axes; "
            f"model.{name}.stack() for all layers in one",
            where=name,
        ) from None


def _bias(module: nn.Module | None) -> Tensor | None:
    value = getattr(module, "bias", None)
    return value if isinstance(value, Tensor) else None


def _gain(module: nn.Module | None) -> Tensor | None:
    value = getattr(module, "weight", None)
    return value if isinstance(value, Tensor) else None


def _half(layer: Layer, which: int) -> Tensor | None:
    if layer.mlp_kind == "fused_gated" and layer.mlp_in is not None:
        return linear_weight(layer.mlp_in).chunk(2, dim=-1)[which]
    return None


def _mlp_in(layer: Layer) -> Tensor | None:
    if layer.mlp_kind == "moe":
        return _expert_halves(layer)[1]
    fused = _half(layer, 1)
    if fused is not None or layer.mlp_in is None:
        return fused
    return linear_weight(layer.mlp_in)


def _mlp_gate(layer: Layer) -> Tensor | None:
    if layer.mlp_kind == "moe":
        return _expert_halves(layer)[0]
    return linear_weight(layer.mlp_gate) if layer.mlp_gate is not None else _half(layer, 0)


def _expert_halves(layer: Layer) -> tuple[Tensor, Tensor]:
    """Gate and up of every expert, ``[expert d_model d_mlp]``."""
    fused = getattr(layer.experts, "gate_up_proj", None)
    assert isinstance(fused, Tensor)
    if _experts_input_first(layer):
        return fused[..., ::2], fused[..., 1::2]
    gate, up = fused.transpose(-1, -2).chunk(2, dim=-1)
    return gate, up


def _experts_input_first(layer: Layer) -> bool:
    return hasattr(layer.experts, "gate_up_proj_bias")


def _mlp_out(layer: Layer) -> Tensor | None:
    if layer.mlp_kind != "moe":
        return None if layer.mlp_out is None else linear_weight(layer.mlp_out)
    down = getattr(layer.experts, "down_proj", None)
    assert isinstance(down, Tensor)
    return down if _experts_input_first(layer) else down.transpose(-1, -2)


_BY_LAYER: dict[str, Callable[[Layer], Tensor | None]] = {
    "W_Q": lambda a: a.projections.weight("q"),
    "W_K": lambda a: a.projections.weight("k"),
    "W_V": lambda a: a.projections.weight("v"),
    "W_O": output_heads,
    "b_Q": lambda a: a.projections.bias("q"),
    "b_K": lambda a: a.projections.bias("k"),
    "b_V": lambda a: a.projections.bias("v"),
    "b_O": lambda a: _bias(a.o_proj),
    "W_in": _mlp_in,
    "W_gate": _mlp_gate,
    "W_out": _mlp_out,
    "b_in": lambda a: _bias(a.mlp_in),
    "b_out": lambda a: _bias(a.mlp_out),
    "w_ln1": lambda a: _gain(a.ln1),
    "b_ln1": lambda a: _bias(a.ln1),
    "w_ln2": lambda a: _gain(a.ln2),
    "b_ln2": lambda a: _bias(a.ln2),
}


@dataclass(frozen=True)
class Weights:
    """All weights of a model by name."""

    parts: Parts

    def by_layer(self, name: str) -> ByLayer:
        """A per-layer weight such as ``W_Q``."""
        return ByLayer(name, self.parts.layers, _BY_LAYER[name])

    def whole(self, name: str) -> Tensor:
        """A weight of the whole model: ``W_E, W_pos, W_U, b_U, w_ln_final, b_ln_final``."""
        parts = self.parts
        table: dict[str, Callable[[], Tensor | None]] = {
            "W_E": lambda: _gain(parts.embed),
            "W_pos": lambda: _gain(parts.pos_embed),
            "W_U": lambda: None if parts.unembed is None else linear_weight(parts.unembed),
            "b_U": lambda: _bias(parts.unembed),
            "w_ln_final": lambda: _gain(parts.final_norm),
            "b_ln_final": lambda: _bias(parts.final_norm),
        }
        value = table[name]()
        if value is None:
            raise AddressError(
                f"this model has no {name}", mend="its family stores no such weight", where=name
            )
        return value.detach()


WEIGHT_NAMES = (*_BY_LAYER, "W_E", "W_pos", "W_U", "b_U", "w_ln_final", "b_ln_final")
"""Every name that ``model.<name>`` answers to."""
BY_LAYER_NAMES = tuple(_BY_LAYER)
