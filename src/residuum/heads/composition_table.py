"""Composition scores of all pairs of heads as a record, beside their random baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.runs import shown, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap


@dataclass(frozen=True)
class ComposedPair:
    """One pair of heads.

    Attributes:
        writer, reader: such as ``L0H2``.
        score: between 0 and 1.
        excess: score minus the mean of the random baseline.
        baseline: 2.5 %, mean and 97.5 % of the random baseline of this pair.
        p: (1 + draws at or above the score) / (1 + draws), of this pair alone.
    """

    writer: str
    reader: str
    score: float
    excess: float
    baseline: tuple[float, float, float]
    p: float


@dataclass(frozen=True, eq=False, repr=False)
class Composition:
    """Composition scores of all pairs of heads, an earlier writer and a later reader.

    Shows: how strongly one head's output would enter the other's queries, keys or values, compared
    with random matrices. Does not show: that it does on any prompt: for that, path-patch the edge.

    Attributes:
        kind: ``"Q"``, ``"K"`` or ``"V"``.
        effects: scores ``[writer reader]`` with labels ``L0H0`` …; NaN where the reader does not
            come after the writer.
        mean, low, high: of the random baseline, same shape: mean, 2.5 % and 97.5 %.
        p: one-sided, of each pair alone, not corrected for the number of pairs.
        null: ``"spectrum"`` or ``"gaussian"``.
        draws: random draws.
    """

    kind: str
    effects: xr.DataArray
    mean: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray
    p: xr.DataArray
    null: str
    draws: int
    folded: bool
    provenance: Provenance

    def __repr__(self) -> str:
        best = ", ".join(f"{e.writer}→{e.reader} {e.score:.3f}" for e in self.top(3))
        return (
            f"Composition({self.kind}, {self.effects.sizes['writer']} heads, baseline "
            f"{float(np.nanmean(self.mean.values)):.3f}\n  top: {best})"
        )

    def pair(self, writer: str, reader: str) -> ComposedPair:
        """One pair by its labels.

        Raises:
            OptionError: no such head, or a reader that does not come after the writer.
        """
        labels = [str(each) for each in self.effects.coords["writer"].values]
        for label in (writer, reader):
            if label not in labels:
                raise OptionError(
                    f"no head {shown(label)}", mend=f"labels go from {labels[0]} to {labels[-1]}"
                )
        at = (labels.index(writer), labels.index(reader))
        if np.isnan(self.effects.values[at]):
            raise OptionError(
                f"{reader} does not come after {writer}", mend="name an earlier writer first"
            )
        return self._pair(at)

    def _pair(self, at: tuple[int, int]) -> ComposedPair:
        labels = [str(each) for each in self.effects.coords["writer"].values]
        score, mean = float(self.effects.values[at]), float(self.mean.values[at])
        ends = (float(self.low.values[at]), mean, float(self.high.values[at]))
        return ComposedPair(
            labels[at[0]], labels[at[1]], score, score - mean, ends, float(self.p.values[at])
        )

    def top(self, n: int = 10) -> tuple[ComposedPair, ...]:
        """The pairs furthest above their baseline, largest first.

        Raises:
            OptionError: ``n`` is no whole number from 0.
        """
        whole_number(n, "n", 0)
        excess = (self.effects - self.mean).values
        order = np.argsort(-excess.ravel(), kind="stable")[:n]  # NaN goes last
        places = [np.unravel_index(int(at), excess.shape) for at in order]
        return tuple(
            self._pair((int(i), int(j))) for i, j in places if not np.isnan(excess[int(i), int(j)])
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self, title: str = "") -> HeatMap:
        """Score minus baseline as a heat map, writers down, readers across."""
        from residuum.figures import HeatMap

        possible = ~np.isnan(self.effects.values)
        written, read = np.any(possible, axis=1).tolist(), np.any(possible, axis=0).tolist()
        labels = [str(each) for each in self.effects.coords["writer"].values]
        folded = "norm gains folded in" if self.folded else "norms left out"
        return HeatMap(
            (self.effects - self.mean).values[written][:, read],
            row_labels=[label for label, keep in zip(labels, written, strict=True) if keep],
            col_labels=[label for label, keep in zip(labels, read, strict=True) if keep],
            x=f"reader ({self.kind})",
            y="writer",
            unit="above random",
            title=title or f"{self.kind}-composition",
            caption=(
                f"Score minus the mean of {self.draws} random draws ({self.null}); {folded}. "
                f"The baseline is {float(np.nanmean(self.mean.values)):.3f} on average."
            ),
            does_not_show="That the path is used on any prompt: path-patch it.",
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each possible pair: writer, reader, score, baseline and its ends, p."""
        columns = {
            "score": self.effects,
            "baseline": self.mean,
            "low": self.low,
            "high": self.high,
            "p": self.p,
        }
        frame = xr.Dataset(columns).to_dataframe(dim_order=["writer", "reader"])
        return frame.dropna().reset_index()

    def to_json(self) -> dict[str, Any]:
        """Plain data, impossible pairs as None."""
        grids = {"effects": self.effects, "mean": self.mean, "low": self.low, "high": self.high}
        return {
            "kind": self.kind,
            "null": self.null,
            "draws": self.draws,
            "folded": self.folded,
            "labels": [str(each) for each in self.effects.coords["writer"].values],
            **{name: _plain(grid.values) for name, grid in (grids | {"p": self.p}).items()},
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, or a folder that does not exist.
        """
        save_result(self, path)


def _plain(values: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(v) else float(v) for v in row] for row in values]
