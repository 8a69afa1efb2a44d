"""Contrast pairs of a compiled program: prompts of one length whose last outputs differ."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import product
from typing import Any

_ALL, _TRIES = 2000, 50

Prompt = tuple[Any, ...]


def some_prompts(vocabulary: tuple[Any, ...], length: int, dice: random.Random) -> list[Prompt]:
    """Every prompt of a length, or two thousand drawn ones where there are more."""
    if len(vocabulary) ** length <= _ALL:
        return list(product(vocabulary, repeat=length))
    drawn = (tuple(dice.choice(vocabulary) for _ in range(length)) for _ in range(_ALL))
    return list(dict.fromkeys(drawn))


def different_pairs(
    ends: Mapping[Prompt, Any], n: int, dice: random.Random
) -> list[tuple[Prompt, Prompt]]:
    """At most ``n`` different pairs of prompts whose ends differ; a prompt may stand in several."""
    prompts = list(ends)
    found: dict[tuple[Prompt, Prompt], None] = {}
    for _ in range(_TRIES * n):
        pair = (dice.choice(prompts), dice.choice(prompts))
        if ends[pair[0]] != ends[pair[1]]:
            found[pair] = None
        if len(found) == n:
            break
    return list(found)
