"""The data of the attention-only organisms; a batch depends on seed and step alone."""

from __future__ import annotations

import torch
from torch import Tensor

SHORTEST, LONGEST = 8, 24
"""Fewest and most tokens in a block of :func:`repeated_blocks`."""

_STRIDE = 10_000_019
"""Steps of one seed never meet those of the next."""


def draws(seed: int, step: int) -> torch.Generator:
    """The random generator of one step of one seed."""
    return torch.Generator().manual_seed(_STRIDE * (seed + 1) + step)


def repeated_blocks(
    rows: int, generator: torch.Generator, *, context: int = 48, d_vocab: int = 48
) -> tuple[Tensor, Tensor]:
    """Sequences that each repeat one random block until the context is full.

    The block's tokens are independent draws, new for each row, so that one may stand in it twice;
    its length, the period, is drawn from 8 to 24, so that no fixed offset says where to look.

    Args:
        rows: number of sequences.
        generator: source of chance.
        context: tokens in a sequence.
        d_vocab: tokens to draw from.

    Returns:
        Token ids ``[rows, context]`` and periods ``[rows]``.

    >>> ids, periods = repeated_blocks(1, draws(0, 0))
    >>> period = int(periods[0])
    >>> bool((ids[0, period:] == ids[0, :-period]).all())
    True
    """
    letters = torch.randint(d_vocab, (rows, LONGEST), generator=generator)
    periods = torch.randint(SHORTEST, LONGEST + 1, (rows,), generator=generator)
    ids = letters.gather(1, torch.arange(context)[None] % periods[:, None])
    return ids, periods
