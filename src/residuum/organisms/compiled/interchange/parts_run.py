"""A native model run part by part, with what some parts wrote on another prompt in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address


def nodes_of(hf: Any) -> tuple[Address, ...]:
    """Every head and MLP of a native model, in forward order."""
    config, found = hf.config, []
    for layer in range(config.n_layers):
        found += [Address("head_out", layer, head) for head in range(config.n_heads)]
        found.append(Address("mlp_out", layer))
    return tuple(found)


def run_parts(
    hf: Any,
    ids: Tensor,
    swaps: Mapping[Address, Tensor] | None = None,
    keep: dict[Address, Tensor] | None = None,
) -> Tensor:
    """Logits ``[row pos d_vocab]`` of prompts ``[row pos]``, with gradient.

    Args:
        swaps: head or MLP -> what it has instead: ``[row pos d_head]`` before its output map, or
            ``[row pos d_model]`` after the MLP.
        keep: filled with the same of this run.
    """
    given, kept = swaps or {}, {} if keep is None else keep
    model = hf.model
    stream = model.embed(ids) + model.pos_embed(torch.arange(ids.shape[1], device=ids.device))
    for layer, block in enumerate(model.blocks):
        z = _heads(block.attn, block.ln1(stream))
        heads = []
        for head in range(z.shape[2]):
            node = Address("head_out", layer, head)
            kept[node] = given[node] if node in given else z[:, :, head]
            heads.append(kept[node])
        stream = stream + block.attn.o_proj(torch.cat(heads, dim=-1))
        node = Address("mlp_out", layer)
        kept[node] = given[node] if node in given else block.mlp(block.ln2(stream))
        stream = stream + kept[node]
    return hf.lm_head(model.ln_final(stream))


def _heads(attn: Any, read: Tensor) -> Tensor:
    """``z`` of all heads, ``[row pos head d_head]``."""
    shape = (*read.shape[:2], -1, attn.head_dim)
    q, k, v = (part(read).view(shape) for part in (attn.q_proj, attn.k_proj, attn.v_proj))
    scores = torch.einsum("rqhd,rkhd->rhqk", q, k) * attn.scaling
    if attn.is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return torch.einsum("rhqk,rkhd->rqhd", scores.softmax(-1), v)
