"""The way from the last stream to logits as a linear map: the final norm at its run's own scale.

A norm divides by a number that all parts of the stream make together. Frozen at the value it had
in the run (the frozen-scale convention), it is an affine map, and parts of a sum go through one by
one. What a part would change of that number is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from residuum.core import AddressError
from residuum.models import Parts
from residuum.models.parts import text_config

CONVENTION = "final norm at the scale it had in each prompt's own run (frozen)"
_FAILS = {torch.float64: 1e-5, torch.float32: 1e-3}  # many norms compute in float32 inside
_FAILS_HALF = 0.1


@dataclass(frozen=True)
class FrozenNorm:
    """A LayerNorm or RMSNorm as ``x -> scale * gain * (x - mean(x)) + bias``, in float64 on CPU.

    Attributes:
        gain: ``[d_model]``.
        bias: ``[d_model]``, zero where the norm has none.
        scale: ``[...]``, one number a token: one over the deviation (or root mean square) there.
        centred: whether the mean is taken off (LayerNorm) or not (RMSNorm).
    """

    gain: Tensor
    bias: Tensor
    scale: Tensor
    centred: bool

    def parts(self, x: Tensor) -> Tensor:
        """What a part ``[... d_model]`` of the stream becomes; without the bias."""
        x = x.cpu().double()
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        return x * self.gain * self.scale[..., None]

    def pull_back(self, direction: Tensor) -> Tensor:
        """The vector ``u`` for which ``parts(x) · direction = x · u``; ``[... d_model]``."""
        u = direction * self.gain * self.scale[..., None]
        return u - u.mean(-1, keepdim=True) if self.centred else u


def freeze_norm(norm: nn.Module | None, stream: Tensor) -> FrozenNorm:
    """The norm as the affine map that it was at ``stream`` ``[... d_model]``.

    Gain and bias are read off the module's answers to a vector of zeros and to one vector of mean
    zero, so that every family's way of writing them (``1 + weight``, no weight) comes out right;
    the scale is fitted to the module's own output, so that its rounding is part of it.

    Raises:
        AddressError: the module is no such norm at these streams.
    """
    width, shape = stream.shape[-1], stream.shape[:-1]
    if norm is None:
        one = torch.ones(width, dtype=torch.float64)
        return FrozenNorm(one, torch.zeros_like(one), torch.ones(shape, dtype=torch.float64), False)
    with torch.no_grad():
        bias = _answer(norm, torch.zeros(width, dtype=torch.float64), stream)
        probe = torch.randn(
            width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        ).to(stream.dtype)
        probe = (probe.double() - probe.double().mean()).to(stream.dtype).double()
        power = probe.square().mean().sqrt()
        gain = (_answer(norm, probe, stream) - bias) / probe * power
        flat = _answer(norm, torch.ones(width, dtype=torch.float64), stream) - bias
        out = norm(stream).cpu().double()
    centred = bool(flat.abs().max() < 0.1 * gain.abs().max())
    x = stream.cpu().double()
    y = gain * (x - x.mean(-1, keepdim=True) if centred else x)
    square = y.square().sum(-1)
    scale = ((out - bias) * y).sum(-1) / torch.where(square == 0, torch.ones_like(square), square)
    missed = (out - bias - scale[..., None] * y).abs().max()
    if float(missed) > _FAILS.get(stream.dtype, _FAILS_HALF) * float(out.abs().max()):
        raise _no_norm(norm)
    return FrozenNorm(gain, bias, scale, centred)


def _answer(norm: nn.Module, vector: Tensor, like: Tensor) -> Tensor:
    return norm(vector.to(like)[None, None])[0, 0].cpu().double()


def _no_norm(norm: nn.Module) -> AddressError:
    return AddressError(
        f"what stands before the unembedding ({type(norm).__name__}) is no LayerNorm or RMSNorm: "
        "parts of the stream do not add up behind it",
        mend="patch or ablate the parts instead; their effects need no sum",
        where="ln_final",
    )


def need_sum(parts: Parts, verb: str) -> None:
    """Refuse models whose last stream is not the sum of what its parts add.

    Raises:
        AddressError: an encoder with norms on the stream itself, blocks of which nothing is known,
            or no unembedding.
    """
    if any(layer.wiring == "post_norm_encoder" for layer in parts.layers):
        raise AddressError(
            f"{verb} needs a stream that is a sum: {parts.family.name} norms the stream itself "
            "after every sub-layer, and puts a nonlinear head before its unembedding",
            mend="patch or ablate the parts instead; their effects need no sum",
        )
    if any(layer.opaque for layer in parts.layers):
        raise AddressError(
            f"{verb} needs the parts of every block, and this family has no table",
            mend="rz.logit_lens(model, prompt) reads the stream of any model; "
            "residuum doctor MODEL lists the sites that were found",
        )
    if parts.unembed is None:
        raise AddressError("this model has no unembedding", mend="load a language model")


def logit_factor(parts: Parts) -> float:
    """What the family multiplies its logits by, 1 for most."""
    config, family = text_config(parts.hf), parts.family
    factor = float(getattr(config, family.logit_scale)) if family.logit_scale else 1.0
    return factor / float(getattr(config, family.logit_divisor)) if family.logit_divisor else factor


def soft_cap(parts: Parts) -> float | None:
    """The family's soft cap on logits, or None."""
    name = parts.family.logit_softcap
    value = getattr(text_config(parts.hf), name) if name else None
    return None if value is None else float(value)
