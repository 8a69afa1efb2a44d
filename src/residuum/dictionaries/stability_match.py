"""Which latent of one dictionary is which of another: matched by encoder and by decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.core import OptionError
from residuum.dictionaries.ground_truth_assignment import best_assignment


@dataclass(frozen=True, eq=False)
class Directions:
    """What the latents of a dictionary read and write, as vectors of length 1 (or 0).

    Attributes:
        reads: ``[latent, read * d_in]``.
        writes: ``[latent, write * d_out]``.
        tied: whether both are of the same sites.
    """

    reads: np.ndarray
    writes: np.ndarray
    tied: bool

    @staticmethod
    def of(dictionary: Any) -> Directions:
        """Of a dictionary's encoder and decoder.

        Raises:
            OptionError: it has no one encoder and decoder.
        """
        if not hasattr(dictionary, "W_enc") or not hasattr(dictionary, "W_dec"):
            raise OptionError(
                f"stability compares dictionaries, got {type(dictionary).__name__}",
                mend="give SAEs, transcoders or crosscoders; of a cross-layer one, its layers",
            )
        encoder = dictionary.W_enc.detach().double().cpu().flatten(0, 1).T.numpy()
        decoder = dictionary.W_dec.detach().double().cpu().flatten(1).numpy()
        tied = tuple(dictionary.reads) == tuple(dictionary.writes)
        return Directions(_unit(encoder), _unit(decoder), tied)

    def rotated(self, rng: np.random.Generator) -> Directions:
        """All turned together at random: every angle among them stays, none with others does."""
        turn = _rotation(self.writes.shape[1], rng)
        other = turn if self.tied else _rotation(self.reads.shape[1], rng)
        return Directions(self.reads @ other, self.writes @ turn, self.tied)

    def permuted(self, rng: np.random.Generator) -> Directions:
        """Their coordinates along the decoder's main axes, each dealt out among the latents anew.

        The spread along every axis stays, and so does the nearness of encoder and decoder; which
        coordinates go together does not.
        """
        axes = np.linalg.svd(self.writes, full_matrices=False)[2]
        orders = _orders(len(self.writes), len(axes), rng)
        writes = np.take_along_axis(self.writes @ axes.T, orders, 0) @ axes
        if not self.tied:
            axes = np.linalg.svd(self.reads, full_matrices=False)[2]
            orders = _orders(len(self.reads), len(axes), rng)
        reads = np.take_along_axis(self.reads @ axes.T, orders, 0) @ axes
        return Directions(_unit(reads), _unit(writes), self.tied)


@dataclass(frozen=True, eq=False)
class Match:
    """Latents of one dictionary (first) and of another (second), paired.

    Attributes:
        encoder, decoder: ``[first]`` cosine with the partner that the encoders, the decoders give;
            -1 without a partner.
        partner: ``[first]`` the one partner that both give; -1 where they disagree.
    """

    encoder: np.ndarray
    decoder: np.ndarray
    partner: np.ndarray

    def found(self, threshold: float) -> np.ndarray:
        """``[first]``: both give the same partner, and both cosines reach the threshold."""
        return (self.partner >= 0) & (np.minimum(self.encoder, self.decoder) >= threshold)


def match_latents(first: Directions, second: Directions) -> Match:
    """Pair latents one to one, once so that the encoders' cosines have the greatest sum and once
    so that the decoders' have.

    Source: Paulo and Belrose 2025, "Sparse Autoencoders Trained on the Same Data Learn Different
    Features", who call a latent shared where both matchings agree.
    """
    ours, theirs = _paired(first.reads @ second.reads.T), _paired(first.writes @ second.writes.T)
    agree = (ours[0] == theirs[0]) & (ours[0] >= 0)
    return Match(ours[1], theirs[1], np.where(agree, ours[0], -1))


def _paired(cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = best_assignment(cosines)
    partner, cosine = np.full(len(cosines), -1), np.full(len(cosines), -1.0)
    partner[rows], cosine[rows] = columns, cosines[rows, columns]
    return partner, cosine


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _rotation(width: int, rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((width, width)))
    return q * np.sign(np.diag(r))


def _orders(latents: int, axes: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(np.tile(np.arange(latents)[:, None], (1, axes)), axis=0)
