"""How a dictionary compares with known features: the record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines

_FIGURES = ("mcc", "f1", "f1_any", "explained_variance", "l0", "shrinkage")


@dataclass(frozen=True)
class Measured:
    """A figure and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, eq=False, repr=False)
class GroundTruth:
    """A dictionary against known features.

    Shows: whether features that are known to be there were found, on samples of the same world.
    Does not show: that a dictionary trained on a model's activations finds what is there; those
    have features that are neither independent nor known.

    Attributes:
        name: of the dictionary.
        mcc: mean cosine of the features with their latents' decoder rows.
        f1: mean over the features, each at its best threshold of other samples.
        f1_any: the same, with every value above zero read as "active".
        explained_variance: about the mean, of held-out samples.
        l0: active latents in a sample.
        shrinkage: what the reconstructions are too short by, as a share.
        dead_share: latents active in none of the samples.
        cosines: ``[feature]``.
        f1_of: ``[feature]``; NaN where no judged sample has the feature.
        latent_of: ``[feature]`` the matched latent; -1 for none.
        matching: ``"hungarian"``; with more than 4,096 features and latents ``"mutual_nearest"``.
        frequencies: ``[feature]`` share of samples that have the feature.
        world: plain data: the generator's.
        level: of the intervals.
        provenance: strategy and seed.
    """

    name: str
    mcc: Measured
    f1: Measured
    f1_any: Measured
    explained_variance: Measured
    l0: Measured
    shrinkage: Measured
    dead_share: float
    cosines: np.ndarray
    f1_of: np.ndarray
    latent_of: np.ndarray
    matching: str
    frequencies: np.ndarray
    world: dict[str, Any]
    level: float
    provenance: Provenance

    def __repr__(self) -> str:
        return (
            f"GroundTruth({self.name}: MCC {self.mcc}, F1 {self.f1}, "
            f"explained variance {self.explained_variance}, L0 {self.l0}"
            + ("" if self.matching == "hungarian" else f"; paired by {self.matching}")
            + ")"
        )

    def found_share(self, cosine: float = 0.9) -> float:
        """The share of features whose latent has at least this cosine with them."""
        return float((self.cosines >= cosine).mean())

    def row(self) -> dict[str, float]:
        """The figures as one row of a table; intervals as ``_low`` and ``_high``."""
        found: dict[str, float] = {}
        for name in _FIGURES:
            each: Measured = getattr(self, name)
            found |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
        return {**found, "dead_share": self.dead_share, "found_share": self.found_share()}

    def to_dataframe(self) -> pd.DataFrame:
        """One row a feature: ``feature, frequency, latent, cosine, f1``."""
        import pandas as pd

        return pd.DataFrame(
            {
                "feature": range(len(self.cosines)), "frequency": self.frequencies,
                "latent": self.latent_of, "cosine": self.cosines, "f1": self.f1_of,
            }
        )  # fmt: skip

    def figure(self, title: str = "") -> Lines:
        """Cosine and F1 of every feature, from the most to the least frequent."""
        from residuum.figures import Lines, Series

        return Lines(
            list(range(1, len(self.cosines) + 1)),
            [Series("cosine", self.cosines), Series("F1", self.f1_of)],
            x="feature, by falling frequency",
            y="agreement",
            x_scale="log",
            title=title or f"{self.name} against known features",
            caption=f"MCC {self.mcc}, F1 {self.f1} ({self.level:.0%} intervals over features).",
            does_not_show="what is found in a model, whose features are not known.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            **{name: asdict(getattr(self, name)) for name in _FIGURES},
            "dead_share": self.dead_share,
            "cosines": self.cosines.tolist(),
            "f1_of": [None if np.isnan(each) else float(each) for each in self.f1_of],
            "latent_of": self.latent_of.tolist(),
            "matching": self.matching,
            "frequencies": self.frequencies.tolist(),
            "world": self.world,
            "level": self.level,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write plain data (``.json``), the table (``.csv``) or the figure (HTML, SVG, PNG).

        Raises:
            OptionError: another suffix.
            StoreError: it cannot be written.
        """
        save_result(self, path, "a comparison with known features")
