"""One unit of a reading: its examples, histogram, effects and company, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Weighed = tuple[tuple[str, float], ...]
"""Tokens with a number each."""


@dataclass(frozen=True, eq=False)
class Example:
    """A place in the text at which a unit is active.

    Attributes:
        tokens: as text, around the place, within its row.
        ids: of these tokens.
        activations: of the unit at each; NaN at tokens that were left out (BOS, sinks).
        at: index of the place among the tokens.
        band: ``"top"`` for the strongest of all; ``"q4"`` to ``"q1"``: the quarter of the unit's
            activations, strongest first, in which it lies; estimated on the sample.
        key: of the context; examples with different keys are different.
        document: number of its text among those read, from 0; of a row that occurs in several
            texts, the first.
        position: of the place in the row that the model read, from 0, BOS included; a text that
            was cut, or packed with others, has several rows.
    """

    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    activations: tuple[float, ...]
    at: int
    band: str
    key: int
    document: int
    position: int

    @property
    def activation(self) -> float:
        """At the place itself."""
        return self.activations[self.at]

    @property
    def token(self) -> str:
        """At the place itself."""
        return self.tokens[self.at]

    def __repr__(self) -> str:
        text = "".join(
            f"«{token}»" if i == self.at else token for i, token in enumerate(self.tokens)
        )
        return f"{self.band} {self.activation:.3g}: {text}"


@dataclass(frozen=True, eq=False, repr=False)
class LatentReading:
    """What one unit does on the text.

    Attributes:
        index: which.
        label: words for it; empty where there are none.
        density: share of tokens at which it is above zero.
        density_rows: share of rows of text with such a token.
        largest, mean, deviation, kurtosis: of its values over all tokens.
        examples: the strongest, then a random sample of the rest by quarter, strongest first.
        histogram: counts ``[bin]`` of the values above zero, and edges ``[bin + 1]``, from the
            first to the last bin that holds something.
        promoted, suppressed: tokens and what one unit of it adds to their logits, directly.
        partners: (latent, phi, Jaccard, contexts together).
        neighbours: (latent, cosine of what they write).
    """

    index: int
    label: str
    density: float
    density_rows: float
    largest: float
    mean: float
    deviation: float
    kurtosis: float
    examples: tuple[Example, ...]
    histogram: tuple[np.ndarray, np.ndarray]
    promoted: Weighed
    suppressed: Weighed
    partners: tuple[tuple[int, float, float, int], ...]
    neighbours: tuple[tuple[int, float], ...]

    def __repr__(self) -> str:
        head = f"latent {self.index}" + (f" ({self.label})" if self.label else "")
        words = ", ".join(repr(token) for token, _ in self.promoted[:5])
        lines = [f"{head}: density {self.density:.3g}, largest {self.largest:.3g}"]
        lines += [f"  promotes {words}"] if words else []
        return "\n".join([*lines, *(f"  {each!r}" for each in self.examples[:5])])


def quarters(values: np.ndarray) -> list[str]:
    """The band of each of some sampled values, ``"q4"`` the strongest quarter of them.

    >>> quarters(np.array([1.0, 4.0, 2.0, 3.0]))
    ['q1', 'q4', 'q2', 'q3']
    """
    rank = np.empty(len(values), int)
    rank[np.argsort(values, kind="stable")] = np.arange(len(values))
    return [f"q{1 + 4 * int(each) // len(values)}" for each in rank]
