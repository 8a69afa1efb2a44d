"""A sweep: effects of one kind of edit over a grid of sites, heads and positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from residuum.core import OptionError, Provenance
from residuum.core.saving import save_result
from residuum.patching.results.kinds import KINDS, Kind, cell_address, coordinates
from residuum.patching.results.statistics import (
    ClusterBy,
    SweepStatistics,
    arguments_key,
    plain,
    statistics_of,
)
from residuum.runs import whole_number
from residuum.runs.arguments import shown

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap, Panel

_EPSILONS = 8
"""Rounding of a metric, in units of the last place of its largest value."""


@dataclass(frozen=True)
class Effect:
    """One cell of a sweep.

    Attributes:
        at: address of the cell.
        effect: mean effect in the metric's unit, signed towards clean.
        recovered_frac: the same as a share of the distance from corrupt to clean.
        interval: 95 % bootstrap interval of the mean effect, clustered by template.
        p: joint sign-flip p over all cells of the sweep.
        verdict: ``"shown"``, ``"not shown"`` or ``"undecided"``, see :meth:`Sweep.statistics`.
        control: effect of this cell's random controls, see :class:`Sweep`; NaN without.
    """

    at: str
    effect: float
    recovered_frac: float
    interval: tuple[float, float]
    p: float = float("nan")
    verdict: str = ""
    control: float = float("nan")


@dataclass(frozen=True, repr=False, eq=False)
class Sweep:
    """Effects of writing into each cell of a grid, one cell at a time.

    Shows: how far the answer moves when this cell alone is changed: towards clean when it takes its
    clean value (denoising), away from it when it loses its own (noising, ablations). Does not show:
    that the cell is necessary (backups may exist), nor that it acts by itself.

    Attributes:
        site: site name that was written.
        effects: mean effects in the metric's unit, signed towards clean, dims as asked for in
            ``by``; NaN in impossible cells (keys after the query).
        per_example: the same with a last dim ``example``.
        recovered_frac: effects over (clean - corrupt), 0 at corrupt and 1 at clean; NaN only where
            the two are equal. Where they hardly differ it is large and unreliable, and
            ``warnings`` says so.
        clean, corrupt: the metric on the unpatched prompts, ``[example]``.
        metric, unit: of the effects.
        engine: ``"forked"`` or ``"naive"``: how it was computed.
        passes: forward-pass equivalents that were made.
        passes_saved: forward passes that one pass a cell would have taken beyond that.
        warnings: what a reader must know before quoting a number.
        clusters: template of each example, by which :meth:`statistics` groups them; or none.
        kind: what was written: ``denoise``, ``noise``, ``zero``, ``mean``, ``resample`` or
            ``direction``. For the last four the effect is the metric after minus before on the
            clean prompts, signed towards clean: a drop is negative.
        control: mean absolute effects of random controls of the same size, dims as ``effects``;
            or None.
        approximation: method and measured error, where the effects are not exact; or None.

    Raises:
        OptionError: an unknown kind; labels or controls that do not fit the effects.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> sweep = rz.patch(model, rz.task("ioi", model, n=2), "mlp_out", by=("layer",))
    >>> print(str(sweep).splitlines()[0])
    Sweep(mlp_out by layer 4, denoise, logit_diff in logits, naive, 6.0 passes
    >>> sweep.provenance.strategy
    "patch(mlp_out, by=('layer',), denoise, logit_diff, naive)"
    """

    site: str
    effects: xr.DataArray
    per_example: xr.DataArray
    recovered_frac: xr.DataArray
    clean: np.ndarray
    corrupt: np.ndarray
    metric: str
    unit: str
    provenance: Provenance
    engine: str = "naive"
    passes: float = 0.0
    passes_saved: float = 0.0
    warnings: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    kind: str = "denoise"
    control: xr.DataArray | None = None
    approximation: Any = None
    _known: dict[Any, SweepStatistics] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"unknown kind {shown(self.kind)}", mend=f"use {', '.join(KINDS)}")
        if len(self.clusters) not in (0, len(self.clean)):
            raise OptionError(
                f"{len(self.clusters)} cluster labels for {len(self.clean)} examples",
                mend="give one label for each example, or none",
            )
        if self.control is not None and self.control.sizes != self.effects.sizes:
            raise OptionError(
                f"the control has dims {dict(self.control.sizes)}, the effects "
                f"{dict(self.effects.sizes)}",
                mend="give one control for each cell",
            )

    def __repr__(self) -> str:
        dims = " × ".join(f"{dim} {size}" for dim, size in self.effects.sizes.items())
        values = self.effects.values
        top = ", ".join(f"{self.address(self._cell(i))} {values[i]:+.3g}" for i in self._order(3))
        lines = [
            f"Sweep({self.site} by {dims}, {self.kind}, {self.metric} in {self.unit}, "
            f"{self.engine}, {self.passes:.1f} passes",
            f"  top: {top}",
        ]
        if self.control is not None:
            lines.append(f"  largest control: {_largest(self.control):.3g}")
        if self.approximation is not None:
            lines.append(f"  approximation: {self.approximation}")
        return "\n".join(lines) + ")"

    @property
    def words(self) -> Kind:
        """What was written, in words."""
        return KINDS[self.kind]

    def address(self, cell: dict[str, Any]) -> str:
        """The address of a cell given its coordinates; plain text where an address cannot say it.

        A pattern's cell reads ``L1.pattern[H2] 5<-2``: what position 5 takes from position 2.
        """
        return cell_address(self.site, cell)

    def statistics(
        self,
        cluster: ClusterBy = "template",
        *,
        level: float = 0.95,
        alpha: float = 0.05,
        flips: int = 10_000,
        resamples: int = 2000,
        seed: int = 0,
    ) -> SweepStatistics:
        """Interval, joint p and verdict of every cell; computed once for each set of arguments.

        Args:
            cluster: ``"template"`` takes all pairs of a template as one unit, ``"example"`` each
                pair by itself; with one template or none it is each pair, and a warning says so.
            level: of each interval.
            alpha: bound on the probability of showing any cell that is truly zero.
            flips: sign patterns to draw where all of them would be more.
            resamples: of the bootstrap.
            seed: of both.

        Returns:
            See :class:`residuum.patching.results.statistics.SweepStatistics`. Cells whose effects
            stay within rounding (8 units of the last place of the largest metric value, in the
            model's dtype) count as zero.

        Raises:
            OptionError: an option out of range.
        """
        key = arguments_key(
            cluster, level=level, alpha=alpha, flips=flips, resamples=resamples, seed=seed
        )
        if key not in self._known:
            self._known[key] = statistics_of(
                self.per_example,
                self.clusters,
                cluster=cluster,
                level=level,
                alpha=alpha,
                flips=flips,
                resamples=resamples,
                seed=seed,
                noise=self._rounding(),
            )
        return self._known[key]

    def _rounding(self) -> float:
        """What the model's own arithmetic may move the metric by."""
        steps = {"float64": 2.0**-52, "bfloat16": 2.0**-7, "float16": 2.0**-10}
        step = steps.get(self.provenance.dtype.removeprefix("torch."), 2.0**-23)
        return _EPSILONS * step * float(np.abs(np.r_[self.clean, self.corrupt]).max(initial=0.0))

    def _order(self, n: int) -> list[tuple[int, ...]]:
        """Indices of the ``n`` largest absolute effects; impossible cells are none."""
        flat = np.abs(self.effects.values.ravel())
        order = np.argsort(-flat, kind="stable")[:n]  # NaN goes last
        shape = self.effects.shape
        return [
            tuple(int(i) for i in np.unravel_index(at, shape))
            for at in order
            if not np.isnan(flat[at])
        ]

    def _cell(self, index: tuple[int, ...]) -> dict[str, Any]:
        """Dim -> coordinate of the cell at an index."""
        return {
            str(dim): coordinates(self.effects, str(dim))[i]
            for dim, i in zip(self.effects.dims, index, strict=True)
        }

    def top(self, n: int = 5) -> list[Effect]:
        """The cells with the largest absolute effects, largest first; impossible ones never.

        Raises:
            OptionError: ``n`` is no whole number from 0.
        """
        whole_number(n, "n", 0)
        sure = self.statistics()
        return [
            Effect(
                at=self.address(self._cell(at)),
                effect=float(self.effects.values[at]),
                recovered_frac=float(self.recovered_frac.values[at]),
                interval=(float(sure.low.values[at]), float(sure.high.values[at])),
                p=float(sure.p.values[at]),
                verdict=str(sure.verdict.values[at]),
                control=float("nan" if self.control is None else self.control.values[at]),
            )
            for at in self._order(n)
        ]

    def figure(self, title: str = "", labels: Sequence[str] | None = None) -> HeatMap | Panel:
        """The grid as heat maps, colours centred at zero, impossible cells grey.

        One or two axes: first down, second across. Three: positions (or the last axis) across, the
        others down, as ``L0H1``. Queries by keys: one small map for each head or layer. Neurons:
        the strongest of each row, with their numbers in the cells.

        Args:
            labels: texts for the positions (else for the columns), such as a prompt's tokens.

        Raises:
            OptionError: labels that are no texts, or not one for each column.
        """
        from residuum.patching.results.figure import figure_of

        return figure_of(self, title, labels)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each cell: coordinates, effect, recovered_frac, low, high, p, verdict.

        A last column ``control`` where there is one.
        """
        sure = self.statistics()
        columns = {
            "effect": self.effects,
            "recovered_frac": self.recovered_frac,
            "low": sure.low,
            "high": sure.high,
            "p": sure.p,
            "verdict": sure.verdict,
        }
        if self.control is not None:
            columns["control"] = self.control
        return xr.Dataset(columns).to_dataframe(dim_order=list(self.effects.dims)).reset_index()

    def to_json(self) -> dict[str, Any]:
        """Plain data, NaN as None."""
        return {
            "site": self.site,
            "kind": self.kind,
            "metric": self.metric,
            "unit": self.unit,
            "dims": [str(dim) for dim in self.effects.dims],
            "coords": {str(dim): coordinates(self.effects, str(dim)) for dim in self.effects.dims},
            "effects": plain(self.effects.values),
            "recovered_frac": plain(self.recovered_frac.values),
            "per_example": plain(self.per_example.values),
            "clean": self.clean.tolist(),
            "corrupt": self.corrupt.tolist(),
            "clusters": list(self.clusters),
            "statistics": self.statistics().to_json(),
            "control": None if self.control is None else plain(self.control.values),
            "approximation": None if self.approximation is None else self.approximation.to_json(),
            "engine": self.engine,
            "passes": self.passes,
            "passes_saved": self.passes_saved,
            "warnings": list(self.warnings),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write the sweep as JSON, its table as CSV, or its figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, a file in a folder that does not exist or cannot be
                written to.
        """
        save_result(self, path, "a sweep")


def _largest(values: xr.DataArray) -> float:
    """The largest absolute value; 0 where there is none."""
    return float(np.nanmax(np.abs(values.values), initial=0.0))
