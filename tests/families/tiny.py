"""What the family tests share: cached models, seeded prompts, relative differences."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from configs import CONFIGS, build
from torch import Tensor

import residuum as rz

torch.set_num_threads(1)

LENGTHS = (5, 9, 7)
PARALLEL = (
    "gpt_neox",
    "gptj",
    "falcon",
    "falcon_7b",
    "phi",
    "cohere",
    "cohere2",
    "stablelm_parallel",
)
POST_NORMS = ("gemma2", "gemma3_text", "olmo2", "olmo3")
MIXTURES = ("mixtral", "qwen3_moe", "gpt_oss")
MODULE_DOOR = ("bloom", "falcon", "falcon_7b", "falcon_alibi", "gptj", "gpt_neo")
NAMES = tuple(CONFIGS)
BOTH = (torch.float32, torch.float64)


@cache
def loaded(name: str, dtype: torch.dtype = torch.float32, **more: Any) -> Any:
    """A tiny model of the family, loaded and checked; shared by all tests, which may not write."""
    return rz.load(build(name, dtype, **more))


def random_ids(rows: int, length: int, seed: int = 3) -> Tensor:
    return torch.randint(3, 101, (rows, length), generator=torch.Generator().manual_seed(seed))


def ragged_ids(lengths: tuple[int, ...] = LENGTHS, seed: int = 5) -> list[list[int]]:
    return [random_ids(1, n, seed + n)[0].tolist() for n in lengths]


def pad(rows: list[list[int]], left: bool) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids, mask = torch.zeros(2, len(rows), longest, dtype=torch.long)
    for index, row in enumerate(rows):
        where = slice(longest - len(row), None) if left else slice(len(row))
        ids[index, where] = torch.tensor(row)
        mask[index, where] = 1
    return ids, mask


def gap(found: Tensor, expected: Tensor, *terms: Tensor) -> float:
    """Largest difference relative to the largest of all terms."""
    assert found.shape == expected.shape
    scale = max(float(each.abs().max()) for each in (found, expected, *terms))
    difference = (found.double() - expected.double()).abs().max()
    assert not torch.isnan(difference)
    return float(difference) / (scale or 1.0)


def bound(dtype: torch.dtype) -> float:
    return 1e-10 if dtype == torch.float64 else 1e-5


def noise(shape: Any, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def bare_logits(model: Any, ids: Tensor, **options: Any) -> Tensor:
    with torch.no_grad():
        return model.hf(ids, **options).logits


def at(values: Any, layer: int) -> dict[str, Tensor]:
    return {a.name: t for a, t in values.captured.items() if a.layer == layer}
