"""Rotary embedding as a matrix between queries and keys at one relative offset."""

from __future__ import annotations

import torch
from torch import Tensor

from residuum.core import OptionError
from residuum.models import LayerCall, Parts
from residuum.runs import Model, record_calls

_AGREE = 1e-3


def position_kind(parts: Parts) -> str:
    """How positions enter: ``learned``, ``alibi``, ``rotary`` or ``none``."""
    if parts.pos_embed is not None:
        return "learned"
    config = parts.hf.config
    if parts.family.name == "bloom" or bool(getattr(config, "alibi", False)):
        return "alibi"
    return "none" if parts.family.name == "native" else "rotary"


def rotation_between(model: Model, layer: int, offset: int) -> Tensor:
    """``[d_head d_head]`` M with score = (q M) · k for a query ``offset`` positions after its key.

    It is measured: queries before and after the model's own rotary code, of random inputs, and the
    linear map that takes one to the other.

    Raises:
        OptionError: positions do not enter here by a rotation, or queries are normed first.
    """
    parts = model.adapted.parts
    part = parts.layers[layer]
    kind = position_kind(parts)
    if kind != "rotary":
        raise OptionError(
            f"offset={offset}: positions of this model do not rotate queries and keys ({kind})",
            mend="leave offset out; virtual_weights('pos_embed', …) reads learned positions",
        )
    if part.projections.q_norm is not None:
        raise OptionError(
            f"block {layer} norms its queries and keys: no matrix holds at a relative offset",
            mend="leave offset out (norms are then left out too), or capture q and k",
        )
    if model.n_ctx is not None and offset >= model.n_ctx:
        raise OptionError(
            f"offset={offset} is past the context", mend=f"use 0 to {model.n_ctx - 1}"
        )
    d_head, heads = part.projections.d_head, part.projections.n_heads
    rows = -(-4 * d_head // heads)
    batch = model.adapted.tokens.batch(torch.zeros(rows, offset + 1, dtype=torch.long))
    calls, _ = record_calls(model.adapted, batch)
    at_key, at_query = (
        _rotation(model, layer, calls[layer].call, rows, (offset + 1, pos)) for pos in (0, offset)
    )
    return at_query @ at_key.T


def _rotation(
    model: Model, layer: int, call: LayerCall, rows: int, place: tuple[int, int]
) -> Tensor:
    """The map from queries before rotary to queries after it at one position."""
    length, pos = place
    part = model.adapted.parts.layers[layer]
    generator = torch.Generator().manual_seed(0)
    normed = torch.randn(rows, length, model.dims.d_model, generator=generator)
    normed = normed.to(model.device, model.dtype)
    with torch.no_grad():
        after = model.seam.qkv(layer, normed, call)[0][:, pos].double()
        weight = part.projections.weight("q").double()
        before = torch.einsum("bm,hmd->bhd", normed[:, pos].double(), weight)
        bias = part.projections.bias("q")
        before = before if bias is None else before + bias.double()
    before, after = before.flatten(0, 1), after.flatten(0, 1)
    found = torch.linalg.lstsq(before, after).solution
    gap = (before @ found - after).norm() / after.norm()
    if float(gap) > _AGREE:
        raise OptionError(
            f"block {layer}'s queries are not a rotation of their projections (off by {gap:.1e})",
            mend="leave offset out, or capture q and k",
        )
    return found
