"""A compiled model written out part by part in float64, so that one edge at a time can be changed.

Independent of the layer seam and of the engines that sweep edges: plain matrix products over the
model's weights. It knows native models without norms and biases, which compiled ones are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address

TOKENS, POSITIONS = Address("embed"), Address("pos_embed")


@dataclass(frozen=True)
class Head:
    """Matrices of one head, float64: ``q, k, v`` ``[d_head d_model]``, ``out`` the other way."""

    q: Tensor
    k: Tensor
    v: Tensor
    out: Tensor


class Bare:
    """The model as matrices.

    Attributes:
        heads: layer -> its heads.
        mlps: layer -> what its neurons read ``[d_mlp d_model]`` and write ``[d_model d_mlp]``.
    """

    def __init__(self, hf: Any) -> None:
        state = {name: tensor.detach().cpu().double() for name, tensor in hf.state_dict().items()}
        self.embed, self.positions = (
            state[f"model.{name}.weight"] for name in ("embed", "pos_embed")
        )
        self.unembed = state["lm_head.weight"]
        self.causal = bool(getattr(hf.config, "is_causal", True))
        width, layers = hf.config.d_head, range(hf.config.n_layers)
        self.heads = [_heads(state, layer, width) for layer in layers]
        self.mlps = [
            tuple(state[f"model.blocks.{layer}.mlp.{name}.weight"] for name in ("fc_in", "fc_out"))
            for layer in layers
        ]

    @property
    def senders(self) -> list[Address]:
        """Who adds to the stream, tokens and positions apart, in forward order."""
        found = [TOKENS, POSITIONS]
        for layer, heads in enumerate(self.heads):
            found += [Address("head_out", layer, head) for head in range(len(heads))]
            found.append(Address("mlp_out", layer))
        return found

    @property
    def receivers(self) -> list[Address]:
        """Who reads the stream, in forward order."""
        found = []
        for layer, heads in enumerate(self.heads):
            for name in ("q_in", "k_in", "v_in"):
                found += [Address(name, layer, head) for head in range(len(heads))]
            found.append(Address("mlp_in", layer))
        return [*found, Address("logits")]

    def reads(self, receiver: Address) -> Tensor:
        """What a receiver sees of the stream, ``[any d_model]``."""
        if receiver.name == "logits":
            return self.unembed
        assert isinstance(receiver.layer, int)
        if receiver.name == "mlp_in":
            return self.mlps[receiver.layer][0]
        assert isinstance(receiver.part, int)
        return getattr(self.heads[receiver.layer][receiver.part], receiver.name[0])

    def writes(self, sender: Address) -> Tensor:
        """What a sender can add to the stream, ``[d_model any]``."""
        if sender in (TOKENS, POSITIONS):
            return (self.embed if sender == TOKENS else self.positions).T
        assert isinstance(sender.layer, int)
        if sender.name == "mlp_out":
            return self.mlps[sender.layer][1]
        assert isinstance(sender.part, int)
        return self.heads[sender.layer][sender.part].out

    def sent(self, ids: Tensor) -> dict[Address, Tensor]:
        """What each sender adds on prompts ``[row pos]``: ``[row pos d_model]``."""
        found: dict[Address, Tensor] = {}
        self.logits(ids, keep=found)
        return found

    def logits(
        self,
        ids: Tensor,
        receiver: Address | None = None,
        change: Tensor | None = None,
        keep: dict[Address, Tensor] | None = None,
    ) -> Tensor:
        """Logits ``[row pos d_vocab]``, when one receiver's stream is changed.

        Args:
            receiver: who reads ``stream + change``; nobody by default.
            change: ``[row pos d_model]``.
            keep: filled with what each sender adds.
        """

        def read(name: str, layer: int | None = None, part: int | None = None) -> Tensor:
            own = change is not None and Address(name, layer, part) == receiver
            return stream + change if own and change is not None else stream

        found = {} if keep is None else keep
        found[TOKENS] = self.embed[ids]
        found[POSITIONS] = self.positions[: ids.shape[1]].expand(len(ids), -1, -1)
        stream = found[TOKENS] + found[POSITIONS]
        for layer, heads in enumerate(self.heads):
            made = []
            for number, head in enumerate(heads):
                q, k, v = (read(f"{name}_in", layer, number) for name in "qkv")
                made.append(self._attend(head, q, k, v))
                found[Address("head_out", layer, number)] = made[-1]
            stream = stream + torch.stack(made).sum(0)
            reads, writes = self.mlps[layer]
            out = (read("mlp_in", layer) @ reads.T).relu() @ writes.T
            found[Address("mlp_out", layer)] = out
            stream = stream + out
        return read("logits") @ self.unembed.T

    def answer(self, receiver: Address, stream: Tensor, change: Tensor) -> Tensor:
        """What a receiver's head or MLP (or the logits) makes of ``stream + change``.

        A head's other two receivers read the stream as it is.
        """
        read = stream + change
        if receiver.name == "logits":
            return read @ self.unembed.T
        assert isinstance(receiver.layer, int)
        if receiver.name == "mlp_in":
            reads, writes = self.mlps[receiver.layer]
            return (read @ reads.T).relu() @ writes.T
        assert isinstance(receiver.part, int)
        q, k, v = (read if receiver.name == f"{name}_in" else stream for name in "qkv")
        return self._attend(self.heads[receiver.layer][receiver.part], q, k, v)

    def _attend(self, head: Head, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q @ head.q.T) @ (k @ head.k.T).transpose(-1, -2)
        if self.causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        return scores.softmax(-1) @ (v @ head.v.T) @ head.out.T


def _heads(state: dict[str, Tensor], layer: int, width: int) -> list[Head]:
    q, k, v, out = (state[f"model.blocks.{layer}.attn.{each}_proj.weight"] for each in "qkvo")
    rows = [slice(start, start + width) for start in range(0, len(q), width)]
    return [Head(q[own], k[own], v[own], out[:, own]) for own in rows]
