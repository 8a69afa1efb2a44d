"""Taps: for every site of a model, where it is seen and how it is written back.

A tap is data for the engine in ``runs``, which owns the hooks. It names a *point* (the input or
output of a module, or a slot of the attention door) and two small functions: ``read`` makes the
site's tensor from what flows at that point, ``write`` makes what flows on from an edited tensor.
Several sites share a point; they are handled in the order of the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from residuum.core import Address
from residuum.models.norms import frozen_scale
from residuum.models.parts import Layer, Parts
from residuum.models.seam import Seam
from residuum.models.weights import output_heads

Side = Literal["in", "out"]


@dataclass
class Flow:
    """What a read or write may need to know about the pass it happens in.

    Attributes:
        batch, pos: shape of the tokens of this forward call.
        memo: values remembered at other points, by (layer, name): ``stream`` (the block's input),
            ``z`` (the output projection's input), ``o`` (its output).
    """

    batch: int
    pos: int
    memo: dict[tuple[int, str], Any] = field(default_factory=dict)


Read = Callable[[Any, Flow], Tensor]
Write = Callable[[Any, Tensor, Flow], Any]


@dataclass(frozen=True)
class ModulePoint:
    """The input or output of a module."""

    module: nn.Module
    side: Side


@dataclass(frozen=True)
class DoorPoint:
    """A slot of the attention function: ``q, k, v, scores, pattern, z``."""

    layer: int
    slot: str


@dataclass(frozen=True)
class Tap:
    """One site of one model.

    Attributes:
        address: the whole site.
        point: where it is edited, and captured unless ``seen_at`` says otherwise.
        read, write: see the module's text.
        seen_at: where it is captured when that is not where it is edited.
        needs: values that must be remembered on the way.
    """

    address: Address
    point: ModulePoint | DoorPoint
    read: Read
    write: Write
    seen_at: tuple[ModulePoint, Read] | None = None
    needs: tuple[str, ...] = ()


def _tensor(native: Any) -> Tensor:
    return native[0] if isinstance(native, (tuple, list)) else native


def _swap(native: Any, tensor: Tensor) -> Any:
    if isinstance(native, list):
        return [tensor, *native[1:]]
    return (tensor, *native[1:]) if isinstance(native, tuple) else tensor


def _plain(native: Any, flow: Flow) -> Tensor:
    """The native tensor as ``[batch pos ...]`` (some families flatten batch and position)."""
    tensor = _tensor(native)
    if tensor.ndim == 2:
        return tensor.unflatten(0, (flow.batch, flow.pos))
    return tensor.expand(flow.batch, *tensor.shape[1:]) if tensor.shape[0] == 1 else tensor


def _plain_back(native: Any, value: Tensor, flow: Flow) -> Any:
    old = _tensor(native)
    return _swap(native, value.flatten(0, 1) if old.ndim == 2 else value)


def _scaled(factor: float) -> tuple[Read, Write]:
    """Read and write for a tensor that the model multiplies by ``factor`` afterwards."""
    if factor == 1.0:
        return _plain, _plain_back

    def read(native: Any, flow: Flow) -> Tensor:
        return _plain(native, flow) * factor

    def write(native: Any, value: Tensor, flow: Flow) -> Any:
        return _plain_back(native, value / factor, flow)

    return read, write


def build_taps(parts: Parts, seam: Seam) -> dict[Address, Tap]:
    """Every site that the family's row declares, in the order of the forward pass."""
    taps: dict[Address, Tap] = {}
    for tap in (*_front(parts), *_blocks(parts, seam), *_back(parts)):
        taps[tap.address] = tap
    return taps


def _front(parts: Parts) -> Iterator[Tap]:
    encoder = parts.layers[0].wiring == "post_norm_encoder"
    module = parts.embed if encoder or parts.embed_norm is None else parts.embed_norm
    yield Tap(Address("embed"), ModulePoint(module, "out"), *_scaled(parts.embed_scale))
    if parts.pos_embed is not None:
        yield Tap(
            Address("pos_embed"), ModulePoint(parts.pos_embed, "out"), *_scaled(parts.embed_scale)
        )


def _back(parts: Parts) -> Iterator[Tap]:
    if parts.final_norm is not None:
        yield Tap(Address("ln_final"), ModulePoint(parts.final_norm, "out"), _plain, _plain_back)

    def read(native: Any, flow: Flow) -> Tensor:
        return native.logits if hasattr(native, "logits") else native[0]

    def write(native: Any, value: Tensor, flow: Flow) -> Any:
        if not hasattr(native, "logits"):
            return _swap(native, value)
        native.logits = value
        return native

    yield Tap(Address("logits"), ModulePoint(parts.hf, "out"), read, write)


def _blocks(parts: Parts, seam: Seam) -> Iterator[Tap]:
    for layer in parts.layers:
        if layer.opaque:
            yield _simple(layer, "resid_pre", layer.block, "in")
            yield _simple(layer, "resid_post", layer.block, "out")
            continue
        yield from _reading(layer, seam)
        for slot in ("q", "k", "v", "scores", "pattern", "z"):
            yield _door_tap(layer, slot)
        yield from _attention_out(layer)
        if layer.has_mlp:
            yield from _mlp(layer, seam)
        yield _simple(layer, "resid_post", layer.block, "out")


def _simple(layer: Layer, name: str, module: nn.Module, side: Side, factor: float = 1.0) -> Tap:
    return Tap(Address(name, layer.index), ModulePoint(module, side), *_scaled(factor))


def _door_tap(layer: Layer, slot: str) -> Tap:
    def read(native: Any, flow: Flow) -> Tensor:
        return native

    def write(native: Any, value: Tensor, flow: Flow) -> Any:
        return value

    return Tap(Address(slot, layer.index), DoorPoint(layer.index, slot), read, write)


def _reading(layer: Layer, seam: Seam) -> Iterator[Tap]:
    """The stream before the block, and what each head reads of it."""
    yield _simple(layer, "resid_pre", layer.block, "in")
    if layer.ln1 is not None:
        yield _simple(layer, "ln1", layer.ln1, "out")
    for slot in "qkv":
        yield _own_input(layer, slot, seam)
    for slot in "qk":
        yield _projection(layer, slot)


def _projection(layer: Layer, slot: str) -> Tap:
    projections = layer.projections

    def read(native: Any, flow: Flow) -> Tensor:
        return projections.read(_plain(native, flow), slot)

    def write(native: Any, value: Tensor, flow: Flow) -> Any:
        return projections.write(native, slot, value)

    point = ModulePoint(projections.module(slot), "out")
    return Tap(Address(f"{slot}_pre", layer.index), point, read, write)


def _own_input(layer: Layer, slot: str, seam: Seam) -> Tap:
    """``q_in, k_in, v_in``: each head's own copy of the stream, read through the block's norm."""
    projections = layer.projections
    heads = projections.heads(slot)

    def read(native: Any, flow: Flow) -> Tensor:
        stream = flow.memo[layer.index, "stream"]
        return stream.unsqueeze(2).expand(-1, -1, heads, -1)

    def write(native: Any, value: Tensor, flow: Flow) -> Any:
        out = _plain(native, flow)
        stream = flow.memo[layer.index, "stream"]
        rows = list(projections.read(out, slot).unbind(-2))
        for head in range(heads):
            own = value[:, :, head]
            if value.requires_grad or not torch.equal(own, stream):
                projected = projections.module(slot)(seam.norm(layer.index, own))
                made = projections.read(projected, slot)[..., head, :]
                rows[head] = _where_changed(own, stream, made, rows[head])
        return projections.write(out, slot, torch.stack(rows, dim=-2))

    point = ModulePoint(projections.module(slot), "out")
    return Tap(Address(f"{slot}_in", layer.index), point, read, write, needs=("stream",))


def _where_changed(own: Tensor, stream: Tensor, made: Tensor, before: Tensor) -> Tensor:
    """What a reader makes of its own copy, at the positions where that differs from the stream."""
    if own.requires_grad:
        return made
    return torch.where((own != stream).any(-1, keepdim=True), made, before)


def _attention_out(layer: Layer) -> Iterator[Tap]:
    point = ModulePoint(layer.attn_writer, "out")
    read_out, write_out = _scaled(layer.scale)

    def read_heads(native: Any, flow: Flow) -> Tensor:
        z = flow.memo[layer.index, "z"].unflatten(-1, (layer.projections.n_heads, -1))
        out = torch.einsum("bphd,hdm->bphm", z, output_heads(layer).to(z.dtype))
        if layer.attn_writer is not layer.o_proj:
            raw = flow.memo[layer.index, "o"]
            scale = frozen_scale(layer.attn_writer, raw, _plain(native, flow)).detach()
            out = out * scale.unsqueeze(-2)
        return out * layer.scale

    def write_heads(native: Any, value: Tensor, flow: Flow) -> Any:
        change = (value - read_heads(native, flow)).sum(dim=2)
        return write_out(native, read_out(native, flow) + change, flow)

    needs = ("z",) if layer.attn_writer is layer.o_proj else ("z", "o")
    yield Tap(Address("head_out", layer.index), point, read_heads, write_heads, needs=needs)
    yield Tap(Address("attn_out", layer.index), point, read_out, write_out)
    if layer.wiring == "sequential" and layer.has_mlp:
        yield _stream_between(layer, point, read_out, write_out)
    if layer.wiring == "post_norm_encoder" and layer.post_attn_norm is not None:
        yield _simple(layer, "resid_mid", layer.post_attn_norm, "out")


def _mlp_reader(layer: Layer) -> ModulePoint:
    module = layer.ln2 or layer.mlp or layer.mlp_in
    assert module is not None
    return ModulePoint(module, "in")


def _stream_between(layer: Layer, point: ModulePoint, read_out: Read, write_out: Write) -> Tap:
    """``resid_mid``: edited as a change of what attention adds, seen where the MLP reads it."""

    def read(native: Any, flow: Flow) -> Tensor:
        return flow.memo[layer.index, "stream"] + read_out(native, flow)

    def write(native: Any, value: Tensor, flow: Flow) -> Any:
        return write_out(native, value - flow.memo[layer.index, "stream"], flow)

    return Tap(
        Address("resid_mid", layer.index),
        point,
        read,
        write,
        seen_at=(_mlp_reader(layer), _plain),
        needs=("stream",),
    )


def _mlp(layer: Layer, seam: Seam) -> Iterator[Tap]:
    yield _mlp_input(layer, seam)
    if layer.ln2 is not None:
        yield _simple(layer, "ln2", layer.ln2, "out")
    if layer.mlp_kind == "moe":
        yield from _mixture(layer)
    else:
        yield from _neurons(layer)
    writer = layer.mlp_writer
    assert writer is not None
    yield _simple(layer, "mlp_out", writer, "out", layer.scale)


def _mlp_input(layer: Layer, seam: Seam) -> Tap:
    address = Address("mlp_in", layer.index)
    if layer.wiring != "parallel" or layer.ln2 is not None:
        return Tap(address, _mlp_reader(layer), _plain, _plain_back)

    def read(native: Any, flow: Flow) -> Tensor:
        return flow.memo[layer.index, "stream"]

    def write(native: Any, value: Tensor, flow: Flow) -> Any:
        stream = flow.memo[layer.index, "stream"]
        made = _where_changed(value, stream, seam.norm(layer.index, value), _plain(native, flow))
        return _plain_back(native, made, flow)

    module = layer.mlp or layer.mlp_in
    assert module is not None
    return Tap(address, ModulePoint(module, "in"), read, write, needs=("stream",))


def _neurons(layer: Layer) -> Iterator[Tap]:
    assert layer.mlp_in is not None and layer.mlp_out is not None
    if layer.mlp_kind == "plain":
        yield _simple(layer, "mlp_pre", layer.mlp_in, "out")
    elif layer.mlp_kind == "gated":
        assert layer.mlp_gate is not None
        yield _simple(layer, "mlp_pre", layer.mlp_gate, "out")
        yield _simple(layer, "mlp_lin", layer.mlp_in, "out")
    else:
        yield _half(layer, "mlp_pre", 0)
        yield _half(layer, "mlp_lin", 1)
    yield _simple(layer, "mlp_act", layer.mlp_out, "in")


def _half(layer: Layer, name: str, which: int) -> Tap:
    """One half of a fused gate-and-up projection."""

    def read(native: Any, flow: Flow) -> Tensor:
        return _plain(native, flow).chunk(2, dim=-1)[which]

    def write(native: Any, value: Tensor, flow: Flow) -> Any:
        halves = list(native.chunk(2, dim=-1))
        halves[which] = value
        return torch.cat(halves, dim=-1)

    assert layer.mlp_in is not None
    return Tap(Address(name, layer.index), ModulePoint(layer.mlp_in, "out"), read, write)


def _mixture(layer: Layer) -> Iterator[Tap]:
    assert layer.router is not None and layer.experts is not None
    experts = layer.experts

    def dense(scores: Tensor, chosen: Tensor, width: int) -> Tensor:
        return scores.new_zeros(scores.shape[0], width).scatter(1, chosen, scores)

    def read_router(native: Any, flow: Flow) -> Tensor:
        logits, scores, chosen = native
        return dense(scores, chosen, logits.shape[-1]).unflatten(0, (flow.batch, flow.pos))

    def write_router(native: Any, value: Tensor, flow: Flow) -> Any:
        weights = value.flatten(0, 1)
        everyone = torch.arange(weights.shape[-1], device=weights.device).expand_as(weights)
        return native[0], weights, everyone

    def read_experts(native: Any, flow: Flow) -> Tensor:
        hidden, chosen, scores = flow.memo[layer.index, "experts"]
        weights = dense(scores, chosen, experts.num_experts)
        outs = []
        for expert in range(weights.shape[-1]):
            only = torch.full_like(chosen[:, :1], expert)
            outs.append(experts.forward(hidden, only, weights[:, expert : expert + 1]))
        stacked = torch.stack(outs, dim=1).unflatten(0, (flow.batch, flow.pos))
        return stacked * layer.scale

    def write_experts(native: Any, value: Tensor, flow: Flow) -> Any:
        change = (value - read_experts(native, flow)).sum(dim=2) / layer.scale
        return native + change.flatten(0, 1)

    yield Tap(
        Address("router", layer.index), ModulePoint(layer.router, "out"), read_router, write_router
    )
    yield Tap(
        Address("expert_out", layer.index),
        ModulePoint(experts, "out"),
        read_experts,
        write_experts,
        needs=("experts",),
    )
