"""Norms read as linear maps at one run's frozen scale, so that parts of a sum can go through."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from residuum.core import LoadError


def norm_epsilon(norm: nn.Module) -> float:
    """The norm's epsilon, whatever the family calls it."""
    for name in ("variance_epsilon", "eps", "epsilon"):
        value = getattr(norm, name, None)
        if isinstance(value, float):
            return value
    raise LoadError(
        f"{type(norm).__name__} names no epsilon", mend="report the family; its table needs a row"
    )


def frozen_scale(norm: nn.Module, x: Tensor, out: Tensor) -> Tensor:
    """What an RMS norm multiplied ``x`` by in this run to make ``out``, ``[..., d_model]``.

    It is gain over root mean square, read off as ``out / x`` so that the module's own rounding is
    part of it; where ``x`` is zero, from the gain (the module's answer to a vector of ones).
    """
    eps = norm_epsilon(norm)
    work = torch.promote_types(x.dtype, torch.float32)
    ones = torch.ones(1, 1, x.shape[-1], dtype=work, device=x.device)
    gain = norm(ones.to(x.dtype)).to(work) * (1 + eps) ** 0.5
    rms = (x.to(work).pow(2).mean(-1, keepdim=True) + eps).sqrt()
    zero = x == 0
    ratio = out.to(work) / torch.where(zero, torch.ones_like(x), x).to(work)
    return torch.where(zero, gain / rms, ratio).to(x.dtype)
