"""The result of path patching: effects of every sender on every receiver."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from residuum.core import Address, OptionError, Provenance
from residuum.core.saving import save_result
from residuum.patching.paths.nodes import exchanged_at
from residuum.patching.results.statistics import (
    ClusterBy,
    SweepStatistics,
    arguments_key,
    plain,
    statistics_of,
)
from residuum.runs import whole_number
from residuum.runs.arguments import need_text

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap


@dataclass(frozen=True)
class PathEffect:
    """One path of a table.

    Attributes:
        sender, receiver: addresses of its ends.
        effect: mean effect in the metric's unit, signed towards clean.
        recovered_frac: the same as a share of the distance from corrupt to clean.
        interval: 95 % bootstrap interval of the mean effect, clustered by template.
        p: joint sign-flip p over all possible paths of the table.
        verdict: ``"shown"``, ``"not shown"`` or ``"undecided"``, see :meth:`PathTable.statistics`.
    """

    sender: str
    receiver: str
    effect: float
    recovered_frac: float
    interval: tuple[float, float]
    p: float
    verdict: str


@dataclass(frozen=True, repr=False, eq=False)
class PathTable:
    """Effects of exchanging what each sender sends to each receiver by the direct path.

    Shows: how far the answer moves when the receiver alone reads the change, everything between
    being held. Does not show: effects through other parts (name them in ``via``), nor that the
    path is needed.

    Attributes:
        effects: ``[sender receiver]`` in the metric's unit, coordinates are addresses; NaN where
            the sender does not lie before the receiver.
        per_example: the same with a last dim ``example``.
        recovered_frac: ``[sender receiver]``: effects over (clean - corrupt); 0 at corrupt, 1 at
            clean.
        clean, corrupt: the metric on the unpatched prompts, ``[example]``.
        metric, unit: of the effects.
        clusters: template of each pair, by which :meth:`statistics` groups them.
        via: components that may pass the change on.
        direction: ``"denoise"`` or ``"noise"``.
        engine: ``"forked"`` or ``"naive"``: how it was computed.
        passes: forward-pass equivalents that were made.
        passes_saved: forward passes that the naive engine would have taken beyond that.
        noise: effects at or below this in every example count as zero in :meth:`statistics`: 8
            units of the last place of the largest metric value.
        warnings: what a reader must know before quoting a number.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> table = rz.path_patch(model, rz.task("ioi", model, n=4), "embed", ["L0.v_in", "logits"])
    >>> table.effects.dims, table.effects.shape
    (('sender', 'receiver'), (1, 9))
    """

    effects: xr.DataArray
    per_example: xr.DataArray
    recovered_frac: xr.DataArray
    clean: np.ndarray
    corrupt: np.ndarray
    metric: str
    unit: str
    provenance: Provenance
    clusters: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    direction: str = "denoise"
    engine: str = "naive"
    passes: float = 0.0
    passes_saved: float = 0.0
    noise: float = 0.0
    warnings: tuple[str, ...] = ()
    _known: dict[Any, SweepStatistics] = field(default_factory=dict, init=False)

    def __repr__(self) -> str:
        senders, receivers = self.effects.shape
        found = [(*self._ends(at), self.effects.values[at]) for at in self._order(3)]
        top = ", ".join(f"{sender} → {receiver} {value:+.3g}" for sender, receiver, value in found)
        return (
            f"PathTable({senders} senders × {receivers} receivers, {self.metric} in {self.unit}, "
            f"{self.engine}, {self.passes:.1f} passes\n  top: {top})"
        )

    def effect(self, sender: str | Address, receiver: str | Address) -> float:
        """One effect; heads under any of their names (``L0.z[H1]``, ``L0.head_out[H1]``).

        Raises:
            OptionError: no such pair in the table.
        """
        at = self._index("sender", sender), self._index("receiver", receiver)
        return float(self.effects.values[at])

    def _index(self, dim: str, name: str | Address) -> int:
        names = [str(each) for each in self.effects.coords[dim].values]
        if str(name) in names:
            return names.index(str(name))
        if " + " not in str(name):
            wanted = exchanged_at(Address.parse(name))
            alike = [i for i, n in enumerate(names) if " + " not in n and _node(n) == wanted]
            if alike:
                return alike[0]
        raise OptionError(f"no {dim} {name} in this table", mend=f"it has: {', '.join(names[:12])}")

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
        """Interval, joint p and verdict of every path; computed once for each set of arguments.

        Arguments and result as of :meth:`residuum.patching.results.sweep.Sweep.statistics`.

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
                noise=self.noise,
            )
        return self._known[key]

    def top(self, n: int = 5) -> list[PathEffect]:
        """The paths with the largest absolute effects, largest first; impossible ones never.

        Raises:
            OptionError: ``n`` is no whole number from 0.
        """
        whole_number(n, "n", 0)
        sure = self.statistics()
        return [
            PathEffect(
                *self._ends(at),
                effect=float(self.effects.values[at]),
                recovered_frac=float(self.recovered_frac.values[at]),
                interval=(float(sure.low.values[at]), float(sure.high.values[at])),
                p=float(sure.p.values[at]),
                verdict=str(sure.verdict.values[at]),
            )
            for at in self._order(n)
        ]

    def _order(self, n: int) -> list[tuple[int, int]]:
        """Indices of the ``n`` largest absolute effects; impossible cells are none."""
        flat = np.abs(self.effects.values.ravel())
        order = np.argsort(-flat, kind="stable")[:n]  # NaN goes last
        columns = self.effects.shape[1]
        return [(int(i) // columns, int(i) % columns) for i in order if not np.isnan(flat[i])]

    def _ends(self, at: tuple[int, int]) -> tuple[str, str]:
        sender, receiver = (self.effects.coords[dim].values for dim in ("sender", "receiver"))
        return str(sender[at[0]]), str(receiver[at[1]])

    def figure(self, title: str = "", *, whole: bool = False) -> HeatMap:
        """Senders down, receivers across; colours centred at zero, impossible cells grey.

        Of more than 50 senders or 40 receivers those with the largest effects are drawn, so that
        each has its label; the caption says so. Where a few effects dwarf the rest the colours end
        below them, and the caption names them.

        Args:
            title: of the figure, by default what was done.
            whole: draw every sender and receiver, even where not every label has room.

        Raises:
            OptionError: a title that is no text.
        """
        from residuum.patching.results.path_figure import path_map

        need_text(title, "title")
        return path_map(self, title, whole=whole)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each possible path: ends, effect, recovered_frac, low, high, p, verdict."""
        sure = self.statistics()
        columns = {
            "effect": self.effects,
            "recovered_frac": self.recovered_frac,
            "low": sure.low,
            "high": sure.high,
            "p": sure.p,
            "verdict": sure.verdict,
        }
        table = xr.Dataset(columns).to_dataframe(dim_order=["sender", "receiver"]).reset_index()
        return table.dropna(subset="effect", ignore_index=True)

    def to_json(self) -> dict[str, Any]:
        """Plain data, NaN as None."""
        return {
            "kind": "path_table",
            "dims": [str(dim) for dim in self.effects.dims],
            "senders": [str(name) for name in self.effects.coords["sender"].values],
            "receivers": [str(name) for name in self.effects.coords["receiver"].values],
            "via": list(self.via),
            "direction": self.direction,
            "metric": self.metric,
            "unit": self.unit,
            "effects": plain(self.effects.values),
            "recovered_frac": plain(self.recovered_frac.values),
            "per_example": plain(self.per_example.values),
            "clean": self.clean.tolist(),
            "corrupt": self.corrupt.tolist(),
            "clusters": list(self.clusters),
            "statistics": self.statistics().to_json(),
            "engine": self.engine,
            "passes": self.passes,
            "passes_saved": self.passes_saved,
            "warnings": list(self.warnings),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, its paths as CSV, or its figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, a file in a folder that does not exist or cannot be
                written to.
        """
        save_result(self, path, "a table of paths")


def _node(name: str) -> Address:
    return exchanged_at(Address.parse(name))
