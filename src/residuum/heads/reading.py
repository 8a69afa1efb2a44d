"""Weights as readers and writers of the stream, with norms folded in where asked.

Vectors are rows: a reader ``[d_model out]`` turns a stream vector into ``stream @ reader``; a
writer ``[in d_model]`` adds ``value @ writer`` to the stream.

**Folding.** A norm multiplies by its gain (and, for LayerNorm, takes the mean off) besides
dividing by the size of the stream. Gain and centring are linear and are folded into the reader; the
division depends on the prompt and is left out, so a folded reader gives the right numbers up to one
positive factor for each position. The norm's bias becomes a constant and is listed as a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from residuum.core import AddressError, LoadError, ShapeError
from residuum.models import Layer, Parts
from residuum.models.norms import norm_epsilon
from residuum.models.parts import text_config
from residuum.models.projections import linear_weight
from residuum.runs import Model, need_model, prove_unembedding, prove_weights, shown


@dataclass(frozen=True)
class NormMap:
    """The linear part of a norm.

    Attributes:
        gain, bias: ``[d_model]``, float64.
        centred: whether the mean is taken off first (LayerNorm).
        epsilon: added to the variance or mean square.
    """

    gain: Tensor
    bias: Tensor
    centred: bool
    epsilon: float

    def fold(self, reader: Tensor) -> Tensor:
        """``[d_model out]``: centring and gain multiplied into a reader."""
        folded = self.gain.to(reader)[:, None] * reader
        return folded - folded.mean(0, keepdim=True) if self.centred else folded

    def apply(self, stream: Tensor) -> Tensor:
        """Centring and gain on ``[... d_model]``, without division and bias."""
        mean = stream.mean(-1, keepdim=True) if self.centred else 0.0
        return (stream - mean) * self.gain.to(stream)

    def size(self, stream: Tensor) -> Tensor:
        """What the norm divides ``[... d_model]`` by, ``[... 1]``."""
        centred = stream - stream.mean(-1, keepdim=True) if self.centred else stream
        return (centred.pow(2).mean(-1, keepdim=True) + self.epsilon).sqrt()


def norm_map(norm: nn.Module | None, d_model: int) -> NormMap | None:
    """The linear part of a norm, measured on the module itself; None where there is no norm.

    Three probes of unit size tell gain, bias and centring, whatever the family calls its parameters
    (Gemma's gain is one plus the stored weight, OLMo's norm stores none).

    Raises:
        ShapeError: it answers NaN or infinity.
    """
    if norm is None or isinstance(norm, nn.Identity):
        return None
    like = next(norm.parameters(), torch.zeros((), dtype=torch.float64))
    eps = _epsilon(norm, d_model, like)
    probe = torch.ones(d_model, dtype=torch.float64)
    probe[1::2] = -1.0
    if d_model % 2:
        probe[-1] = 0.0
    other = probe.flip(0)
    gains, biases = zip(
        *(_answer(norm, each / each.pow(2).mean().sqrt(), like, eps) for each in (probe, other)),
        strict=True,
    )
    gain = torch.where(probe != 0, gains[0], gains[1])
    bias = biases[0]
    ones = torch.full((1, 1, d_model), 3.0, dtype=like.dtype, device=like.device)
    with torch.no_grad():
        answer = norm(ones)[0, 0].double().cpu() - bias
    centred = bool(answer.abs().max() < 0.5 * gain.abs().max())
    _need_finite("a norm", gain, bias)
    return NormMap(gain, bias, centred, eps)


def _need_finite(what: str, *values: Tensor) -> None:
    if not all(bool(torch.isfinite(each).all()) for each in values):
        raise ShapeError(
            f"{what} gives NaN or infinity",
            mend="look at the weights: training, conversion or loading made them so",
        )


def _epsilon(norm: nn.Module, d_model: int, like: Tensor) -> float:
    """The norm's epsilon by name, else from its answers to a large and a small vector."""
    try:
        return norm_epsilon(norm)
    except LoadError:
        pass
    probe = torch.ones(1, 1, d_model, dtype=like.dtype, device=like.device)
    probe[..., 1::2] = -1.0
    probe[..., -1] = 0.0 if d_model % 2 else probe[..., -1]
    square = float(probe.double().pow(2).mean())
    with torch.no_grad():
        large, small = (norm(probe * size).double().norm() for size in (1.0, 1e-3))
    ratio = float(small / large) ** 2
    return 1e-6 * square * (1 - ratio) / (ratio - 1e-6)


