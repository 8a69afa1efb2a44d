"""Attention: every head at once as bytes, one head in full, and what each looks at here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from residuum.apps.workbench.views.attention_lines import lines
from residuum.apps.workbench.views.gazes import ABOUT, NAMES, gazes
from residuum.apps.workbench.views.site_layers import (
    layers_with,
    missing,
    need_layer,
    need_layers,
    need_same_length,
)
from residuum.apps.workbench.views.thumbnails import as_bytes, block_of, pooled
from residuum.apps.workbench.views.view import Arrays, Look, Meta as BaseMeta, Params as BaseParams
from residuum.core import OptionError
from residuum.models.weights import output_heads
from residuum.runs import Model, Run

_LARGEST_HALF = torch.finfo(torch.float16).max


class Params(BaseParams):
    """What to show of attention.

    Attributes:
        layer, head: one head in full; all heads as thumbnails without.
        weighting: plain attention; times the length of the value vector at the source; or times
            the length of what that value adds to the stream through ``W_O``.
        thumb: most pixels on a thumbnail's side.
    """

    layer: int | None = Field(default=None, ge=0, le=10_000)
    head: int | None = Field(default=None, ge=0, le=10_000)
    weighting: Literal["pattern", "value", "output"] = "pattern"
    thumb: int = Field(default=64, ge=4, le=256)


class Meta(BaseMeta):
    """Typed fields of attention.

    Attributes:
        layers: layer of each row.
        heads: heads in a layer.
        causal: whether keys after the query are out of reach; those cells are NaN in full, zero in
            thumbnails.
        weighting: what a cell holds.
        unit: of a cell.
        limit: value at byte 255; in a difference 128 is zero and 1 is minus this.
        block: positions on a pixel's side; a pixel is the value of largest size among them.
        scores: names of the scores.
        about: score -> what it is. All on this prompt alone: what a head looks at, not what it
            does.
        missing: site -> why this model does not have it.
    """

    layers: list[int]
    heads: int
    causal: bool
    weighting: str
    unit: str
    limit: float
    block: int = 1
    scores: list[str] = Field(default_factory=list)
    about: dict[str, str] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)


class Attention:
    """The view."""

    name = "attention"
    title = "Attention"
    order = 10
    about = (
        "Where each head looks: all heads at once, or one in full. Attention says where a head "
        "reads from, not what it moves, nor that anything later uses it: for that, edit the head."
    )
    Params = Params
    Meta = Meta

    def needs(self, model: Model, params: Params) -> Sequence[str]:
        """The patterns of the layers shown, and the values that weigh them; none without any."""
        layers = layers_with(model, "pattern")
        _need_both(params)
        if not layers:
            return []  # reading says why
        if params.layer is not None and params.head is not None:
            need_layer(model, params.layer, params.head, layers)
            return [f"L{params.layer}.pattern", f"L{params.layer}.v"]
        names = ["pattern"] + ([] if params.weighting == "pattern" else ["v"])
        need_layers(model, "weighing by values", *names)
        return [f"L{layer}.{name}" for layer in layers for name in names]

    def read(self, look: Look, params: Params) -> Arrays:
        """Thumbnails and scores of all heads, or one head in full."""
        need_same_length(look.run, look.minus)
        layers = need_layers(look.model, "the attention view", "pattern")
        _need_both(params)
        if params.layer is not None and params.head is not None:
            need_layer(look.model, params.layer, params.head, layers)
            return _one(look, params, params.layer, params.head)
        return _all(look, params, layers)

    def python(self, params: Params, minus: bool) -> str:
        """Lines that make the same arrays."""
        return lines(params, minus)


def _need_both(params: Params) -> None:
    if (params.layer is None) != (params.head is None):
        raise OptionError("a head needs its layer and its number", mend="give both, or none")


def _all(look: Look, params: Params, layers: list[int]) -> Arrays:
    patterns = [_pattern(look.run, layer) for layer in layers]
    scores = gazes(patterns, look.run.ids[0])
    maps = [_weighted(look, look.run, params, i, p) for i, p in zip(layers, patterns, strict=True)]
    if look.minus is None:
        small = torch.stack([pooled(each, params.thumb, signed=False) for each in maps])
    else:
        others = [_pattern(look.minus, layer) for layer in layers]
        scores = scores - gazes(others, look.minus.ids[0])
        less = (
            one - _weighted(look, look.minus, params, i, p)
            for i, one, p in zip(layers, maps, others, strict=True)
        )
        small = torch.stack([pooled(each, params.thumb, signed=True) for each in less])
    small = torch.nan_to_num(small)
    plain = params.weighting == "pattern" and look.minus is None
    limit = 1.0 if plain else float(small.abs().max())
    meta = _meta(look, params, layers, limit)
    meta.block = block_of(look.run.ids.shape[1], params.thumb)
    meta.scores, meta.about = list(NAMES), dict(ABOUT)
    thumbs = as_bytes(small, limit, signed=look.minus is not None)
    return Arrays(meta, {"thumbs": thumbs.numpy(), "scores": scores.float().numpy()})


def _one(look: Look, params: Params, layer: int, head: int) -> Arrays:
    def of(run: Run) -> tuple[Tensor, Tensor]:
        whole = _pattern(run, layer)
        return _weighted(look, run, params, layer, whole)[head], _value_norm(run, layer, head)

    pattern, norms = of(look.run)
    if look.minus is not None:
        less = of(look.minus)
        pattern, norms = pattern - less[0], norms - less[1]
    if _causal(look.model):
        future = torch.ones_like(pattern, dtype=torch.bool).triu(1) & (pattern == 0)
        pattern = pattern.masked_fill(future, torch.nan)
    largest = float(pattern.abs().nan_to_num().max())
    if largest < _LARGEST_HALF:
        pattern = pattern.half()
    meta = _meta(look, params, [layer], largest)
    return Arrays(meta, {"pattern": pattern.numpy(), "value_norm": norms.numpy()})


def _meta(look: Look, params: Params, layers: list[int], limit: float) -> Meta:
    return Meta(
        layers=layers,
        heads=look.model.n_heads,
        causal=_causal(look.model),
        weighting=params.weighting,
        unit="attention" if params.weighting == "pattern" else "norm",
        limit=limit,
        missing=missing(look.model, "pattern"),
    )


def _causal(model: Model) -> bool:
    return model.adapted.parts.layers[0].wiring != "post_norm_encoder"


def _pattern(run: Run, layer: int) -> Tensor:
    """``[head q k]``."""
    return run["pattern", layer][0].float().cpu()


def _values(run: Run, layer: int) -> Tensor:
    """``[k head d_head]``, of the key and value heads."""
    return run["v", layer][0].float().cpu()


def _value_norm(run: Run, layer: int, head: int) -> Tensor:
    """Length of the value vectors that a head reads, ``[k]``."""
    v, heads = _values(run, layer), run["pattern", layer].shape[1]
    return v[:, head * v.shape[1] // heads].norm(dim=-1)


def _weighted(look: Look, run: Run, params: Params, layer: int, pattern: Tensor) -> Tensor:
    """The pattern times what its sources carry, ``[head q k]``."""
    if params.weighting == "pattern":
        return pattern
    v = _values(run, layer)
    each = pattern.shape[0] // v.shape[1]
    if params.weighting == "value":
        sizes = v.norm(dim=-1).T.repeat_interleave(each, dim=0)
        return pattern * sizes[:, None]
    part = look.model.adapted.parts.layers[layer]
    weight = output_heads(part).detach().float().cpu()
    moved = torch.einsum("khd,hdm->hkm", v.repeat_interleave(each, dim=1), weight) * part.scale
    return pattern * moved.norm(dim=-1)[:, None]


VIEW: Any = Attention()
