"""The layer seam: each block as five functions over the model's own modules.

``norm``, ``qkv``, ``attend``, ``out`` and ``mlp`` rebuild a block's output from its input, forward
and gradient; the self-check proves it at load. Whatever runs a block from parts (each head's own
input, forks of a run, path patching) stands on these five and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from residuum.models.attention import AttentionCall, Visitor, attend_explicitly
from residuum.models.door import open_door
from residuum.models.interface_door import own_kernel
from residuum.models.module_door import prepare_heads
from residuum.models.parts import Layer, Parts


@dataclass
class LayerCall:
    """How one block's attention module was called in a run, so that it can be called again.

    Attributes:
        kwargs: keyword arguments of the attention module, without the hidden states and the cache.
        attention: what its attention function got besides q, k, v.
    """

    kwargs: dict[str, Any] = field(default_factory=dict)
    attention: AttentionCall = field(default_factory=AttentionCall)


class _Seen(Exception):
    """Raised at the door once q, k and v are known, so that the rest of the module is skipped."""

    def __init__(self, heads: tuple[Tensor, Tensor, Tensor]) -> None:
        self.heads = heads


class _Catcher:
    """A visitor of one layer that takes q, k, v and leaves."""

    def __init__(self, layer: int) -> None:
        self.layer = layer
        self.heads: list[Tensor] = []

    def wants(self, layer: int) -> bool:
        return layer == self.layer

    def explicit(self, layer: int) -> bool:
        return False

    def visit(self, layer: int, slot: str, value: Tensor) -> Tensor:
        self.heads.append(value)
        if len(self.heads) == 3:
            raise _Seen((self.heads[0], self.heads[1], self.heads[2]))
        return value


@dataclass(frozen=True)
class Seam:
    """The five functions, for every block of one model.

    All take and return ``[batch pos ...]``; heads are ``[batch pos head d_head]``.
    """

    parts: Parts

    def norm(self, layer: int, stream: Tensor) -> Tensor:
        """What attention reads: the stream through the block's first norm (or as it is)."""
        ln1 = self.parts.layers[layer].ln1
        return stream if ln1 is None else ln1(stream)

    def qkv(self, layer: int, normed: Tensor, call: LayerCall) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v as attention uses them: projected, normed, rotated, through the model's code."""
        part = self.parts.layers[layer]
        if self.parts.family.door == "module":
            heads, call.attention = prepare_heads(self.parts, part, normed, call.kwargs)
            q, k, v = (each.transpose(1, 2) for each in heads)
            return q, k, v
        with open_door(self.parts, _Catcher(layer)) as calls:
            try:
                part.attn(normed, **call.kwargs)
            except _Seen as seen:
                call.attention = calls[layer]
                return seen.heads
        raise RuntimeError(f"block {layer}'s attention never called its attention function")

    def qkv_from(
        self, layer: int, heads: Mapping[str, Tensor], call: LayerCall
    ) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v as attention uses them, from projections made elsewhere.

        They are put in the place of what the projection modules make; from there on it is the
        model's own code, with its norms on queries and keys and its rotary embedding.

        Args:
            heads: ``q``, ``k`` and ``v`` -> projections ``[batch pos head d_head]``.
        """
        projections = self.parts.layers[layer].projections
        like = heads["q"].new_zeros(*heads["q"].shape[:2], self.parts.dims.d_model)
        if projections.layout == "separate":
            outs = {projections.module(slot): heads[slot].flatten(-2) for slot in "qkv"}
        else:
            width = sum(projections.heads(slot) for slot in "qkv") * projections.d_head
            fused = like.new_zeros(*like.shape[:2], width)
            for slot in "qkv":
                fused = projections.write(fused, slot, heads[slot])
            outs = {projections.module("q"): fused}
        with _answering(outs):
            return self.qkv(layer, like, call)

    def attend(
        self,
        layer: int,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        call: LayerCall,
        visitor: Visitor | None = None,
    ) -> Tensor:
        """``z``, by attention written out."""
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        attn = self.parts.layers[layer].attn
        options = call.attention.options
        z, _ = attend_explicitly(attn, q, k, v, call.attention.mask, visitor, layer, **options)
        return z

    def attend_natively(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, call: LayerCall
    ) -> Tensor:
        """``z``, by the kernel that the model itself uses."""
        if self.parts.family.door == "module":
            return self.attend(layer, q, k, v, call)
        query, key, value = (each.transpose(1, 2) for each in (q, k, v))
        return own_kernel(self.parts, layer, query, key, value, call.attention)

    def out(self, layer: int, z: Tensor) -> Tensor:
        """What attention adds to the stream, from ``z``."""
        part = self.parts.layers[layer]
        added = part.o_proj(z.flatten(-2))
        return (added if part.attn_writer is part.o_proj else part.attn_writer(added)) * part.scale

    def mlp(self, layer: int, stream: Tensor) -> Tensor:
        """What the MLP adds to the stream, from the stream it reads (before its norm)."""
        part = self.parts.layers[layer]
        normed = self.mlp_norm(layer, stream)
        if part.mlp is None:
            added = self._loose_mlp(part, normed)
        elif self.parts.family.name == "bloom":
            added = part.mlp(normed, torch.zeros_like(stream))
        else:
            added = part.mlp(normed)
        added = added[0] if isinstance(added, tuple) else added
        writer = part.mlp_writer
        through = writer is not None and writer is part.post_mlp_norm
        return (writer(added) if through and writer is not None else added) * part.scale

    def mlp_norm(self, layer: int, stream: Tensor) -> Tensor:
        """What the MLP reads behind its norm: the stream through it (or as it is)."""
        part = self.parts.layers[layer]
        shared = part.wiring == "parallel" and part.ln2 is None
        norm = part.ln1 if shared else part.ln2
        return stream if norm is None else norm(stream)

    def mlp_neurons(self, layer: int, stream: Tensor) -> tuple[Tensor, Tensor]:
        """What :meth:`mlp` gives, and its neurons' activations on the way ``[... d_mlp]``.

        Only of an MLP that has neurons (``mlp_out`` of its part).
        """
        module, seen = self.parts.layers[layer].mlp_out, []
        assert module is not None
        hook = module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        try:
            added = self.mlp(layer, stream)
        finally:
            hook.remove()
        return added, seen[-1].reshape(*stream.shape[:-1], -1)  # some families lay tokens flat

    def block(self, layer: int, stream: Tensor, call: LayerCall) -> Tensor:
        """The whole block rebuilt from the five functions."""
        q, k, v = self.qkv(layer, self.norm(layer, stream), call)
        return self.rest(layer, stream, self.out(layer, self.attend(layer, q, k, v, call)))

    def rest(self, layer: int, stream: Tensor, attn_out: Tensor) -> Tensor:
        """The block's output from the stream that it reads and what its attention adds."""
        part = self.parts.layers[layer]
        if not part.has_mlp:
            return stream + attn_out
        read = self.read_by_mlp(layer, stream, attn_out)
        if part.wiring == "parallel":
            return stream + attn_out + self.mlp(layer, read)
        return self._after(part.post_mlp_norm, part, read + self.mlp(layer, read))

    def read_by_mlp(self, layer: int, stream: Tensor, attn_out: Tensor) -> Tensor:
        """The stream that the MLP reads, from what the block reads and what its attention adds."""
        part = self.parts.layers[layer]
        if part.wiring == "parallel":
            return stream
        return self._after(part.post_attn_norm, part, stream + attn_out)

    @staticmethod
    def _after(norm: Any, part: Layer, stream: Tensor) -> Tensor:
        encoder = part.wiring == "post_norm_encoder"
        return norm(stream) if encoder and norm is not None else stream

    @staticmethod
    def _loose_mlp(part: Layer, normed: Tensor) -> Tensor:
        """An MLP whose pieces hang on the block itself (OPT, BERT)."""
        assert part.mlp_in is not None and part.mlp_out is not None
        block: Any = part.block
        hidden = part.mlp_in(normed)
        activation = getattr(block, "activation_fn", None)
        if activation is None:
            activation = block.intermediate.intermediate_act_fn
        return part.mlp_out(activation(hidden))


@contextmanager
def _answering(outs: Mapping[nn.Module, Tensor]) -> Iterator[None]:
    """Let modules answer with given tensors while the context is open; all is as before after."""
    before = [(module, module.__dict__.get("forward")) for module in outs]

    def forward(value: Tensor) -> Any:
        return lambda *_, **__: value

    try:
        for module, value in outs.items():
            module.forward = forward(value)
        yield
    finally:
        for module, own in before:
            if own is None:
                del module.forward
            else:
                module.forward = own
