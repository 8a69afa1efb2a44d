"""Latents beside neurons, the stream's own dimensions and random directions, in one table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import OptionError
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.reading.feature_reading import FeatureReading
from residuum.figures import Bars

if TYPE_CHECKING:
    import pandas as pd

Spread = tuple[float, float, float]
"""Median over units, and the 10th and 90th hundredth."""


@dataclass(frozen=True)
class UnitFigures:
    """What the units of one kind are like.

    Attributes:
        name: of the kind; units: how many; tokens: read.
        dead: share never above zero on this text. The rest is over the others.
        density: share of tokens at which a unit is above zero.
        kurtosis: of a unit's values over tokens; 3 for a Gaussian.
        kurtosis_across: of a token's values over units, mean over tokens; in a basis that the model
            does not single out it is that of random directions.
        token_count: how many tokens a unit's strongest examples stand on, as the exponential of
            their entropy: 1 is one token always; at most the number of examples.
    """

    name: str
    units: int
    tokens: int
    dead: float
    density: Spread
    kurtosis: Spread
    kurtosis_across: float
    token_count: Spread


@dataclass(frozen=True, eq=False, repr=False)
class FeatureComparison:
    """A row of figures for each kind of unit.

    Shows: how peaked, how rare and how much of one token units are, on the same text. Does not
    show: meaning beyond the token: a unit for a topic stands on many tokens and counts as mixed.
    The spread is over units, not over draws of the text.

    Attributes:
        rows: one for each reading, in order.
    """

    rows: tuple[UnitFigures, ...]

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each; spreads in three columns, ``NAME``, ``NAME_p10``, ``NAME_p90``."""
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.rows])

    def figure(self) -> Bars:
        """Median kurtosis over tokens, with the 10th and 90th hundredth of the units."""
        values, low, high = zip(*(row.kurtosis for row in self.rows), strict=True)
        return Bars(
            [row.name for row in self.rows], values, lo=low, hi=high, order="given",
            x="kurtosis over tokens (3 for a Gaussian)", title="How peaked units are",
            does_not_show="What the units mean. The bars span units, not draws of the text.",
        )  # fmt: skip

    def __repr__(self) -> str:
        return self.to_dataframe().round(3).to_string(index=False)

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"rows": [asdict(row) for row in self.rows]}

    def save(self, path: str | Path) -> None:
        """Write it as ``.json``, ``.csv``, or its figure as ``.html``, ``.svg``, ``.png``.

        Raises:
            OptionError: another suffix.
            StoreError: it cannot be written.
        """
        save_result(self, path, "a comparison")


def compare_features(*readings: FeatureReading) -> FeatureComparison:
    """Put readings of different units on the same text side by side.

    Args:
        readings: of one model and one text.

    Returns:
        A table with density, kurtosis over tokens and across units, and tokens of the strongest
        examples.

    Raises:
        OptionError: no readings, or of different models or texts.

    Shows and does not show: as of :class:`FeatureComparison`.

    Source: kurtosis across units after Elhage et al. 2023, "Privileged Bases in the Transformer
    Residual Stream".
    """
    if not readings or not all(isinstance(each, FeatureReading) for each in readings):
        raise OptionError("nothing to compare", mend="give readings: compare_features(a, b, ...)")
    if len({(each.provenance.weight_hash, each.texts) for each in readings}) > 1:
        raise OptionError(
            "the readings are of different models or texts",
            mend="read all units with one model on one text",
        )
    return FeatureComparison(tuple(map(_figures, readings)))


def _figures(reading: FeatureReading) -> UnitFigures:
    counts = reading.counted.counts
    alive = counts.active > 0
    return UnitFigures(
        name=reading.name, units=reading.n_latents, tokens=reading.n_tokens,
        dead=float((~alive).mean()), density=_spread(reading.density[alive]),
        kurtosis=_spread(reading.kurtosis[alive]), kurtosis_across=counts.kurtosis_across(),
        token_count=_spread(token_counts(reading)[alive]),
    )  # fmt: skip


def token_counts(reading: FeatureReading) -> np.ndarray:
    """``[latent]`` exponential of the entropy of the tokens of the strongest examples."""
    top, at = reading.counted.top, reading.counted.sizes.before
    filled = np.isfinite(top.order)
    out = np.full(reading.n_latents, np.nan)
    for index in np.flatnonzero(filled.any(1)):
        _, counts = np.unique(top.ids[index, filled[index], at], return_counts=True)
        share = counts / counts.sum()
        out[index] = np.exp(-(share * np.log(share)).sum())
    return out


def _spread(values: np.ndarray) -> Spread:
    finite = values[np.isfinite(values)]
    if not len(finite):
        nan = float("nan")
        return nan, nan, nan
    middle, low, high = np.quantile(finite, [0.5, 0.1, 0.9])
    return float(middle), float(low), float(high)


def _flat(row: UnitFigures) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in asdict(row).items():
        if isinstance(value, tuple):
            out.update(zip((name, f"{name}_p10", f"{name}_p90"), value, strict=True))
        else:
            out[name] = value
    return out
