"""The identities that tie sites together: what must sum to what, in every family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import Address, ResiduumError
from residuum.models import Adapted, Layer, logits_of
from residuum.models.norms import frozen_scale

Values = dict[Address, Tensor]
BARE = "logits with everything captured = bare logits"


@dataclass(frozen=True)
class Gap:
    """How far an identity is from holding, over all layers.

    Attributes:
        name: the identity.
        sites: sites that fall with it.
        size: largest difference relative to the largest term.
    """

    name: str
    sites: tuple[str, ...]
    size: float


def identity_gaps(adapted: Adapted, values: Values, bare: Tensor) -> list[Gap]:
    """Every identity that applies to the model, worst layer of each."""
    worst: dict[str, Gap] = {}
    for gap in (*_ends(adapted, values, bare), *_layers(adapted, values)):
        if gap.name not in worst or gap.size > worst[gap.name].size:
            worst[gap.name] = gap
    return list(worst.values())


def _gap(name: str, sites: tuple[str, ...], left: Tensor, *terms: Tensor) -> Gap:
    """``left`` against the sum of ``terms``, relative to the largest of all."""
    right = sum((term.double() for term in terms), torch.zeros_like(left, dtype=torch.float64))
    scale = max(float(each.double().abs().max()) for each in (left, *terms)) or 1.0
    size = float((left.double() - right).abs().max()) / scale
    return Gap(name, sites, size if size == size else float("inf"))


def _ends(adapted: Adapted, values: Values, bare: Tensor) -> Iterator[Gap]:
    logits = values.get(Address("logits"))
    if logits is not None:
        yield _gap(BARE, ("logits",), logits, bare)
    first = values.get(Address("resid_pre", 0))
    embed, pos = values.get(Address("embed")), values.get(Address("pos_embed"))
    encoder = adapted.parts.layers[0].wiring == "post_norm_encoder"
    if first is not None and embed is not None and not encoder:
        terms = [embed] if pos is None else [embed, pos]
        name = "L0.resid_pre = " + " + ".join(["embed", "pos_embed"][: len(terms)])
        yield _gap(name, ("embed", "pos_embed")[: len(terms)], first, *terms)
    final = values.get(Address("ln_final"))
    if final is not None and logits is not None and adapted.parts.unembed is not None:
        with torch.no_grad():
            made = logits_of(adapted.parts, final)
        yield _gap("logits = unembed(ln_final)", ("ln_final",), logits, made)


def _layers(adapted: Adapted, values: Values) -> Iterator[Gap]:
    for layer in adapted.parts.layers:
        at = {a.name: v for a, v in values.items() if a.layer == layer.index}
        following = values.get(Address("resid_pre", layer.index + 1))
        if following is not None and "resid_post" in at:
            name = "resid_post = next resid_pre"
            yield _gap(name, ("resid_pre", "resid_post"), following, at["resid_post"])
        yield from _stream(layer, at)
        yield from _attention(layer, at)
        yield from _projections(layer, at)
        yield from _mlp(layer, at)


def _stream(layer: Layer, at: dict[str, Tensor]) -> Iterator[Gap]:
    if not {"resid_pre", "attn_out", "resid_post"} <= at.keys():
        return
    pre, attn, post = at["resid_pre"], at["attn_out"], at["resid_post"]
    if not layer.has_mlp:
        yield _gap("resid_post = resid_pre + attn_out", ("attn_out",), post, pre, attn)
    elif layer.wiring == "parallel" and "mlp_out" in at:
        name = "resid_post = resid_pre + attn_out + mlp_out"
        yield _gap(name, ("attn_out", "mlp_out"), post, pre, attn, at["mlp_out"])
    elif layer.wiring == "post_norm_encoder" and "resid_mid" in at:
        assert layer.post_attn_norm is not None and layer.post_mlp_norm is not None
        mid = at["resid_mid"]
        with torch.no_grad():
            first = layer.post_attn_norm(pre + attn)
            second = layer.post_mlp_norm(mid + at["mlp_out"])
        yield _gap("resid_mid = norm(resid_pre + attn_out)", ("attn_out", "resid_mid"), mid, first)
        yield _gap("resid_post = norm(resid_mid + mlp_out)", ("mlp_out",), post, second)
    elif "resid_mid" in at and "mlp_out" in at:
        mid = at["resid_mid"]
        yield _gap("resid_mid = resid_pre + attn_out", ("attn_out", "resid_mid"), mid, pre, attn)
        yield _gap("resid_post = resid_mid + mlp_out", ("mlp_out",), post, mid, at["mlp_out"])


def _attention(layer: Layer, at: dict[str, Tensor]) -> Iterator[Gap]:
    if "pattern" in at and "scores" in at:
        sinks = getattr(layer.attn, "sinks", None)
        scores = at["scores"].double()
        total = scores.exp().sum(-1)
        mass = torch.ones_like(total)
        if sinks is not None:
            mass = total / (total + sinks.detach().double().exp().reshape(1, -1, 1))
        name = "pattern rows sum to 1" + ("" if sinks is None else " - sink")
        yield _gap(name, ("pattern", "scores"), at["pattern"].sum(-1), mass)
    if {"pattern", "v", "z"} <= at.keys():
        groups = at["pattern"].shape[1] // at["v"].shape[2]
        v = at["v"].repeat_interleave(groups, dim=2)
        z = torch.einsum("bhqk,bkhd->bqhd", at["pattern"], v)
        yield _gap("z = pattern · v", ("pattern", "z", "v"), at["z"], z)
    if {"head_out", "attn_out"} <= at.keys():
        terms = [at["head_out"].sum(dim=2)]
        bias = getattr(layer.o_proj, "bias", None)
        if isinstance(bias, Tensor):
            terms.append(_added_bias(layer, at, bias).expand_as(terms[0]))
        yield _gap("Σ head_out + bias = attn_out", ("head_out",), at["attn_out"], *terms)


def _added_bias(layer: Layer, at: dict[str, Tensor], bias: Tensor) -> Tensor:
    """The output bias as it is added to the stream: scaled like the heads."""
    bias = bias.detach() * layer.scale
    if layer.attn_writer is layer.o_proj:
        return bias
    with torch.no_grad():
        raw = layer.o_proj(at["z"].flatten(-2))
        return bias * frozen_scale(layer.attn_writer, raw, at["attn_out"] / layer.scale)


def _projections(layer: Layer, at: dict[str, Tensor]) -> Iterator[Gap]:
    source = at.get("ln1", at.get("resid_pre") if layer.ln1 is None else None)
    if source is None:
        return
    for slot in "qk":
        name = f"{slot}_pre"
        if name not in at:
            continue
        try:
            weight, bias = layer.projections.weight(slot), layer.projections.bias(slot)
        except (ResiduumError, RuntimeError):
            continue
        if not weight.is_floating_point():
            continue
        made = torch.einsum("bpm,hmd->bphd", source, weight.detach().to(source))
        terms = [made] if bias is None else [made, bias.detach().expand_as(made)]
        label = f"{name} = {'ln1' if 'ln1' in at else 'resid_pre'} · W_{slot.upper()} + b"
        yield _gap(label, (name,), at[name], *terms)


def _mlp(layer: Layer, at: dict[str, Tensor]) -> Iterator[Gap]:
    if "expert_out" in at and "mlp_out" in at and layer.post_mlp_norm is None:
        total = at["expert_out"].sum(dim=2)
        yield _gap("Σ expert_out = mlp_out", ("expert_out", "router"), at["mlp_out"], total)
    plain_writer = layer.mlp_writer is layer.mlp_out and layer.mlp_out is not None
    if plain_writer and "mlp_act" in at and "mlp_out" in at:
        assert layer.mlp_out is not None
        with torch.no_grad():
            made = layer.mlp_out(at["mlp_act"]) * layer.scale
        yield _gap("mlp_out = W_out(mlp_act)", ("mlp_act",), at["mlp_out"], made)
