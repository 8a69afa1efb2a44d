"""The result of knocking components out: alone, together, and random ones in their place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import Provenance
from residuum.core.saving import save_result
from residuum.patching.results.kinds import short_address
from residuum.patching.results.statistics import counted
from residuum.runs import bootstrap_mean_interval
from residuum.runs.arguments import need_text

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines


@dataclass(frozen=True, repr=False)
class Knockout:
    """Effects of knocking components out of the clean prompts, signed towards clean.

    Shows: whether the answer needs them, alone and together. Does not show: what they do, or which
    others stand in for them.

    Attributes:
        cells: addresses, in the order of removal.
        singles: effect of each alone, ``[cell example]``.
        joint: effect of the first one, two, … together, ``[cell example]``.
        random_sets: addresses of each random set, as large as ``cells``.
        random_joint: effect of each random set together, ``[set example]``.
        layers_matched: whether the random sets have as many in each layer as ``cells``.
        clean, corrupt: the metric on the prompts as they are, ``[example]``.
        kind: what was written in the components' place.
        warnings: what a reader must know before quoting a number.
    """

    cells: tuple[str, ...]
    singles: np.ndarray
    joint: np.ndarray
    random_sets: tuple[tuple[str, ...], ...]
    random_joint: np.ndarray
    clean: np.ndarray
    corrupt: np.ndarray
    metric: str
    unit: str
    kind: str
    provenance: Provenance
    clusters: tuple[str, ...] = ()
    layers_matched: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def together(self) -> float:
        """Mean effect of all of them together."""
        return float(self.joint[-1].mean())

    @property
    def summed(self) -> float:
        """Sum of the mean effects of each alone."""
        return float(self.singles.mean(axis=1).sum())

    @property
    def backup(self) -> float:
        """How much more they cost together than one by one, in the metric's unit.

        Positive: others stand in for one that is missing. Negative: they overlap, or each alone
        already breaks the answer.
        """
        return self.summed - self.together

    @property
    def backup_interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of :attr:`backup`, by template."""
        return self._interval(self.singles.sum(axis=0) - self.joint[-1])

    @property
    def control(self) -> float:
        """Mean absolute effect of the random sets; NaN without any."""
        if not len(self.random_joint):
            return float("nan")
        return float(np.abs(self.random_joint.mean(axis=1)).mean())

    @property
    def control_range(self) -> tuple[float, float, float]:
        """Lowest, mean and highest effect of the random sets, signed; NaN without any."""
        if not len(self.random_joint):
            return float("nan"), float("nan"), float("nan")
        each = self.random_joint.mean(axis=1)
        return float(each.min()), float(each.mean()), float(each.max())

    @property
    def rank(self) -> int:
        """How many random sets cost at least as much as the chosen components together."""
        return int((self.random_joint.mean(axis=1) <= self.together).sum())

    @property
    def p(self) -> float:
        """Share of sets, the chosen one among them, that cost at least as much; NaN without any.

        It cannot fall below 1 / (random sets + 1).
        """
        return (self.rank + 1) / (len(self.random_sets) + 1) if self.random_sets else float("nan")

    def __repr__(self) -> str:
        return (
            f"Knockout({', '.join(self.cells)}: {self.together:+.3g} {self.unit} together, "
            f"{self.summed:+.3g} summed one by one; random sets ±{self.control:.2g}, "
            f"p {self.p:.2g}; {self.kind})"
        )

    def _interval(self, values: np.ndarray) -> tuple[float, float]:
        labels = self.clusters if len(set(self.clusters)) > 1 else None
        return bootstrap_mean_interval(values.tolist(), clusters=labels)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each component: alone, together with those before it, with 95 % intervals."""
        import pandas as pd

        rows = []
        for cell, alone, joint in zip(self.cells, self.singles, self.joint, strict=True):
            low, high = self._interval(alone)
            joint_low, joint_high = self._interval(joint)
            rows.append(
                {
                    "cell": cell,
                    "alone": float(alone.mean()),
                    "alone_low": low,
                    "alone_high": high,
                    "together": float(joint.mean()),
                    "together_low": joint_low,
                    "together_high": joint_high,
                }
            )
        return pd.DataFrame(rows)

    def figure(self, title: str = "") -> Lines:
        """What is lost against the number of components, together and summed one by one.

        Random sets have one size, that of all components: their mean and range go straight across.

        Raises:
            OptionError: a title that is no text.
        """
        from residuum.figures import Guide, Lines, Series

        need_text(title, "title")
        ends = [self._interval(values) for values in self.joint]
        band = np.array(ends).T if np.isfinite(ends).all() else (None, None)
        count = len(self.cells)
        series = [
            Series("together", self.joint.mean(axis=1), *band),
            Series("sum of each alone", np.cumsum(self.singles.mean(axis=1))),
        ]
        if self.random_sets:
            low, mean, high = (np.full(count, end) for end in self.control_range)
            series.append(Series(f"{self._drawn()} of {count}", mean, low, high))
        return Lines(
            range(1, count + 1),
            series,
            x_labels=self._ticks(),
            x="knocked out, each with those before it",
            y="effect",
            unit=self.unit,
            guides=[Guide(y=0.0)],
            title=title or f"Knocking out {counted(count, 'component')} ({self.kind})",
            caption=self._caption(band[0] is not None),
            does_not_show="what the components do, or which others stand in for them.",
        )

    def _drawn(self) -> str:
        return counted(len(self.random_sets), "random set")

    def _ticks(self) -> list[str]:
        """The components as ticks, without their site: it is the same for all."""
        short = [short_address(cell) for cell in self.cells]
        return [short[0], *(f"+{name}" for name in short[1:])]

    def _caption(self, banded: bool) -> str:
        """What the lines and bands are."""
        parts = [
            f"Mean change of {self.metric}, towards clean, over "
            f"{counted(len(self.clean), 'pair')}; in order: {', '.join(self.cells)}. Below zero "
            "(dashed): lost."
        ]
        if banded:
            by = "template" if len(set(self.clusters)) > 1 else "pair"
            parts.append(f"Band of together: 95 % bootstrap interval of the mean, by {by}.")
        if self.random_sets:
            low, mean, high = self.control_range
            where = "the same layers" if self.layers_matched else "any layers"
            parts.append(
                f"{self._drawn()} of {counted(len(self.cells), 'other')} from {where}: mean "
                f"{mean:+.2g} {self.unit}, the band from the lowest {low:+.2g} to the highest "
                f"{high:+.2g}; p {self.p:.2g}."
            )
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "cells": list(self.cells),
            "singles": self.singles.tolist(),
            "joint": self.joint.tolist(),
            "random_sets": [list(each) for each in self.random_sets],
            "random_joint": self.random_joint.tolist(),
            "clean": self.clean.tolist(),
            "corrupt": self.corrupt.tolist(),
            "metric": self.metric,
            "unit": self.unit,
            "kind": self.kind,
            "clusters": list(self.clusters),
            "layers_matched": self.layers_matched,
            "warnings": list(self.warnings),
            "together": self.together,
            "summed": self.summed,
            "backup": self.backup,
            "backup_interval": list(self.backup_interval),
            "control": None if np.isnan(self.control) else self.control,
            "p": None if np.isnan(self.p) else self.p,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write the result as JSON, its table as CSV, or its figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, a file in a folder that does not exist or cannot be
                written to.
        """
        save_result(self, path, "a knockout")
