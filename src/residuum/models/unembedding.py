"""From the last stream to logits: final norm, unembedding, and the family's scale and soft cap."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from residuum.core import AddressError
from residuum.models.parts import Parts, text_config


def logits_of(parts: Parts, normed: Tensor, tokens: Tensor | None = None) -> Tensor:
    """Logits from what the final norm handed on, ``[... d_model]``.

    Args:
        tokens: ids to unembed; None for the whole vocabulary.

    Raises:
        AddressError: the model has no unembedding.
    """
    unembed = parts.unembed
    if unembed is None:
        raise AddressError("this model has no unembedding", mend="load a language model")
    weight, bias = (getattr(unembed, name, None) for name in ("weight", "bias"))
    if tokens is None or not isinstance(weight, Tensor):
        logits = unembed(normed)
        logits = logits if tokens is None else logits[..., tokens.to(logits.device)]
    else:
        chosen = tokens.to(weight.device)
        rows = None if not isinstance(bias, Tensor) else bias[chosen]
        logits = linear(normed, weight[chosen], rows)
    config, family = text_config(parts.hf), parts.family
    if family.logit_scale:
        logits = logits * getattr(config, family.logit_scale)
    if family.logit_divisor:
        logits = logits / getattr(config, family.logit_divisor)
    cap = getattr(config, family.logit_softcap) if family.logit_softcap else None
    return logits if cap is None else torch.tanh(logits / cap) * cap


def final_logits(parts: Parts, stream: Tensor, tokens: Tensor | None = None) -> Tensor:
    """Logits that the model would give if ``stream`` ``[... d_model]`` were its last residual."""
    norm = parts.final_norm
    return logits_of(parts, stream if norm is None else norm(stream), tokens)
