"""A norm at one run's frozen scale: an affine map, found by probing the model's own module."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from residuum.core import SiteRefused


@dataclass(frozen=True, eq=False)
class FrozenNorm:
    """``norm(x) = (x - mean(x) if centred) * scale + constant``, with this run's scale.

    Attributes:
        scale: ``[pos d_model]``, gain over this run's deviation; None: the stream as it is.
        constant: ``[pos d_model]``, the norm's bias and this run's rounding; None: nothing.
        centred: whether the mean is taken off (LayerNorm) or not (RMSNorm).
    """

    scale: Float[Tensor, "pos d_model"] | None = None
    constant: Float[Tensor, "pos d_model"] | None = None
    centred: bool = False

    def linear(self, x: Tensor) -> Tensor:
        """The linear part, on ``[... pos d_model]``."""
        if self.scale is None:
            return x
        return (_centred(x) if self.centred else x) * self.scale

    def affine(self, x: Tensor) -> Tensor:
        """All of it."""
        return self.linear(x) if self.constant is None else self.linear(x) + self.constant

    def back(self, gradient: Tensor) -> Tensor:
        """From a gradient on what the norm hands on to one on what it reads, ``[... pos d]``."""
        if self.scale is None:
            return gradient
        moved = gradient * self.scale
        return _centred(moved) if self.centred else moved

    def back_at(self, gradient: Tensor, pos: Tensor) -> Tensor:
        """The same of single tokens: ``[target d_model]`` at positions ``[target]``."""
        if self.scale is None:
            return gradient
        moved = gradient * self.scale[pos]
        return _centred(moved) if self.centred else moved


def frozen_norm(
    module: nn.Module | None, x: Tensor, out: Tensor, bound: float, where: str
) -> FrozenNorm:
    """Freeze a norm at what it read and handed on.

    Args:
        module: the norm; None: there is none.
        x, out: ``[pos d_model]``.
        bound: largest rest, relative to the largest number handed on.
        where: its place, for the error.

    Raises:
        SiteRefused: the module is no affine map at a frozen scale.
    """
    if module is None:
        return FrozenNorm()
    gain, bias, centred = _probed(module, x)
    read = (_centred(x) if centred else x) * gain
    length = (read * read).sum(-1, keepdim=True)
    size = ((out - bias) * read).sum(-1, keepdim=True) / length.clamp_min(1e-300**0.5)
    found = FrozenNorm(size * gain, None, centred)
    constant = out - found.linear(x)
    rest = float((constant - bias).abs().max())
    if not rest <= bound * float(out.abs().max()):
        raise SiteRefused(
            f"{type(module).__name__} is no affine map at a frozen scale: {rest:.1e} is left over",
            mend="this family has no attribution graph yet; use edge attribution or path patching",
            where=where,
        )
    return FrozenNorm(found.scale, constant, centred)


def _probed(module: nn.Module, like: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Gain up to a factor ``[d_model]``, bias ``[d_model]``, and whether the mean is taken off."""
    own = next(module.parameters(), like)
    width = like.shape[-1]
    signs = torch.ones(width, dtype=own.dtype, device=own.device)
    signs[1::2] = -1
    probes = torch.stack([torch.zeros_like(signs), signs, signs.abs()])[None]
    with torch.no_grad():
        bias, swung, flat = module(probes)[0].to(like)
    answered = float((swung - bias).abs().max())
    centred = float((flat - bias).abs().max()) <= 1e-3 * answered
    read = signs.to(like)
    return (swung - bias) / (_centred(read) if centred else read), bias, centred


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)
