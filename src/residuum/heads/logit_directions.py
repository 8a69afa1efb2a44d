"""What a head's output adds to single tokens' logits, through the final norm at its frozen size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import AddressError
from residuum.heads.reading import NormMap, embedding, norm_map, write_gain
from residuum.models.parts import text_config
from residuum.models.projections import linear_weight
from residuum.models.weights import output_heads
from residuum.runs import Model

_MOST_TOKENS = 4096


@dataclass(frozen=True, eq=False)
class LogitDirections:
    """Directions of tokens' logits, the mean over the vocabulary taken off.

    Attributes:
        weight: ``[d_model d_vocab]`` of the unembedding.
        mean: ``[d_model]`` of it over the vocabulary.
        factor: the family's own factor on logits; a soft cap is left out.
        norm: the final norm's linear part, or None.
        post: layer -> norm between attention and the stream, or None.
    """

    model: Model
    weight: Tensor
    mean: Tensor
    factor: float
    norm: NormMap | None
    post: tuple[NormMap | None, ...]

    @staticmethod
    def of(model: Model) -> LogitDirections:
        """Read off a model.

        Raises:
            AddressError: it has no unembedding.
        """
        parts = model.adapted.parts
        if parts.unembed is None:
            raise AddressError("this model has no unembedding", mend="load a language model")
        weight = linear_weight(parts.unembed).detach()
        config, family = text_config(parts.hf), parts.family
        factor = float(getattr(config, family.logit_scale)) if family.logit_scale else 1.0
        if family.logit_divisor:
            factor /= float(getattr(config, family.logit_divisor))
        width = parts.dims.d_model
        post = tuple(write_gain(layer, width) for layer in parts.layers)
        mean = weight.mean(1, dtype=torch.promote_types(weight.dtype, torch.float32))
        return LogitDirections(model, weight, mean, factor, norm_map(parts.final_norm, width), post)

    def of_tokens(self, ids: Tensor) -> Tensor:
        """``[... d_model]``: what the stream is multiplied by, but for the norm's size."""
        flat = self.weight[:, ids.flatten().to(self.weight.device)].T.to(self.mean) - self.mean
        if self.norm is not None:
            flat = self.norm.fold(flat.T).T
        return (flat * self.factor).unflatten(0, ids.shape)

    def size(self, stream: Tensor) -> Tensor:
        """What the final norm divides ``[batch pos d_model]`` by, ``[batch pos]``."""
        if self.norm is None:
            return torch.ones(stream.shape[:-1], device=stream.device)
        return self.norm.size(stream.to(self.mean))[..., 0]

    def through_heads(self, layer: int, directions: Tensor) -> Tensor:
        """Directions ``[... d_model]`` seen from each head's values, ``[... head d_head]``."""
        part = self.model.adapted.parts.layers[layer]
        post = self.post[layer]
        if post is not None:
            directions = post.fold(directions.flatten(0, -2).T).T.unflatten(
                0, directions.shape[:-1]
            )
        output = output_heads(part).detach().to(directions) * part.scale
        flat = output.flatten(0, 1)  # [head·d_head d_model]
        return (directions @ flat.T).unflatten(-1, output.shape[:2])

    def post_size(self, layer: int, z: Tensor) -> Tensor | float:
        """What a post-norm divides attention's output by, ``[batch pos]``; 1 without one."""
        post = self.post[layer]
        if post is None:
            return 1.0
        with torch.no_grad():
            raw = self.model.adapted.parts.layers[layer].o_proj(z.flatten(-2))
        return post.size(raw.to(self.mean))[..., 0]


def copying_eigenvalues(directions: LogitDirections, seed: int = 0) -> Tensor:
    """Σλ / Σ|λ| of each head's full OV circuit, ``[layer head]``, over at most 4,096 tokens.

    1 where every token raises its own logit most plainly, -1 where every token lowers it. The
    eigenvalues are those of ``W_V W_O W_U W_E``, ``d_head`` by ``d_head``, with the mean over the
    vocabulary off, norms folded and their sizes left out.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", Detecting
    Copying Behavior.
    """
    model, parts = directions.model, directions.model.adapted.parts
    generator = torch.Generator().manual_seed(seed)
    ids = torch.arange(model.d_vocab)
    if len(ids) > _MOST_TOKENS:
        ids = torch.randperm(len(ids), generator=generator)[:_MOST_TOKENS].sort().values
    embedded = embedding(model, ids).to(directions.mean)
    reading = directions.of_tokens(ids).T @ embedded  # [d_model (out), d_model (in)]
    found = []
    for layer in range(model.n_layers):
        part = parts.layers[layer]
        ln1 = norm_map(part.ln1, parts.dims.d_model)
        values = part.projections.weight("v").detach().to(reading)
        if ln1 is not None:
            values = torch.stack([ln1.fold(each) for each in values])
        through = directions.through_heads(layer, reading.T)  # [d_model (in) head d_head]
        values = values.repeat_interleave(through.shape[1] // len(values), dim=0)
        small = torch.einsum("hme,mhd->hed", values, through)
        roots = torch.linalg.eigvals(small.double().cpu())
        total = roots.abs().sum(-1).clamp_min(1e-300)
        found.append(roots.real.sum(-1) / total)
    return torch.stack(found)
