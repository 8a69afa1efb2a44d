"""Attention written out, and who looks at it: what both kinds of attention door share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn


class Visitor(Protocol):
    """Who stands at the door. Tensors come and go in the site's axis order."""

    def wants(self, layer: int) -> bool:
        """Whether anything at this layer's door was asked for."""
        ...

    def explicit(self, layer: int) -> bool:
        """Whether scores or pattern of this layer are asked for."""
        ...

    def visit(self, layer: int, slot: str, value: Tensor) -> Tensor:
        """Look at ``q, k, v, scores, pattern`` or ``z`` and return what to go on with."""
        ...


@dataclass
class AttentionCall:
    """What one layer's attention function was called with, besides q, k and v."""

    mask: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)


def attend_explicitly(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    visitor: Visitor | None,
    layer: int,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    bias: Tensor | None = None,
    single: Literal["", "scores", "softmax"] = "",
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, honouring soft caps, sinks, additive biases and grouped heads.

    Args:
        query: ``[batch, head, q_pos, d_head]``; ``key`` and ``value`` with their own, fewer heads.
        mask: boolean (true = attend), additive, or None for plain causal (or no) masking.
        s_aux: per-head sink logits.
        bias: added to the scores after scaling (ALiBi).
        single: what the model's own code computes in float32 whatever its dtype; followed unless
            somebody looks at scores or pattern, which are then exact in the model's dtype.

    Returns:
        ``z`` as ``[batch, q_pos, head, d_head]`` and the pattern.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (each.repeat_interleave(groups, dim=1) for each in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    own = "" if visitor is not None and visitor.explicit(layer) else single
    if own == "scores":
        query, key = query.float(), key.float()
    scores = query @ key.transpose(-1, -2) * scale
    scores = scores.to(torch.promote_types(scores.dtype, value.dtype))
    if bias is not None:
        scores = scores + bias
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = _masked(scores, mask, causal=getattr(module, "is_causal", True))
    if visitor is not None:
        scores = _still_masked(scores, visitor.visit(layer, "scores", scores))
    scores = scores.float() if own == "softmax" else scores
    pattern = _softmax(scores, s_aux).to(value.dtype)
    if visitor is not None:
        pattern = visitor.visit(layer, "pattern", pattern)
    z = (pattern @ value).transpose(1, 2).contiguous()
    return (z if visitor is None else visitor.visit(layer, "z", z)), pattern


def _masked(scores: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    lowest = torch.finfo(scores.dtype).min
    if mask is None:
        q_len, k_len = scores.shape[-2:]
        if not causal or q_len == 1:
            return scores
        allowed = torch.ones(q_len, k_len, dtype=torch.bool, device=scores.device)
        return scores.masked_fill(~allowed.tril(k_len - q_len), lowest)
    mask = mask[..., : scores.shape[-1]]
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, lowest)
    return (scores + mask).clamp_min(lowest)


def _still_masked(before: Tensor, edited: Tensor) -> Tensor:
    """Edited scores, with masked places masked as before: an edit does not open the future."""
    if edited is before:
        return edited
    lowest = torch.finfo(before.dtype).min
    return edited.masked_fill(before <= lowest / 2, lowest)


def _softmax(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Softmax in at least float32; with sinks, each row shares its mass with one more logit."""
    work = torch.promote_types(scores.dtype, torch.float32)
    if sinks is None:
        return torch.softmax(scores, dim=-1, dtype=work)
    extra = sinks.reshape(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[-2], 1)
    return torch.softmax(torch.cat([scores, extra.to(scores.dtype)], -1), -1, dtype=work)[..., :-1]
