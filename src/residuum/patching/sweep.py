"""A sweep: effects of one kind of edit over a grid of sites, heads and positions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from residuum.core import OptionError, Provenance
from residuum.core.paths import file_to_write
from residuum.runs import whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap


@dataclass(frozen=True)
class Effect:
    """One cell of a sweep.

    Attributes:
        at: address of the cell.
        effect: mean effect in the metric's unit, signed towards clean.
        recovered_frac: the same as a share of the distance from corrupt to clean.
        interval: 95 % bootstrap interval of the mean effect.
    """

    at: str
    effect: float
    recovered_frac: float
    interval: tuple[float, float]


@dataclass(frozen=True, repr=False)
class Sweep:
    """Effects of patching each cell of a grid.

    Shows: how far the answer moves towards clean when this cell alone takes its clean value.
    Does not show: that the cell is necessary (backups may exist), nor that it acts by itself.

    Attributes:
        site: site name that was patched.
        effects: mean effects in the metric's unit, dims as asked for in ``by``.
        per_example: the same with a last dim ``example``.
        recovered_frac: effects over (clean - corrupt); NaN only where the two are equal. Where
            they hardly differ it is large and unreliable, and ``warnings`` says so.
        clean, corrupt: the metric on the unpatched prompts, ``[example]``.
        metric, unit: of the effects.
        engine: ``"forked"`` or ``"naive"``: how it was computed.
        passes: forward-pass equivalents that were made.
        passes_saved: forward passes that one pass a cell would have taken beyond that.
        warnings: what a reader must know before quoting a number.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> sweep = rz.patch(model, rz.task("ioi", model, n=2), "mlp_out", by=("layer",))
    >>> print(str(sweep).splitlines()[0])
    Sweep(mlp_out by layer 4, logit_diff in logits, naive, 6.0 passes
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

    def __repr__(self) -> str:
        dims = " × ".join(f"{dim} {size}" for dim, size in self.effects.sizes.items())
        top = ", ".join(f"{cell.at} {cell.effect:+.3g}" for cell in self.top(3))
        return (
            f"Sweep({self.site} by {dims}, {self.metric} in {self.unit}, {self.engine}, "
            f"{self.passes:.1f} passes\n  top: {top})"
        )

    def address(self, cell: dict[str, Any]) -> str:
        """The address of a cell given its coordinates."""
        part = f"[H{cell['head']}]" if "head" in cell else ""
        pos = f"@{cell['pos']}" if "pos" in cell else ""
        return f"L{cell['layer']}.{self.site}{part}{pos}"

    def top(self, n: int = 5) -> list[Effect]:
        """The cells with the largest absolute effects, largest first.

        Raises:
            OptionError: ``n`` is no whole number from 0.
        """
        whole_number(n, "n", 0)
        from residuum.runs import bootstrap_mean_interval

        flat = self.effects.values.ravel()
        order = np.argsort(-np.abs(np.nan_to_num(flat)), kind="stable")[:n]
        found = []
        for index in order:
            where = np.unravel_index(index, self.effects.shape)
            names = [str(dim) for dim in self.effects.dims]
            cell = {
                name: int(self.effects.coords[name].values[i])
                for name, i in zip(names, where, strict=True)
            }
            values = [float(v) for v in self.per_example.values[where]]
            found.append(
                Effect(
                    at=self.address(cell),
                    effect=float(flat[index]),
                    recovered_frac=float(self.recovered_frac.values[where]),
                    interval=bootstrap_mean_interval(values, seed=0),
                )
            )
        return found

    def figure(self, title: str = "", labels: list[str] | None = None) -> HeatMap:
        """The grid as a heat map: first dim down, second across; colours centred at zero.

        Args:
            labels: texts for the second axis, such as the tokens of a prompt.
        """
        from residuum.figures import HeatMap

        dims = [str(dim) for dim in self.effects.dims]
        values = self.effects.values.reshape(self.effects.shape[0], -1)
        columns = labels or [str(c) for c in self._columns(dims)]
        return HeatMap(
            values,
            row_labels=[f"{dims[0][0].upper()}{c}" for c in self.effects.coords[dims[0]].values],
            col_labels=columns,
            x=" × ".join(dims[1:]) or self.site,
            y=dims[0],
            unit=self.unit,
            title=title or f"Patching {self.site}: clean into corrupt",
            caption="Mean change of the metric, towards clean, when this cell alone takes its "
            f"value from the clean prompt ({len(self.clean)} pairs).",
            does_not_show="that the cell is necessary: backups may exist.",
        )

    def _columns(self, dims: list[str]) -> list[Any]:
        if len(dims) == 1:
            return [self.site]
        if len(dims) == 2:
            prefix = "H" if dims[1] == "head" else ""
            return [f"{prefix}{c}" for c in self.effects.coords[dims[1]].values]
        first, second = (self.effects.coords[d].values for d in dims[1:3])
        return [f"{a}@{b}" for a in first for b in second]

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each cell: coordinates, effect, recovered_frac."""
        table = xr.Dataset({"effect": self.effects, "recovered_frac": self.recovered_frac})
        return table.to_dataframe().reset_index()

    def to_json(self) -> dict[str, Any]:
        """Plain data, NaN as None."""
        return {
            "site": self.site,
            "metric": self.metric,
            "unit": self.unit,
            "dims": [str(dim) for dim in self.effects.dims],
            "effects": _plain(self.effects.values),
            "recovered_frac": _plain(self.recovered_frac.values),
            "per_example": _plain(self.per_example.values),
            "clean": self.clean.tolist(),
            "corrupt": self.corrupt.tolist(),
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
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        path = file_to_write(path)
        if path.suffix == ".json":
            path.write_text(json.dumps(self.to_json(), indent=1))
        elif path.suffix == ".csv":
            self.to_dataframe().to_csv(path, index=False)
        elif path.suffix in (".html", ".svg", ".png"):
            self.figure().save(path)
        else:
            raise OptionError(
                f"cannot save a sweep as {path.suffix or 'a file without suffix'!r}",
                mend="use .json, .csv, .html, .svg or .png",
            )


def _plain(values: np.ndarray) -> Any:
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()
