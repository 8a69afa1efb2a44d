"""How far dictionaries agree: the record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.judging.evaluation_result import plain
from residuum.dictionaries.judging.ground_truth_result import Measured
from residuum.dictionaries.judging.latent_effects import LatentEffects

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines


@dataclass(frozen=True, eq=False, repr=False)
class Stability:
    """How many latents other trainings find again, and whether those matter more.

    Shows: which latents do not depend on the seed, against chance of like geometry; what removing
    them costs beside others of like activity. Does not show: that a latent found again is the
    model's own unit, since trainings share their biases; nor that one found once is none.

    Attributes:
        sites: read and written.
        n_latents: of each dictionary.
        matching: how latents were paired: ``"hungarian"``, or ``"mutual_nearest"`` where both
            dictionaries of a pair have more than 4,096; both where they differ in that.
        threshold: least cosine.
        found_share: mean share of the latents of one dictionary that another has (encoders and
            decoders agree on the partner, and the mean of their cosines reaches the threshold);
            the interval is over latents, those found in one another drawn together.
        found_share_alive: the same of latents that are active in the text; None without a text.
        alone_share, alone_null: by ``encoder`` and by ``decoder`` alone: the share whose partner
            reaches the threshold, and the mean, least and most over all drawings of both nulls.
        share_of_pair: ``[dictionary dictionary]``: of the row's latents, those the column has.
        null_rotated, null_permuted: mean share with the second dictionary turned as a whole, and
            with its coordinates dealt out anew; ``low`` and ``high`` are the least and the most.
        found: of each dictionary, ``[latent]`` share of the others that have it.
        effects: of each dictionary, activity and effect of its latents; empty without a text.
        matters: effect (nats of cross-entropy for a token in which it is taken out) of latents
            found in all others less that of those found in none: ``all`` as they are,
            ``frequency`` in pairs of like frequency, ``activity`` in pairs of like frequency and
            strength (each within a factor of 1.41).
        matters_n: latents found in none (``all``), or pairs, behind each.
        matters_families: latents found in all others behind each, where those found in one another
            count as one; below about 20 the intervals are too narrow.
        curves: ``found``, ``rotated``, ``permuted``: mean of encoder and decoder cosine (each
            with its own partner) at each percent of the latents, falling.
        level: of the intervals.
        provenance: model, strategy, seed.
    """

    sites: tuple[str, ...]
    n_latents: tuple[int, ...]
    matching: tuple[str, ...]
    threshold: float
    found_share: Measured
    found_share_alive: Measured | None
    alone_share: dict[str, Measured]
    alone_null: dict[str, Measured]
    share_of_pair: np.ndarray
    null_rotated: Measured
    null_permuted: Measured
    found: tuple[np.ndarray, ...]
    effects: tuple[LatentEffects, ...]
    matters: dict[str, Measured]
    matters_n: dict[str, int]
    matters_families: dict[str, int]
    curves: dict[str, np.ndarray]
    level: float
    provenance: Provenance

    def __repr__(self) -> str:
        text = (
            f"Stability({len(self.n_latents)} dictionaries of {', '.join(self.sites)}: found again "
            f"{self.found_share}, by chance {self.null_permuted}"
        )
        if self.matching != ("hungarian",):
            text += f"; paired by {' and '.join(self.matching)}"
        if self.matters:
            text += f"; matter more by {self.matters['activity']} nats at like activity"
        return text + ")"

    @property
    def pair_range(self) -> tuple[float, float]:
        """The least and the greatest share of a pair: the noise over seeds."""
        return float(np.nanmin(self.share_of_pair)), float(np.nanmax(self.share_of_pair))

    def to_dataframe(self) -> pd.DataFrame:
        """One row a latent: ``dictionary, latent, found``; with a text its activity and effect."""
        import pandas as pd

        frames = []
        for number, found in enumerate(self.found):
            rows: dict[str, Any] = {
                "dictionary": number, "latent": range(len(found)), "found": found,
            }  # fmt: skip
            if self.effects:
                own = self.effects[number]
                rows |= {
                    "frequency": own.frequency, "strength": own.strength,
                    "effect_nats": own.effect_nats,
                }  # fmt: skip
            frames.append(pd.DataFrame(rows))
        return pd.concat(frames, ignore_index=True)

    def figure(self, title: str = "") -> Lines:
        """Cosine of matched latents, from the surest on, beside both nulls."""
        from residuum.figures import Lines, Series
        from residuum.figures.lines import Guide

        labels = {
            "found": "other training", "rotated": "turned at random",
            "permuted": "coordinates dealt out anew",
        }  # fmt: skip
        return Lines(
            list(range(101)),
            [Series(labels[name], curve) for name, curve in self.curves.items()],
            x="latents, the surest first",
            y="mean cosine of encoder and decoder",
            unit="",
            guides=[Guide(self.threshold, "threshold")],
            title=title or f"Latents of {', '.join(self.sites)} found again",
            caption=f"Found again: {self.found_share} of the latents (pairs "
            f"{self.pair_range[0]:.3f} to {self.pair_range[1]:.3f}), by chance "
            f"{self.null_permuted.value:.3f}. X in percent of the latents. Paired by "
            f"{' and '.join(self.matching)}.",
            does_not_show="that a latent found again is the model's own unit.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN is null."""
        alive = self.found_share_alive
        return {
            "sites": list(self.sites),
            "n_latents": list(self.n_latents),
            "matching": list(self.matching),
            "threshold": self.threshold,
            "found_share": plain(self.found_share),
            "found_share_alive": None if alive is None else plain(alive),
            "alone_share": {name: plain(each) for name, each in self.alone_share.items()},
            "alone_null": {name: plain(each) for name, each in self.alone_null.items()},
            "share_of_pair": _listed(self.share_of_pair),
            "null_rotated": plain(self.null_rotated),
            "null_permuted": plain(self.null_permuted),
            "found": [each.tolist() for each in self.found],
            "effects": [
                {
                    "frequency": each.frequency.tolist(),
                    "strength": each.strength.tolist(),
                    "effect_nats": _listed(each.effect_nats),
                }
                for each in self.effects
            ],
            "matters": {name: plain(each) for name, each in self.matters.items()},
            "matters_n": self.matters_n,
            "matters_families": self.matters_families,
            "curves": {name: curve.tolist() for name, curve in self.curves.items()},
            "level": self.level,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write plain data (``.json``), the table (``.csv``) or the figure (HTML, SVG, PNG).

        Raises:
            OptionError: another suffix.
            StoreError: it cannot be written.
        """
        save_result(self, path, "a stability report")


def _listed(values: np.ndarray) -> list[Any]:
    return np.where(np.isnan(values), np.array(None), values.astype(object)).tolist()
