"""The largest entries of each row, exact, in two stages."""

from __future__ import annotations

import torch
from torch import Tensor

_GROUP = 32


def top_entries(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and indices of the ``k`` largest entries of each row, in no order.

    The ``k`` largest lie in at most ``k`` groups of entries, and these are the groups with the
    largest maxima: so only their members are compared.

    Args:
        rows: ``[..., m]``, ``k`` at most ``m``.

    Returns:
        ``[..., k]`` each.
    """
    m = rows.shape[-1]
    groups = m // _GROUP
    if m % _GROUP or groups < 4 * k or not rows.numel():
        return torch.topk(rows, min(k, m), dim=-1, sorted=False)
    tops = rows.unflatten(-1, (_GROUP, groups)).amax(-2)
    chosen = tops.topk(k, dim=-1, sorted=False).indices
    steps = torch.arange(0, m, groups, device=rows.device)
    places = (chosen[..., None] + steps).flatten(-2)
    values, picked = rows.gather(-1, places).topk(k, dim=-1, sorted=False)
    return values, places.gather(-1, picked)
