"""One-layer models that look back by a fixed distance, set by hand and trained, and their prompts.

On prompts that repeat at that distance such a head scores perfectly as an induction head, and the
model predicts every repeat; it never looks for a match of tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from residuum.models.native import NativeConfig, NativeForCausalLM

PERIOD, WIDTH, LETTERS = 8, 33, 40


def repeats_at_a_fixed_distance(
    n: int, starts: int, seed: int, *, width: int = WIDTH, letters: int = LETTERS
) -> Tensor:
    """``[n width]``: blocks of ``PERIOD`` tokens that begin before place ``starts`` and repeat.

    What stands before a block is drawn by itself, so tokens come back there by chance too.
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.randint(0, starts, (n, 1), generator=generator)
    block = torch.rand(n, letters, generator=generator).argsort(1)[:, :PERIOD]
    before = torch.randint(0, letters, (n, width), generator=generator)
    place = torch.arange(width)[None] - start
    return torch.where(place >= 0, block.gather(1, place.clamp_min(0) % PERIOD), before)


def by_position(offset: int = PERIOD - 1) -> Any:
    """Head 0 looks back by ``offset`` and copies, whatever the tokens are."""
    config = NativeConfig(
        n_layers=1, n_heads=2, d_model=WIDTH + LETTERS, d_head=LETTERS, d_vocab=LETTERS,
        n_ctx=WIDTH, normalization=None, positions="learned", attn_bias=False, attn_scale=1.0,
    )  # fmt: skip
    model: Any = NativeForCausalLM(config)
    token, place = slice(0, LETTERS), slice(LETTERS, None)
    back = torch.zeros(WIDTH, WIDTH)
    for at in range(WIDTH):
        back[max(at - offset, 0), at] = 1.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.model.embed.weight[:, token] = torch.eye(LETTERS)
        model.model.pos_embed.weight[:, place] = torch.eye(WIDTH)
        model.lm_head.weight[:, token] = torch.eye(LETTERS)
        attn = model.model.blocks[0].attn
        attn.q_proj.weight[:WIDTH, place] = 60.0 * back
        attn.k_proj.weight[:WIDTH, place] = torch.eye(WIDTH)
        attn.v_proj.weight[:LETTERS, token] = 12 * torch.eye(LETTERS)
        attn.o_proj.weight[token, :LETTERS] = torch.eye(LETTERS)
    return model.eval()


def trained_at_a_fixed_distance(steps: int = 250, seed: int = 0) -> Any:
    """One layer, trained on these prompts until it predicts the repeats (seconds)."""
    torch.manual_seed(seed)
    config = NativeConfig(
        n_layers=1, n_heads=2, d_model=64, d_head=32, d_vocab=LETTERS, n_ctx=WIDTH,
        normalization="layernorm", positions="learned",
    )  # fmt: skip
    model: Any = NativeForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(steps):
        ids = repeats_at_a_fixed_distance(48, PERIOD + 1, 1000 * seed + step)
        logits = model(ids[:, :-1]).logits[:, 2 * PERIOD :]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 2 * PERIOD + 1 :].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
