"""Counts of every unit at once: how often it is active, how strongly, and the moments of that.

All are whole numbers or maxima, so that two readings merged are one reading of both, to the bit.
"""

from __future__ import annotations

import numpy as np

from residuum.dictionaries.reading.chunk import Chunk
from residuum.dictionaries.reading.exact_sums import as_floats, carried, summed, summed_by

OCTAVES = (-14, 14)
PER_OCTAVE = 4
EDGES = np.exp2(np.arange(OCTAVES[0] * PER_OCTAVE, OCTAVES[1] * PER_OCTAVE + 1) / PER_OCTAVE)
"""Edges of the histogram's bins: four to a doubling. The first bin lies below the first edge, the
last above the last one; a bin holds its lower edge."""
POWERS = (1, 2, 3, 4)
_DENSE = 8


class Counts:
    """Whole numbers ``[... latent]`` that grow with the text but not in size.

    Attributes:
        tokens: ``[1]`` how many tokens; rows: ``[1]`` how many rows of text; documents: ``[1]``
            how many texts (set by who reads them).
        active: ``[latent]`` tokens at which it is above zero.
        active_rows: ``[latent]`` rows of text with such a token.
        histogram: ``[bin latent]`` of the values above zero.
        sums: ``[power window latent]`` of the values to the powers 1 to 4, see ``exact_sums``.
        across: ``[window 1]`` sum over tokens of the kurtosis across units.
        largest: ``[latent]`` float32, the largest value; 0 where it is never active.
    """

    names = (
        "tokens", "rows", "documents", "active", "active_rows", "histogram", "sums", "across",
        "largest",
    )  # fmt: skip

    def __init__(self, n_latents: int) -> None:
        whole = np.int64
        self.tokens, self.rows = np.zeros(1, whole), np.zeros(1, whole)
        self.documents = np.zeros(1, whole)
        self.active, self.active_rows = np.zeros(n_latents, whole), np.zeros(n_latents, whole)
        self.histogram = np.zeros((len(EDGES) + 1, n_latents), whole)
        windows = summed(np.zeros((1, 1))).shape[0]
        self.sums = np.zeros((len(POWERS), windows, n_latents), whole)
        self.across = np.zeros((windows, 1), whole)
        self.largest = np.zeros(n_latents, np.float32)

    def update(self, chunk: Chunk) -> None:
        """Count some rows of text."""
        n_latents = len(self.active)
        tokens, latents = chunk.active
        values = chunk.values[tokens, latents]
        self.tokens += len(chunk.values)
        self.rows += len(np.unique(chunk.rows))
        self.active += np.bincount(latents, minlength=n_latents)
        self.active_rows += _rows_with(chunk.rows[tokens], latents, n_latents)
        bins = np.searchsorted(EDGES, values, side="right")
        places = bins * n_latents + latents
        self.histogram += np.bincount(places, minlength=self.histogram.size).reshape(
            self.histogram.shape
        )
        np.maximum.at(self.largest, latents, values)
        self._moments(chunk)

    def _moments(self, chunk: Chunk) -> None:
        tokens, latents = np.nonzero(chunk.values)
        across = _kurtosis_across(tokens, chunk.values[tokens, latents], chunk.values.shape)
        self.across = carried(self.across + summed(across[:, None]))
        few = len(tokens) * _DENSE < chunk.values.size
        values = (chunk.values[tokens, latents] if few else chunk.values).astype(np.float64)
        for index, power in enumerate(POWERS):
            raised = values**power
            added = summed_by(latents, raised, len(self.active)) if few else summed(raised)
            self.sums[index] = carried(self.sums[index] + added)

    def merge(self, other: Counts) -> None:
        """Add what another counted."""
        for name in self.names:
            if name != "largest":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.sums = np.stack([carried(each) for each in self.sums])
        self.across = carried(self.across)
        self.largest = np.maximum(self.largest, other.largest)

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and kurtosis of each unit over all tokens, ``[latent]``.

        The kurtosis is 3 for a Gaussian; NaN for a unit that never moves.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            m1, m2, m3, m4 = (as_floats(each) / self.tokens for each in self.sums)
            variance = np.maximum(m2 - m1**2, 0)
            fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
            flat = variance <= 1e-12 * m2
            kurtosis = np.where(flat, np.nan, fourth / variance**2)
        return m1, np.sqrt(variance), kurtosis

    def kurtosis_across(self) -> float:
        """Mean over tokens of the kurtosis across units."""
        return float(as_floats(self.across)[0] / max(int(self.tokens[0]), 1))

    def tensors(self) -> dict[str, np.ndarray]:
        """By name, to be kept."""
        return {name: getattr(self, name) for name in self.names}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Take up what :meth:`tensors` gave."""
        for name in self.names:
            setattr(self, name, np.array(tensors[name]))


def _rows_with(rows: np.ndarray, latents: np.ndarray, n_latents: int) -> np.ndarray:
    pairs = np.unique(rows.astype(np.int64) * n_latents + latents)
    return np.bincount(pairs % n_latents, minlength=n_latents)


def _kurtosis_across(tokens: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``[token]`` from the values that are not zero; 0 where all units are alike.

    Summed token by token, so that it does not matter which tokens are looked at together.
    """
    exact = values.astype(np.float64)
    m1, m2, m3, m4 = (
        np.bincount(tokens, exact**power, minlength=shape[0]) / shape[1] for power in POWERS
    )
    variance = m2 - m1**2
    moves = variance > 1e-12 * m2
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    return np.where(moves, fourth / np.where(moves, variance**2, 1), 0.0)
