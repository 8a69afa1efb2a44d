"""Decoder rows at length 1, a few rows at a time so that they stay in the cache."""

from __future__ import annotations

import torch
from torch import Tensor

_ROWS = 512


def make_unit(weight: Tensor) -> None:
    """Divide every row of ``[latent d]`` by its length, in place; zero rows stay."""
    for rows in weight.detach().split(_ROWS):
        rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min_(1e-12))


def make_tangent(weight: Tensor) -> None:
    """Take from the gradient of ``[latent d]``, rows of length 1, what changes their lengths."""
    if weight.grad is None:
        return
    pairs = zip(weight.detach().split(_ROWS), weight.grad.split(_ROWS), strict=True)
    for rows, grad in pairs:
        grad.addcmul_(rows, torch.linalg.vecdot(rows, grad, dim=1)[:, None], value=-1)
