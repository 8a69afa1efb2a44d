"""What the laws are tried on: tiny random models, a tokenizer of twelve words, two tasks."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "families"))
from configs import build

import residuum as rz

torch.set_num_threads(1)

WORDS = ["<pad>", "<s>", "</s>", "<unk>", "the", "cat", "dog", "sat", "ran", ".", "on", "mat"]
IDS = torch.tensor([[4, 5, 7, 10, 4], [4, 6, 8, 10, 11]])
"""Two prompts of five tokens."""


def word_tokenizer(words: list[str] | None = None) -> Any:
    """A word-level tokenizer without BOS."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    table = {word: index for index, word in enumerate(words or WORDS)}
    inner = Tokenizer(models.WordLevel(table, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )


@cache
def model(name: str = "gpt2", dtype: torch.dtype = torch.float32) -> rz.Model:
    """A tiny random model of the family, checked at load, without a tokenizer."""
    return rz.load(build(name, dtype))


@cache
def talker() -> rz.Model:
    """A tiny GPT-2 with the twelve words."""
    return rz.load(build("gpt2"), tokenizer=word_tokenizer(), check=False)


@cache
def blind() -> rz.Model:
    """A GPT-2 whose values are zero, so that nothing shows where it attends."""
    hf = build("gpt2")
    with torch.no_grad():
        for block in hf.transformer.h:
            block.attn.c_attn.weight[:, 64:] = 0.0
            block.attn.c_attn.bias[64:] = 0.0
    return rz.load(hf)


def id_task(**changes: Any) -> rz.Task:
    """Four pairs of ids that differ at the third token."""
    generator = torch.Generator().manual_seed(3)
    clean = torch.randint(4, 100, (4, 6), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 2] = 4 + (clean[:, 2] - 4 + 7) % 96
    given = {
        "clean": clean,
        "corrupt": corrupt,
        "answers": torch.tensor([1, 2, 3, 1]),
        "wrong": torch.tensor([2, 3, 1, 3]),
    }
    return rz.Task.from_pairs(**(given | changes))


class IdentityCoder:
    """A dictionary that misses nothing: its latents are the vector itself."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents


class RandomCoder:
    """A dictionary of random directions, with a threshold; it misses a lot."""

    def __init__(self, width: int, latents: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.enc = torch.randn(width, latents, generator=generator)
        self.dec = torch.randn(latents, width, generator=generator) / width

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ self.enc.to(x))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents @ self.dec.to(latents)
