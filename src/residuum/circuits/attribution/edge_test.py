"""The result of testing a graph's edges: predicted beside measured changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

_DRAWS = 1000


@dataclass(frozen=True)
class EdgeAgreement:
    """How well predicted changes match measured ones, over pairs of source and target.

    Attributes:
        pairs: how many.
        spearman: rank correlation of predicted (all paths) with measured; NaN below three pairs.
        low, high: its 95 % interval, sources drawn again.
        spearman_direct: the same of the edges alone, without paths through other features.
        same_sign: share of pairs with the same sign.
        error: sum of absolute differences over the sum of absolute measured changes; 0 is perfect,
            1 as good as predicting no change.
        null_mean, null_high: rank correlation of the same predictions with what random latents did:
            mean and 95th percentile over the draws; NaN without draws.
        p_value: (b + 1) / (draws + 1), b draws at or above ``spearman``; NaN without draws.
    """

    pairs: int
    spearman: float
    low: float
    high: float
    spearman_direct: float
    same_sign: float
    error: float
    null_mean: float
    null_high: float
    p_value: float


@dataclass(frozen=True, eq=False, repr=False)
class EdgeTest:
    """Features changed in the real model, against what the graph predicts.

    Shows: whether the graph's weights foretell what these features do when nothing is frozen, and
    better than for random latents pushed as far. Does not show: that edges of other features, or
    much larger changes, hold; attention that moves is not in the graph, and counts against it here.

    Attributes:
        sources: features that were changed, by name.
        targets: later features, and the logits.
        logits: ``[target]`` which targets are logits.
        reached: ``[source target]`` pairs that count: a later layer, the same token or after it.
        direct, predicted, measured: ``[source target]`` changes: by the edge alone; by all paths;
            in the model. Pre-activations of features, centred logits.
        null: ``[draw source target]`` measured with a random latent in each source's place.
        times: what activations were multiplied by.
        seed: of the null and the intervals.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    logits: Bool[np.ndarray, " target"]
    reached: Bool[np.ndarray, "source target"]
    direct: Float[np.ndarray, "source target"]
    predicted: Float[np.ndarray, "source target"]
    measured: Float[np.ndarray, "source target"]
    null: Float[np.ndarray, "draw source target"]
    times: float
    seed: int
    provenance: Provenance

    @cached_property
    def of_features(self) -> EdgeAgreement:
        """Agreement on later features."""
        return self._agreement(self.reached & ~self.logits)

    @cached_property
    def of_logits(self) -> EdgeAgreement:
        """Agreement on the logits."""
        return self._agreement(self.reached & self.logits)

    def _agreement(self, pairs: np.ndarray) -> EdgeAgreement:
        predicted, measured = self.predicted[pairs], self.measured[pairs]
        found = spearman(predicted, measured)
        null = np.array([spearman(predicted, each[pairs]) for each in self.null])
        known = len(null) > 0 and not np.isnan(null).any()
        low, high = self._interval(pairs)
        size = np.abs(measured).sum()
        return EdgeAgreement(
            pairs=int(pairs.sum()),
            spearman=found,
            low=low,
            high=high,
            spearman_direct=spearman(self.direct[pairs], measured),
            same_sign=float((np.sign(predicted) == np.sign(measured)).mean())
            if len(measured)
            else np.nan,
            error=float(np.abs(predicted - measured).sum() / size) if size > 0 else np.nan,
            null_mean=float(null.mean()) if known else np.nan,
            null_high=float(np.quantile(null, 0.95)) if known else np.nan,
            p_value=float(((null >= found).sum() + 1) / (len(null) + 1)) if known else np.nan,
        )

    def _interval(self, pairs: np.ndarray) -> tuple[float, float]:
        """95 % of the rank correlation, sources drawn again."""
        drawn, n = np.random.default_rng(self.seed), len(self.sources)
        found = []
        for _ in range(_DRAWS):
            rows = drawn.integers(n, size=n)
            own = pairs[rows]
            found.append(spearman(self.predicted[rows][own], self.measured[rows][own]))
        good = np.array(found)[~np.isnan(found)]
        if len(good) < _DRAWS // 2:
            return np.nan, np.nan
        low, high = np.quantile(good, [0.025, 0.975])
        return float(low), float(high)

    def __repr__(self) -> str:
        lines = [f"EdgeTest({len(self.sources)} features times {self.times:g}, nothing frozen)"]
        for name, own in (("features", self.of_features), ("logits", self.of_logits)):
            lines.append(
                f"  {name}: rank correlation {own.spearman:.2f} [{own.low:.2f}, {own.high:.2f}] "
                f"over {own.pairs} pairs (edges alone {own.spearman_direct:.2f}), same sign "
                f"{own.same_sign:.0%}, error {own.error:.2f}; random latents {own.null_mean:.2f}, "
                f"p = {own.p_value:.3g}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each pair."""
        import pandas as pd

        rows, columns = np.nonzero(self.reached)
        values = {name: getattr(self, name)[rows, columns] for name in _VALUES}
        ends = {
            "source": [self.sources[i] for i in rows],
            "target": [self.targets[j] for j in columns],
        }
        return pd.DataFrame({**ends, **values})

    def figure(self) -> Bars:
        """Rank correlations with their intervals, beside those of random latents."""
        from residuum.figures import Bars

        names, values, lo, hi = [], [], [], []
        for name, own in (("features", self.of_features), ("logits", self.of_logits)):
            names += [name, f"{name}, edges alone", f"{name}, random latents"]
            values += [own.spearman, own.spearman_direct, own.null_mean]
            lo += [own.low, np.nan, np.nan]
            hi += [own.high, np.nan, own.null_high]
        return Bars(
            names, np.array(values), lo=np.array(lo), hi=np.array(hi), order="given",
            x="rank correlation of predicted with measured changes",
            title=f"{len(self.sources)} features times {self.times:g}, nothing frozen",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain data; of the null, its agreement alone."""
        matrices = {name: getattr(self, name).tolist() for name in (*_VALUES, "reached")}
        agreement = {
            name: {key: None if np.isnan(value) else value for key, value in vars(own).items()}
            for name, own in (("of_features", self.of_features), ("of_logits", self.of_logits))
        }
        return {
            "sources": list(self.sources), "targets": list(self.targets),
            "logits": self.logits.tolist(), **matrices, **agreement, "times": self.times,
            "seed": self.seed, "draws": len(self.null), "provenance": self.provenance.to_json(),
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write as ``.json``, ``.csv``, ``.html``, ``.svg`` or ``.png``.

        Raises:
            OptionError, StoreError: another suffix; no place to write to.
        """
        save_result(self, path, "an edge test")


_VALUES = ("direct", "predicted", "measured")


def spearman(a: Float[np.ndarray, " pair"], b: Float[np.ndarray, " pair"]) -> float:
    """Rank correlation; NaN for fewer than three pairs, or where one side does not vary.

    >>> spearman(np.array([1.0, 2.0, 2.0, 9.0]), np.array([0.0, 5.0, 5.0, 6.0]))
    1.0
    """
    if len(a) < 3:
        return float("nan")
    first, second = _ranks(a), _ranks(b)
    if not first.std() or not second.std():
        return float("nan")
    return round(float(np.corrcoef(first, second)[0, 1]), 12)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
