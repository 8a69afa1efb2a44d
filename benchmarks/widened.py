"""Microworld's model in GPT-2 small's shape: what it does is known, and its size is that of GPT-2.

Every stream value is held six times over (768 = 6 x 128), so that each LayerNorm sees the same mean
and variance; what reads takes the mean of the six, what writes writes all of them. Its four layers
are layers 1, 4, 7 and 10 of twelve, its eight heads of width 16 the first eight of twelve of width
64. All that is left over (heads, neurons, layers, tokens) is drawn at random and writes next to
nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

import residuum as rz
from residuum.runs import Model

LAYERS = (1, 4, 7, 10)
"""Where microworld's layers are."""
NOISE = 0.0005
"""Standard deviation of what the rest writes with."""


def widened_microworld(seed: int = 0) -> Model:
    """A loaded model of 12 layers, 12 heads and width 768 with microworld's behaviours."""
    small = rz.load("microworld")
    torch.manual_seed(seed)
    hf = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    with torch.no_grad():
        _fill(hf.transformer, small.hf.transformer)
    made = rz.load(hf, tokenizer=small.tokenizer)
    made.adapted.model_id = "microworld in GPT-2 small's shape"
    return made


def _fill(large: Any, small: Any) -> None:
    copies = large.config.n_embd // small.config.n_embd

    def wide(values: torch.Tensor) -> torch.Tensor:
        return values.repeat(*[1] * (values.ndim - 1), copies)

    words, places = small.wte.weight.shape[0], small.wpe.weight.shape[0]
    large.wte.weight[:words] = wide(small.wte.weight)
    large.wpe.weight[:places] = wide(small.wpe.weight)
    large.ln_f.weight[:] = wide(small.ln_f.weight) / copies
    large.ln_f.bias[:] = wide(small.ln_f.bias) / copies
    for block in large.h:
        for writes in (block.attn.c_proj, block.mlp.c_proj):
            writes.weight.normal_(0.0, NOISE)
            writes.bias.zero_()
    for layer, block in zip(LAYERS, small.h, strict=True):
        _block(large.h[layer], block, copies, wide)


def _block(large: Any, small: Any, copies: int, wide: Any) -> None:
    for name in ("ln_1", "ln_2"):
        for kind in ("weight", "bias"):
            getattr(getattr(large, name), kind)[:] = wide(getattr(getattr(small, name), kind))
    heads, old, new = small.attn.num_heads, small.attn.head_dim, large.attn.head_dim
    d_old, d_new = small.attn.embed_dim, large.attn.embed_dim
    scale = (new / old) ** 0.5
    for kind in range(3):
        for head in range(heads):
            source = slice(kind * d_old + head * old, kind * d_old + (head + 1) * old)
            target = slice(kind * d_new + head * new, kind * d_new + head * new + old)
            rest = slice(target.stop, kind * d_new + (head + 1) * new)
            more = scale if kind == 0 else 1.0
            reads = small.attn.c_attn.weight[:, source] * more / copies
            large.attn.c_attn.weight[:, target] = reads.repeat(copies, 1)
            large.attn.c_attn.bias[target] = small.attn.c_attn.bias[source] * more
            if kind == 1:  # keys of the rest are nothing, so that its queries do not matter
                large.attn.c_attn.weight[:, rest] = 0.0
                large.attn.c_attn.bias[rest] = 0.0
    for head in range(heads):
        target = slice(head * new, head * new + old)
        writes = small.attn.c_proj.weight[head * old : (head + 1) * old]
        large.attn.c_proj.weight[target] = wide(writes)
    large.attn.c_proj.bias[:] = wide(small.attn.c_proj.bias)
    neurons = small.mlp.c_fc.weight.shape[1]
    large.mlp.c_fc.weight[:, :neurons] = (small.mlp.c_fc.weight / copies).repeat(copies, 1)
    large.mlp.c_fc.bias[:neurons] = small.mlp.c_fc.bias
    large.mlp.c_proj.weight[:neurons] = wide(small.mlp.c_proj.weight)
    large.mlp.c_proj.bias[:] = wide(small.mlp.c_proj.bias)
