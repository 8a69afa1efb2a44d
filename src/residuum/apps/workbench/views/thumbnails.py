"""Maps as bytes: pooled to the size that is drawn, one byte a pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def pooled(maps: Tensor, most: int, *, signed: bool) -> Tensor:
    """Maps ``[... q k]`` in blocks, each its value of largest size, its sign kept; up to ``most``.

    Args:
        signed: whether there are values below zero.

    Returns:
        ``[... t t]`` with ``t = ceil(n / block)`` and ``block = ceil(n / most)``.
    """
    n = maps.shape[-1]
    block = block_of(n, most)
    if block == 1:
        return maps
    short = -n % block
    maps = pad(maps, (0, short, 0, short)) if short else maps
    rows = maps.unflatten(-2, (-1, block))
    high = rows.amax(-2).unflatten(-1, (-1, block)).amax(-1)
    if not signed:
        return high
    low = rows.amin(-2).unflatten(-1, (-1, block)).amin(-1)
    return torch.where(high >= -low, high, low)


def block_of(n: int, most: int) -> int:
    """Positions in one pixel's side."""
    return -(-n // most)


def as_bytes(maps: Tensor, limit: float, *, signed: bool) -> Tensor:
    """Values as bytes: 0 to ``limit`` as 0 to 255; signed ones as 1 to 255 with 128 for zero."""
    scale = limit or 1.0
    if signed:
        return (128 + maps / scale * 127).round().clamp(0, 255).to(torch.uint8)
    return (maps / scale * 255).round().clamp(0, 255).to(torch.uint8)
