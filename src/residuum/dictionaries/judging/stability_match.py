"""Which latent of one dictionary is which of another: matched by encoder and by decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.core import OptionError
from residuum.dictionaries.judging.pairing import Matching, pair_directions


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
        by_encoder, by_decoder: ``[first]`` that partner; -1 for none.
        matching: how they were paired, see :class:`Pairing`.
    """

    encoder: np.ndarray
    decoder: np.ndarray
    by_encoder: np.ndarray
    by_decoder: np.ndarray
    matching: Matching

    def cosine(self, by: str = "both") -> np.ndarray:
        """``[first]``: of encoders, of decoders, or (``"both"``) the mean of the two.

        -1 where there is no partner, or where encoders and decoders give different ones.
        """
        if by != "both":
            return self.encoder if by == "encoder" else self.decoder
        agree = (self.by_encoder == self.by_decoder) & (self.by_encoder >= 0)
        return np.where(agree, (self.encoder + self.decoder) / 2, -1.0)

    def pairs(self, threshold: float, by: str = "both") -> np.ndarray:
        """``[found 2]``: latents found again, of the first and of the second dictionary."""
        rows = np.flatnonzero(self.cosine(by) >= threshold)
        partner = self.by_encoder if by == "encoder" else self.by_decoder
        return np.stack([rows, partner[rows]], 1)


def match_latents(first: Directions, second: Directions) -> Match:
    """Pair latents one to one, once so that the encoders' cosines have the greatest sum and once
    so that the decoders' have; where both have more than ``MOST_EXACT``, as mutual nearest
    neighbours.

    Source: Paulo and Belrose 2025, "Sparse Autoencoders Trained on the Same Data Learn Different
    Features", who call a latent shared where both matchings agree.
    """
    by_encoder, encoder, _ = _paired(first.reads, second.reads)
    by_decoder, decoder, matching = _paired(first.writes, second.writes)
    return Match(encoder, decoder, by_encoder, by_decoder, matching)


def _paired(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray, Matching]:
    found = pair_directions(ours, theirs)
    partner, cosine = np.full(len(ours), -1), np.full(len(ours), -1.0)
    partner[found.first], cosine[found.first] = found.second, found.cosines
    return partner, cosine, found.matching


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _rotation(width: int, rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((width, width)))
    return q * np.sign(np.diag(r))


def _orders(latents: int, axes: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(np.tile(np.arange(latents)[:, None], (1, axes)), axis=0)
