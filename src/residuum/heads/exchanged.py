"""Prompts whose repeats are gone: what a head looks at there, it looks at by position.

The null of every detector that asks for a match of tokens. A head that looks back by a constant
distance attends to the same places whatever the tokens are; a head that looks for the same token
does not find it there any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor


def without_repeats(ids: Tensor, pool: Sequence[int] | np.ndarray, seed: int = 0) -> Tensor:
    """The same prompts, every later occurrence of a token exchanged for another token.

    First occurrences stay, so what stands at most of the places that are looked at stays too. New
    tokens are those of the other prompts, then others of the pool, each once in a prompt; where
    there are too few, tokens come back, but not where the original had the same token. Position 0
    stays, and counts as no occurrence.

    Args:
        ids: ``[prompt pos]``.
        pool: tokens to draw from.
        seed: of the draw.

    Returns:
        ``[prompt pos]``, as ``ids``. In a very small vocabulary some repeats may be left.

    >>> without_repeats(torch.tensor([[9, 1, 2, 1, 2]]), range(5))[0, :3].tolist()
    [9, 1, 2]
    """
    generator = np.random.default_rng(seed)
    allowed = np.asarray(pool)
    known = np.isin(allowed, ids.numpy())
    near, far = allowed[known], allowed[~known]
    rows = [
        _row(row, np.concatenate([generator.permutation(near), generator.permutation(far)]))
        for row in ids.tolist()
    ]
    return torch.tensor(rows, dtype=ids.dtype)


def _row(row: list[int], drawn: np.ndarray) -> list[int]:
    fresh = iter(drawn[~np.isin(drawn, row)].tolist())
    new, held = list(row), dict[int, set[int]]()
    for at in range(1, len(row)):
        taken = held.setdefault(row[at], set())
        if taken:
            again = (int(each) for each in np.roll(drawn, -at) if int(each) not in taken)
            new[at] = next(chain(fresh, again), row[at])
        taken.add(new[at])
    return new