def _answer(norm: nn.Module, probe: Tensor, like: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    both = torch.stack([probe, -probe])[None].to(like.device, like.dtype)
    with torch.no_grad():
        plus, minus = norm(both)[0].double().cpu()
    safe = torch.where(probe == 0, torch.ones_like(probe), probe)
    return (plus - minus) / 2 / safe * (1 + eps) ** 0.5, (plus + minus) / 2


def index_of(value: Any, size: int, what: str) -> int:
    """A layer, head, neuron or token number, from 0 as in addresses (which know no ``H-1``).

    Raises:
        AddressError: no whole number, negative, or out of range.
    """
    if type(value) is not int or not 0 <= value < size:
        raise AddressError(
            f"{what} {shown(value)} is out of range: there are {size}",
            mend=f"use 0 to {size - 1}" if size else f"this model has no {what}s",
        )
    return value


def position_of(value: Any, length: int) -> int:
    """A position in a prompt, negative ones from its end as in addresses (``@-1``).

    Raises:
        AddressError: no whole number, or out of range.
    """
    if type(value) is not int or not -length <= value < length:
        raise AddressError(
            f"position {shown(value)} is out of range: the prompt has {length} tokens",
            mend=f"use {-length} to {length - 1}",
        )
    return value % length


def layer_of(model: Model, layer: Any, verb: str, reads: str = "") -> Layer:
    """A block whose attention weights are known, and say what it does.

    Args:
        reads: the weights that are going to be read (``q k v o``, ``m`` for the MLP's); they are
            proved first.

    Raises:
        OptionError: no model.
        AddressError: out of range, or a block of which only input and output are known.
        CheckFailed: a block that does something else than its weights.
        ShapeError: NaN or infinity in these weights.
    """
    need_model(model, verb)
    part = model.adapted.parts.layers[index_of(layer, model.n_layers, "layer")]
    if part.opaque:
        raise AddressError(
            f"{verb} reads the weights of attention blocks, and block {part.index} has no "
            "attention, or its family has no table of it",
            mend="use a model of a family that `residuum doctor` knows, or capture streams instead",
        )
    if reads:
        prove_weights(model, [part], reads)
    return part


def head_of(
    model: Model, layer: Any, head: Any, verb: str, reads: str = ""
) -> tuple[Layer, int, int]:
    """Block, head and its key/value head (the same without grouping).

    Raises:
        OptionError, AddressError, CheckFailed, ShapeError: as :func:`layer_of`.
        AddressError: a head out of range.
    """
    part = layer_of(model, layer, verb)
    made = part.projections
    head = index_of(head, made.n_heads, "head")
    if reads:
        prove_weights(model, [part], reads)
    return part, head, head // (made.n_heads // made.n_kv_heads)


def projection(part: Layer, slot: str, head: int) -> Tensor:
    """``W_Q``, ``W_K`` or ``W_V`` of one head (or key/value head), ``[d_model d_head]``."""
    return wide(part.projections.weight(slot)[head].detach())


def output_of(part: Layer, head: int) -> Tensor:
    """``W_O`` of one head times the family's own factor, ``[d_head d_model]``."""
    weight = linear_weight(part.o_proj).detach()
    return wide(weight.unflatten(0, (part.projections.n_heads, -1))[head]) * part.scale


def wide(weight: Tensor) -> Tensor:
    """In at least float32: products of half-precision weights are computed wider."""
    return weight.to(torch.promote_types(weight.dtype, torch.float32))


def write_gain(part: Layer, d_model: int) -> NormMap | None:
    """The post-norm between a head's output and the stream, where the family has one."""
    if part.wiring == "post_norm_encoder":
        return None
    return norm_map(part.post_attn_norm, d_model)


def embedding(model: Model, ids: Tensor | None = None) -> Tensor:
    """``[d_vocab d_model]``: what each token alone puts on the stream, by the model's modules.

    The family's factor and, where it acts on the token alone, the embedding norm are in it;
    positions are not.

    Raises:
        AddressError: a post-norm encoder, whose first norm mixes token and position; a family
            without a table.
        ShapeError: NaN or infinity in it.
    """
    parts = model.adapted.parts
    _need_known_ends(parts)
    if parts.layers[0].wiring == "post_norm_encoder":
        raise AddressError(
            "this encoder norms token and position together: no linear embedding",
            mend="ask for the circuit of the stream: full=False",
        )
    if ids is None:
        ids = torch.arange(vocabulary_in(parts))
    with torch.no_grad():
        rows = parts.embed(ids.to(model.device)[:, None])
        rows = rows if parts.embed_norm is None else parts.embed_norm(rows)
    _need_finite("the embedding", rows)
    return wide((rows * parts.embed_scale)[:, 0])


def _need_known_ends(parts: Parts) -> None:
    """Refuse a family of which no table says how embedding and unembedding are scaled."""
    if parts.layers[0].opaque:
        raise AddressError(
            "no table says how this family scales and norms its embedding and unembedding",
            mend="use a model of a family that `residuum doctor` knows, or capture streams instead",
        )


def vocabulary_in(parts: Parts) -> int:
    """How many tokens the embedding holds."""
    return int(getattr(parts.embed, "num_embeddings", 0) or parts.dims.d_vocab)


def unembedding(model: Model, fold: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """``[d_model d_vocab]`` with the family's factor, and its biases ``[d_vocab]``.

    Raises:
        AddressError: no unembedding, a transform before it that is no norm, or a family without a
            table.
        CheckFailed: an unembedding that does something else than its weight.
        ShapeError: NaN or infinity in it.
    """
    parts = model.adapted.parts
    _need_known_ends(parts)
    if parts.unembed is None or parts.layers[0].wiring == "post_norm_encoder":
        raise AddressError(
            "this model has no linear unembedding of the stream",
            mend="ask for the circuit of the stream: full=False",
        )
    prove_unembedding(model)
    config, family = text_config(parts.hf), parts.family
    factor = float(getattr(config, family.logit_scale)) if family.logit_scale else 1.0
    if family.logit_divisor:
        factor /= float(getattr(config, family.logit_divisor))
    weight = wide(linear_weight(parts.unembed).detach())
    biases: dict[str, Tensor] = {}
    norm = norm_map(parts.final_norm, parts.dims.d_model) if fold else None
    if norm is not None and bool(norm.bias.any()):
        biases["b_ln_final"] = norm.bias.to(weight) @ weight * factor
    bias = getattr(parts.unembed, "bias", None)
    if isinstance(bias, Tensor):
        biases["b_U"] = bias.detach() * factor
    weight = weight if norm is None else norm.fold(weight)
    return weight * factor, biases


def words_of(model: Model, ids: Sequence[int]) -> tuple[str, ...]:
    """Tokens as texts; ids as numbers where there is no tokenizer."""
    return tuple(model.to_str_tokens(torch.as_tensor(list(ids)))) if len(ids) else ()
