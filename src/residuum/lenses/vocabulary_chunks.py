"""Distributions over the vocabulary, read a slice of it at a time.

Entropy, divergence, top tokens and their probabilities are sums and maxima over the vocabulary, so
that the logits of one slice are all that is ever held: layers × tokens × vocabulary never is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

AT_ONCE = 2**22
"""Logits held at once for one layer: positions × slice of the vocabulary."""

Unembed = Callable[[Tensor, Tensor | None], Tensor]
"""From what the final norm handed on, and ids (None: all), to logits."""


@dataclass
class Distribution:
    """What is kept of one layer's distribution at each position.

    Attributes:
        values, ids: ``[pos k]`` largest logits so far, and their tokens.
        peak, mass: ``[pos]``: largest logit, and the sum of ``exp(logit - peak)``.
        own, other: ``[pos]``: sums of that times the logit, and times the reference's logit.
        total: ``[pos]`` sum of the logits.
        tracked: ``[pos tracked]`` logits.
    """

    values: Tensor
    ids: Tensor
    peak: Tensor
    mass: Tensor
    own: Tensor
    other: Tensor
    total: Tensor
    tracked: Tensor

    def take(self, logits: Tensor, reference: Tensor, start: int, track: Sequence[int]) -> None:
        """Take in the logits ``[pos slice]`` of the tokens from ``start`` on."""
        peak = torch.maximum(self.peak, logits.amax(-1))
        fade = (self.peak - peak).exp()
        weights = (logits - peak[:, None]).exp()
        self.mass = self.mass * fade + weights.sum(-1)
        self.own = self.own * fade + (weights * logits).sum(-1)
        self.other = self.other * fade + (weights * reference).sum(-1)
        self.peak, self.total = peak, self.total + logits.sum(-1)
        k = self.values.shape[1]
        best = logits.topk(min(k, logits.shape[1]), dim=-1)
        values = torch.cat([self.values, best.values], dim=-1)
        ids = torch.cat([self.ids, best.indices + start], dim=-1)
        self.values, order = values.topk(k, dim=-1)
        self.ids = ids.gather(-1, order)
        for column, token in enumerate(track):
            if start <= token < start + logits.shape[1]:
                self.tracked[:, column] = logits[:, token - start]

    @property
    def log_mass(self) -> Tensor:
        """``[pos]`` log of the sum of exponentials of all logits."""
        return self.peak + self.mass.log()

    def entropy_bits(self) -> Tensor:
        """``[pos]``."""
        return (self.log_mass - self.own / self.mass) / math.log(2)

    def kl_bits(self, reference: Distribution) -> Tensor:
        """``[pos]`` KL(this || reference)."""
        mine = self.own / self.mass - self.log_mass
        return (mine - self.other / self.mass + reference.log_mass) / math.log(2)


def distributions(
    layers: Sequence[tuple[Tensor, Unembed]],
    reference: tuple[Tensor, Unembed],
    d_vocab: int,
    top: int,
    track: Sequence[int],
) -> tuple[list[Distribution], Distribution]:
    """Read layers, and the reference that they are compared with, over the whole vocabulary.

    Args:
        layers: for each what it hands the unembedding ``[pos d_model]``, and how logits are made.
        reference: the same of the model's output.
        top: likely tokens to keep.
        track: ids to follow.
    """
    positions = reference[0].shape[0]
    size = max(1, min(d_vocab, AT_ONCE // positions))
    made = [_empty(x, top, len(track)) for x, _ in layers]
    base = _empty(reference[0], 1, 0)
    with torch.no_grad():
        for start in range(0, d_vocab, size):
            stop = min(start + size, d_vocab)
            whole = start == 0 and stop == d_vocab
            ids = None if whole else torch.arange(start, stop)
            ends = reference[1](reference[0], ids).double()
            base.take(ends, ends, start, ())
            for (normed, unembed), each in zip(layers, made, strict=True):
                each.take(unembed(normed, ids).double(), ends, start, track)
    return made, base


def _empty(like: Tensor, top: int, tracked: int) -> Distribution:
    positions, device = like.shape[0], like.device

    def full(value: float, *shape: int) -> Tensor:
        return torch.full((positions, *shape), value, dtype=torch.float64, device=device)

    return Distribution(
        values=full(-math.inf, top),
        ids=torch.zeros(positions, top, dtype=torch.long, device=device),
        peak=full(-math.inf),
        mass=full(0.0),
        own=full(0.0),
        other=full(0.0),
        total=full(0.0),
        tracked=full(math.nan, tracked),
    )
