"""Rows of a graph: each target's linear effects, from gradients through the frozen pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from residuum.circuits.attribution.coders import Hangings
from residuum.circuits.attribution.frozen import FrozenPass
from residuum.circuits.attribution.sources import Features, Sources, mlp_constant
from residuum.core import Progress

_COPIES = 6
"""Copies of a gradient that are held at once on the way through a block."""


def feature_rows(
    sources: Sources, targets: Features, memory: int, progress: Progress
) -> Float[np.ndarray, "target source"]:
    """Direct effects of every source on each target's pre-activation.

    Args:
        memory: bytes that gradients may take.
    """
    rows = np.zeros((len(targets), sources.n))
    for some in _chunks(sources, targets, memory):
        layer = int(targets.layer[some[0]])
        rows[some] = _effects(sources, _start(sources, targets, layer, some), layer)
        progress.advance(len(some))
    return rows


def logit_rows(
    sources: Sources, gradients: Float[Tensor, "target d_model"]
) -> Float[np.ndarray, "target source"]:
    """Direct effects on targets that read the final norm's output at the last token."""
    frozen = sources.frozen
    start = frozen.embed.new_zeros(len(gradients), *frozen.embed.shape)
    last = torch.full((len(gradients),), frozen.n_pos - 1, device=frozen.device)
    start[:, -1] = frozen.final.back_at(gradients, last)
    return _effects(sources, start, None)


def constants(frozen: FrozenPass, hangings: Hangings) -> tuple[dict[int, Tensor], Tensor]:
    """What is read where every source is zero: biases, carried forward by the same maps.

    Returns:
        By layer, what the transcoder there reads ``[pos d_model]``; what the final norm hands on.
    """
    stream, reads = torch.zeros_like(frozen.embed), {}
    for layer, block in enumerate(frozen.blocks):
        middle = stream + block.attention(stream) + block.attn_constant
        read_from = stream if block.parallel else middle
        stream = middle
        if block.mlp_read is None:
            continue
        hung = hangings.by_layer.get(layer)
        if hung is not None:
            reads[layer] = read_from if hung.raw else block.reader.affine(read_from)
            if hung.coder.W_skip is not None:
                stream = stream + reads[layer] @ hung.coder.W_skip
        stream = stream + mlp_constant(frozen, hangings, layer)
    return reads, frozen.final.affine(stream)


def feature_constants(
    frozen: FrozenPass, hangings: Hangings, targets: Features
) -> Float[np.ndarray, " target"]:
    """The part of each pre-activation that no source brings."""
    reads, _ = constants(frozen, hangings)
    found = np.zeros(len(targets))
    for layer, hung in hangings.by_layer.items():
        own = np.flatnonzero(targets.layer == layer)
        pre = hung.pre(reads[layer]).double().cpu().numpy()
        found[own] = pre[targets.pos[own], targets.latent[own]]
    return found


def _chunks(sources: Sources, targets: Features, memory: int) -> Iterator[np.ndarray]:
    """Numbers of targets of one layer whose gradients fit into memory together."""
    embed = sources.frozen.embed
    heads = max(each.W_O.shape[0] * each.W_O.shape[1] for each in sources.frozen.blocks)
    width = max(embed.shape[1], heads)
    at_once = max(1, memory // (_COPIES * len(embed) * width * embed.element_size()))
    for layer in np.unique(targets.layer):
        own = np.flatnonzero(targets.layer == layer)
        yield from (own[i : i + at_once] for i in range(0, len(own), at_once))


def _start(sources: Sources, targets: Features, layer: int, some: np.ndarray) -> Tensor:
    """Gradients on the stream that the layer's MLP reads, ``[target pos d_model]``."""
    frozen, hung = sources.frozen, sources.hangings.by_layer[layer]
    latents = torch.as_tensor(targets.latent[some], device=frozen.device)
    pos = torch.as_tensor(targets.pos[some], device=frozen.device)
    read = hung.encoders(latents)
    start = frozen.embed.new_zeros(len(some), *frozen.embed.shape)
    at = torch.arange(len(some), device=frozen.device)
    start[at, pos] = read if hung.raw else frozen.blocks[layer].reader.back_at(read, pos)
    return start


def _effects(
    sources: Sources, gradient: Tensor, layer: int | None
) -> Float[np.ndarray, "target source"]:
    """Carry gradients back and read off every source; they start in the middle of a block, or at
    the end."""
    frozen = sources.frozen
    out = gradient.new_zeros(len(gradient), sources.n)
    first = len(frozen.blocks) if layer is None else layer
    if layer is not None and not frozen.blocks[layer].parallel:
        gradient = gradient + frozen.blocks[layer].attention_back(gradient)
    for index in range(first - 1, -1, -1):
        gradient = _through(sources, index, gradient, out)
    out[:, sources.first_token :] = torch.einsum("tpm,pm->tp", gradient, frozen.embed)
    return out.double().cpu().numpy()


def _through(sources: Sources, index: int, gradient: Tensor, out: Tensor) -> Tensor:
    """From a block's output to its input; what its MLP's sources add is read off on the way."""
    block = sources.frozen.blocks[index]
    read = torch.zeros_like(gradient)
    if block.mlp_read is not None:
        _read_off(sources, index, gradient, out)
        read = _skip_back(sources, index, gradient)
    if block.parallel:
        return gradient + read + block.attention_back(gradient)
    middle = gradient + read
    return middle + block.attention_back(middle)


def _read_off(sources: Sources, layer: int, gradient: Tensor, out: Tensor) -> None:
    first = sources.first_error(layer)
    own = torch.einsum("tpm,pm->tp", gradient, sources.errors[layer])
    out[:, first : first + own.shape[1]] = own
    for pos, (columns, vectors) in enumerate(sources.written[layer]):
        out[:, columns] += gradient[:, pos] @ vectors.T


def _skip_back(sources: Sources, layer: int, gradient: Tensor) -> Tensor:
    hung = sources.hangings.by_layer.get(layer)
    if hung is None or hung.coder.W_skip is None:
        return torch.zeros_like(gradient)
    read = gradient @ hung.coder.W_skip.T
    return read if hung.raw else sources.frozen.blocks[layer].reader.back(read)
