"""What one pass over text showed of every unit at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.dictionaries.reading.accumulator import Accumulator
from residuum.dictionaries.reading.counts import EDGES
from residuum.dictionaries.reading.feature_page import write_page
from residuum.dictionaries.reading.latent_reading import Example, LatentReading, Weighed, quarters
from residuum.dictionaries.reading.reading_file import write_reading
from residuum.dictionaries.reading.reading_tables import example_table, unit_table
from residuum.dictionaries.record.dictionary_checks import check_labels
from residuum.figures import Bars
from residuum.runs.arguments import shown

if TYPE_CHECKING:
    import pandas as pd

PARTNERS, EFFECTS = 8, 10
"""Partners and neighbours, and tokens promoted and suppressed, that are kept of each unit."""
_SHOWS_NOT = (
    "what the model uses a unit for: examples and effects on logits are no causal test. Text of "
    "another kind may show other examples, and a unit with one clear top may be mixed below it."
)


@dataclass(frozen=True, eq=False, repr=False)
class FeatureReading:
    """Examples, counts, effects and company of every unit, from one pass over text.

    Shows: where units are active on this text and how strongly, what they write, which go together.
    Does not show: what the model uses a unit for: examples and effects on logits are no causal
    test. Text of another kind may show other examples, and a unit with one clear top may be mixed
    below it.

    Attributes:
        name: of the units, in words.
        basis_hash: of all that decides the units' numbers.
        counted: all that the pass gathered.
        tokens: id -> text, of the tokens that occur in examples and effects.
        effects: as of :func:`logit_effects`; empty where the units do not write to the stream.
        near: as of :func:`neighbours`.
        labels: unit -> words.
        texts: hashes of the texts read; left_out: tokens left out, by reason.
        provenance: of the model.
    """

    name: str
    basis_hash: str
    counted: Accumulator
    tokens: Mapping[int, str]
    effects: Mapping[str, np.ndarray]
    near: Mapping[str, np.ndarray]
    labels: Mapping[int, str]
    texts: tuple[str, ...]
    left_out: Mapping[str, int]
    provenance: Provenance
    noun: str = field(default="latent")

    def __post_init__(self) -> None:
        check_labels(self.labels, self.n_latents)

    # -- all units ---------------------------------------------------------------------------

    @property
    def n_latents(self) -> int:
        """How many units."""
        return self.counted.n_latents

    @property
    def n_tokens(self) -> int:
        """Tokens read, without those left out."""
        return int(self.counted.counts.tokens[0])

    @property
    def n_rows(self) -> int:
        """Rows of text read."""
        return int(self.counted.counts.rows[0])

    @property
    def density(self) -> np.ndarray:
        """``[latent]`` share of tokens at which each is above zero."""
        return self.counted.counts.active / max(self.n_tokens, 1)

    @property
    def largest(self) -> np.ndarray:
        """``[latent]`` the largest value of each; 0 where it is never active."""
        return self.counted.counts.largest

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and kurtosis ``[latent]`` over all tokens."""
        return self.counted.counts.moments()

    @property
    def kurtosis(self) -> np.ndarray:
        """``[latent]`` over all tokens; 3 for a Gaussian."""
        return self.moments[2]

    @cached_property
    def partners(self) -> Mapping[str, np.ndarray]:
        """As of :meth:`Company.partners`."""
        return self.counted.company.partners(PARTNERS)

    # -- one unit ----------------------------------------------------------------------------

    def __getitem__(self, index: int) -> LatentReading:
        return self.latent(index)

    def latent(self, index: int) -> LatentReading:
        """One unit in words.

        Raises:
            OptionError: there is none of this number.
        """
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise OptionError(
                f"index={shown(index)} is no number of a {self.noun}", mend="give a whole number"
            )
        if not 0 <= index < self.n_latents:
            raise OptionError(
                f"no {self.noun} {index}", mend=f"they go from 0 to {self.n_latents - 1}"
            )
        i, counts = int(index), self.counted.counts
        mean, deviation, kurtosis = (float(each[i]) for each in self.moments)
        return LatentReading(
            index=i,
            label=self.labels.get(i, ""),
            density=float(self.density[i]),
            density_rows=int(counts.active_rows[i]) / max(self.n_rows, 1),
            largest=float(self.largest[i]),
            mean=mean,
            deviation=deviation,
            kurtosis=kurtosis,
            examples=self.examples(i),
            histogram=self.histogram(i),
            promoted=self._weighed(i, "up"),
            suppressed=self._weighed(i, "down"),
            partners=self._partners(i),
            neighbours=self._neighbours(i),
        )

    def examples(self, index: int) -> tuple[Example, ...]:
        """The strongest examples of a unit, then its sample by quarter; no context twice."""
        found = [self._example("top", index, place, "top") for place in self._held("top", index)]
        seen = {each.key for each in found}
        held = self._held("sample", index)
        values = self.counted.sample.values[index, held]
        bands, order = quarters(values), np.argsort(values, kind="stable")[::-1]
        rest = [self._example("sample", index, held[j], bands[j]) for j in order]
        return (*found, *(each for each in rest if each.key not in seen))

    def histogram(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts ``[bin]`` and edges ``[bin + 1]`` of the bins that hold something."""
        counts = self.counted.counts.histogram[:, index]
        edges = np.concatenate([[0.0], EDGES, [np.inf]])
        filled = np.flatnonzero(counts)
        if not len(filled):
            return counts[:0], edges[:0]
        first, last = int(filled[0]), int(filled[-1])
        return counts[first : last + 1], edges[first : last + 2]

    def _held(self, shelf: str, index: int) -> list[int]:
        return np.flatnonzero(np.isfinite(getattr(self.counted, shelf).order[index])).tolist()

    def _example(self, shelf: str, index: int, place: int, band: str) -> Example:
        held = getattr(self.counted, shelf)
        ids, values = held.ids[index, place], held.around[index, place]
        inside = np.flatnonzero(ids >= 0)
        words = tuple(self.tokens[i] for i in ids[inside])
        at = int(np.searchsorted(inside, self.counted.sizes.before))
        key = int(held.keys[index, place])
        return Example(
            words, tuple(ids[inside].tolist()), tuple(values[inside].tolist()), at, band, key,
            int(held.documents[index, place]), int(held.positions[index, place]),
        )  # fmt: skip

    def _weighed(self, index: int, way: str) -> Weighed:
        if not self.effects:
            return ()
        ids, values = self.effects[way][index], self.effects[f"{way}_values"][index]
        return tuple((self.tokens[i], float(v)) for i, v in zip(ids, values, strict=True))

    def _partners(self, index: int) -> tuple[tuple[int, float, float, int], ...]:
        columns = [self.partners[name][index] for name in ("latents", "phi", "jaccard", "together")]
        rows = zip(*columns, strict=True)
        return tuple((int(i), float(p), float(j), int(n)) for i, p, j, n in rows if i >= 0)

    def _neighbours(self, index: int) -> tuple[tuple[int, float], ...]:
        pairs = zip(self.near["latents"][index], self.near["cosines"][index], strict=True)
        return tuple((int(i), float(c)) for i, c in pairs if i >= 0)

    # -- results -----------------------------------------------------------------------------

    def with_labels(self, labels: Mapping[int, str]) -> FeatureReading:
        """The same with labels added; ones that it had for these units are replaced.

        Raises:
            OptionError: no mapping from its units to words.
        """
        check_labels(labels, self.n_latents)
        return replace(self, labels={**self.labels, **labels})

    def __repr__(self) -> str:
        dead = float((self.counted.counts.active == 0).mean())
        return (
            f"FeatureReading({self.n_latents} {self.name}, {self.n_tokens} tokens; "
            f"{dead:.1%} never active)"
        )

    def to_dataframe(self, by: str = "unit") -> pd.DataFrame:
        """A row for each unit: ``latent, label, density, density_rows, largest, mean, deviation,
        kurtosis, top_tokens, promoted, suppressed``.

        Args:
            by: ``"example"``: a row for each example instead: ``latent, band, activation, token,
                document, position, text``, as of :class:`Example`.

        Raises:
            OptionError: another ``by``.
        """
        if by not in ("unit", "example"):
            raise OptionError(f"by={shown(by)} is not known", mend='use "unit" or "example"')
        return unit_table(self) if by == "unit" else example_table(self)

    def top_tokens(self, index: int, k: int = 5) -> list[str]:
        """The tokens of its strongest examples, the most frequent first."""
        held = self.counted.top
        filled = np.isfinite(held.order[index])
        ids = held.ids[index, filled, self.counted.sizes.before]
        found, first, count = np.unique(ids, return_index=True, return_counts=True)
        return [self.tokens[int(found[i])] for i in np.lexsort((first, -count))[:k]]

    def figure(self, index: int | None = None) -> Bars:
        """How many units have which density; or of one unit, how many tokens which activation."""
        if index is None:
            return _density_bars(self)
        counts, edges = self.latent(index).histogram
        if not len(counts):
            counts, edges = np.zeros(1, int), np.array([0.0, 0.0])
        return Bars(
            [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)],
            counts.astype(float), x="tokens", order="given",
            title=f"Activations of {self.noun} {index}", does_not_show=_SHOWS_NOT,
        )  # fmt: skip

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def page(self, path: str | Path, *, title: str = "", most_mb: float = 24.0) -> Path:
        """Write one self-contained offline HTML file with every unit.

        Args:
            title: of the page.
            most_mb: megabytes at most; where there are many units, fewer examples of each are
                written (the strongest and the quarters alike), and the page says how many.

        Returns:
            The path.

        Raises:
            OptionError: no room, even for one example of each unit and band.
            StoreError: it cannot be written.
        """
        return write_page(self, path, title, most_mb)

    def save(self, folder: str | Path) -> None:
        """Write ``reading.safetensors`` and ``reading.json`` into a folder.

        Raises:
            StoreError: it cannot be written to, or holds a dictionary or a harvest.
        """
        write_reading(self, folder)


def _density_bars(reading: FeatureReading) -> Bars:
    density = reading.density
    decades = [(10.0**e, 10.0 ** (e + 1)) for e in range(-6, 0)]
    names = ["never", *(f"{low:g} to {high:g}" for low, high in decades)]
    inside = [(density >= low) & (density < high) for low, high in decades]
    inside[-1] |= density >= decades[-1][1]
    inside[0] |= (density > 0) & (density < decades[0][0])
    counts = [int((density == 0).sum()), *(int(each.sum()) for each in inside)]
    return Bars(
        names, [float(each) for each in counts], x=f"{reading.noun}s", order="given",
        title=f"How often {reading.name} are active, share of tokens",
        does_not_show=_SHOWS_NOT,
    )  # fmt: skip
