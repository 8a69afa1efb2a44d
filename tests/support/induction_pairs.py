"""Induction on ids without words: a block, and its beginning again."""

from __future__ import annotations

import torch

import residuum as rz
from residuum.models.native import native_from_transformer_lens, native_to_transformer_lens
from residuum.runs import Model

CONTEXT, WORDS = 24, 48


def exchanged_repeats(n: int = 64, seed: int = 0, block: int = 12) -> rz.Task:
    """``… A B … C D … | … A`` → B against the same with A and C exchanged in the first copy → D.

    What stands before B and D decides, so both a head that looks one token back and a head that
    finds the earlier place are needed.
    """
    draw = torch.Generator().manual_seed(seed)
    clean, corrupt = torch.zeros(2, n, CONTEXT, dtype=torch.long)
    answers, wrong, lengths = torch.zeros(3, n, dtype=torch.long)
    for row in range(n):
        words = torch.randperm(WORDS, generator=draw)[:block]
        one = int(torch.randint(3, block - 4, (1,), generator=draw))
        other = int(torch.randint(one + 2, block - 1, (1,), generator=draw))
        turned = words.clone()
        turned[one], turned[other] = words[other], words[one]
        for side, first in ((clean, words), (corrupt, turned)):
            both = torch.cat([first, words[: one + 1]])
            side[row, : len(both)] = both
        answers[row], wrong[row] = words[one + 1], words[other + 1]
        lengths[row] = block + one + 1
    return rz.Task.from_pairs(
        clean=clean[:, : int(lengths.max())], corrupt=corrupt[:, : int(lengths.max())],
        answers=answers, wrong=wrong, lengths=lengths, name="induction",
    )  # fmt: skip


def heads_reversed(model: Model) -> Model:
    """The same function with the heads of every layer in reverse order."""
    state = native_to_transformer_lens(model.hf)
    turned = {
        name: tensor.flip(0).contiguous() if ".attn." in name and "b_O" not in name else tensor
        for name, tensor in state.items()
    }
    return rz.load(native_from_transformer_lens(turned))


def nudged(model: Model) -> Model:
    """Another model that does the same: what its heads write is a millionth larger."""
    state = native_to_transformer_lens(model.hf)
    turned = {
        name: tensor * (1 + 1e-6) if ".attn.W_O" in name else tensor
        for name, tensor in state.items()
    }
    return rz.load(native_from_transformer_lens(turned))
