"""Sources of a graph: active features, errors of the transcoders, token embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from residuum.circuits.attribution.coders import Hangings
from residuum.circuits.attribution.frozen import FrozenPass
from residuum.core import OptionError


@dataclass(frozen=True, eq=False)
class Features:
    """Active latents at tokens, ordered by layer, then token, then latent.

    Attributes:
        layer, pos, latent: ``[feature]``.
        value: ``[feature]`` activations.
    """

    layer: Int[np.ndarray, " feature"]
    pos: Int[np.ndarray, " feature"]
    latent: Int[np.ndarray, " feature"]
    value: Float[Tensor, " feature"]

    def __len__(self) -> int:
        return len(self.layer)

    def some(self, index: np.ndarray) -> Features:
        """Those with these numbers, in this order."""
        value = self.value[torch.as_tensor(index, device=self.value.device)]
        return Features(self.layer[index], self.pos[index], self.latent[index], value)


def active_features(
    frozen: FrozenPass, hangings: Hangings, without: Sequence[int] = ()
) -> Features:
    """Every latent that is active at some token.

    Args:
        without: tokens at which no latents are used.

    Raises:
        OptionError: none is.
    """
    layers, places, latents, values = [], [], [], []
    for layer, hung in hangings.by_layer.items():
        block = frozen.blocks[layer]
        assert block.mlp_read is not None
        read = block.mlp_read if hung.raw else block.reader.affine(block.mlp_read)
        acts = hung.coder.encode(read)
        acts[list(without)] = 0
        where = (acts != 0).nonzero()
        layers.append(np.full(len(where), layer))
        places.append(where[:, 0].cpu().numpy())
        latents.append(where[:, 1].cpu().numpy())
        values.append(acts[where[:, 0], where[:, 1]])
    found = Features(
        np.concatenate(layers), np.concatenate(places), np.concatenate(latents), torch.cat(values)
    )
    if not len(found):
        raise OptionError(
            "no latent of the transcoders is active on this prompt",
            mend="check what they read (rz.fit_dictionary), or give another prompt",
        )
    return found


@dataclass(frozen=True, eq=False)
class Sources:
    """What flows into the frozen model, as vectors added to its stream.

    Columns are numbered: features, then errors by layer and token, then tokens.

    Attributes:
        frozen: the pass.
        hangings: the transcoders.
        features: those that are nodes.
        mlp_layers: layers with an MLP.
        errors: by layer, ``[pos d_model]``: what the MLP adds beyond the features and constants.
        written: by layer and token: columns of the features that write there, and ``[.. d_model]``.
    """

    frozen: FrozenPass
    hangings: Hangings
    features: Features
    mlp_layers: tuple[int, ...]
    errors: dict[int, Tensor]
    written: dict[int, list[tuple[Tensor, Tensor]]]

    @property
    def n(self) -> int:
        """Number of columns."""
        return self.first_token + self.frozen.n_pos

    @property
    def first_token(self) -> int:
        """Column of the first token."""
        return len(self.features) + len(self.mlp_layers) * self.frozen.n_pos

    def first_error(self, layer: int) -> int:
        """Column of a layer's error at the first token."""
        return len(self.features) + self.mlp_layers.index(layer) * self.frozen.n_pos

    def unexplained(self, without: Sequence[int]) -> dict[str, float]:
        """By layer with a transcoder: squared errors over the MLP output's squares about its mean
        over the tokens, some left out; nothing where one token alone is left, as it does not vary.
        """
        found, n_pos = {}, self.frozen.n_pos
        some = [pos for pos in range(n_pos) if pos not in without]
        if len(some) < 2:
            return found
        for layer in self.hangings.by_layer:
            own = self.frozen.blocks[layer].mlp_out
            assert own is not None
            spread = (own[some] - own[some].mean(0)).square().sum().clamp_min(1e-30)
            found[f"L{layer}"] = float(self.errors[layer][some].square().sum() / spread)
        return found


def sources_of(frozen: FrozenPass, hangings: Hangings, features: Features) -> Sources:
    """Vectors of features, and the errors that make each MLP's output come out exactly."""
    mlp_layers = tuple(i for i, each in enumerate(frozen.blocks) if each.mlp_out is not None)
    errors, written = {}, {}
    for layer in mlp_layers:
        written[layer] = _written(frozen, hangings, features, layer)
        rebuilt = mlp_constant(frozen, hangings, layer) + skipped(frozen, hangings, layer)
        for pos, (_, vectors) in enumerate(written[layer]):
            rebuilt[pos] += vectors.sum(0)
        own = frozen.blocks[layer].mlp_out
        assert own is not None
        errors[layer] = own - rebuilt
    return Sources(frozen, hangings, features, mlp_layers, errors, written)


def mlp_constant(frozen: FrozenPass, hangings: Hangings, layer: int) -> Tensor:
    """What transcoders add to a layer's MLP output without any latent, ``[pos d_model]``."""
    total = torch.zeros_like(frozen.embed)
    for hung, column in hangings.writing_to(layer):
        total = total + hung.constant(column)
    return total


def skipped(frozen: FrozenPass, hangings: Hangings, layer: int) -> Tensor:
    """What a skip connection adds in this run, ``[pos d_model]``."""
    hung = hangings.by_layer.get(layer)
    if hung is None or hung.coder.W_skip is None:
        return torch.zeros_like(frozen.embed)
    block = frozen.blocks[layer]
    assert block.mlp_read is not None
    read = block.mlp_read if hung.raw else block.reader.affine(block.mlp_read)
    return read @ hung.coder.W_skip


def _written(
    frozen: FrozenPass, hangings: Hangings, features: Features, layer: int
) -> list[tuple[Tensor, Tensor]]:
    """For each token, columns of the features that write to a layer, and what they add."""
    columns: list[list[Tensor]] = [[] for _ in range(frozen.n_pos)]
    vectors: list[list[Tensor]] = [[] for _ in range(frozen.n_pos)]
    for hung, column in hangings.writing_to(layer):
        for pos in range(frozen.n_pos):
            own = np.flatnonzero((features.layer == hung.layer) & (features.pos == pos))
            index = torch.as_tensor(own, device=frozen.device)
            latents = torch.as_tensor(features.latent[own], device=frozen.device)
            rows = hung.decoders(latents, column) * features.value[index][:, None]
            columns[pos].append(index)
            vectors[pos].append(rows)
    none = torch.zeros(0, dtype=torch.long, device=frozen.device)
    empty = frozen.embed.new_zeros(0, frozen.embed.shape[1])
    return [
        (torch.cat([none, *c]), torch.cat([empty, *v]))
        for c, v in zip(columns, vectors, strict=True)
    ]
