"""A trace of facts: what restoring one state regains of the answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.facts.fact import Fact
from residuum.runs import bootstrap_mean_intervals

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Panel

KINDS = ("resid", "attn", "mlp")
MEASURES = ("prob", "logit")
ROLES = (
    "subject, first", "subject, middle", "subject, last", "next token", "further",
    "last token",
)  # fmt: skip
_NAMES = {"resid": "the stream", "attn": "attention's output", "mlp": "the MLP's output"}


@dataclass(frozen=True, eq=False, repr=False)
class FactTrace:
    """Effects of restoring one state of the clean run in a run with a corrupted subject.

    Shows: from which states alone the answer can be regained. Does not show: that the fact is
    stored there, or that an edit works best there (Hase et al. 2023, "Does Localization Inform
    Editing?").

    Attributes:
        facts: those traced.
        per_fact: restored minus corrupt, dims ``kind layer role fact``, in the measure's unit; NaN
            where a prompt has no such position. Positions before the subject are left out: in a
            causal model they are the same in both runs.
        clean, corrupt: the measure ``[fact]`` on clean prompts, and after the corruption.
        measure: ``prob`` or ``logit``.
        window: layers restored together, of ``attn`` and ``mlp``.
        corruption: how the subject was corrupted.
    """

    facts: tuple[Fact, ...]
    per_fact: xr.DataArray
    clean: np.ndarray
    corrupt: np.ndarray
    measure: str
    window: int
    corruption: str
    provenance: Provenance

    @property
    def effects(self) -> xr.DataArray:
        """Means over the facts that have the position, dims ``kind layer role``."""
        return self.per_fact.mean("fact", skipna=True)

    @cached_property
    def intervals(self) -> xr.DataArray:
        """95 % bootstrap intervals, dims ``end kind layer role``, drawn by subject."""
        subjects = np.array([fact.subject for fact in self.facts])
        ends = np.full((2, *self.effects.shape), np.nan)
        for role in range(self.effects.sizes["role"]):
            values = self.per_fact.values[:, :, role]
            have = np.isfinite(values[0, 0])
            low, high = bootstrap_mean_intervals(
                values[..., have], seed=self.provenance.seed or 0, clusters=subjects[have].tolist()
            )
            ends[0, :, :, role], ends[1, :, :, role] = low, high
        coords = {name: self.per_fact.coords[name] for name in ("kind", "layer", "role")}
        return xr.DataArray(ends, dims=("end", "kind", "layer", "role"), coords=coords)

    @property
    def layer(self) -> int:
        """The layer whose MLP regains most at the subject's last token; where to edit.

        Raises:
            OptionError: MLPs were not traced.
        """
        if "mlp" not in self.effects.coords["kind"].values:
            raise OptionError("this trace has no MLPs", mend="trace kinds=('mlp',) too")
        return int(np.argmax(self.effects.sel(kind="mlp", role="subject, last").values))

    def __repr__(self) -> str:
        lines = []
        for kind in self.effects.coords["kind"].values:
            cells = self.effects.sel(kind=kind)
            where = np.unravel_index(int(np.nanargmax(cells.values)), cells.shape)
            best = cells[where]
            lines.append(
                f"{kind}: {float(best):+.3f} at L{int(best.coords['layer'])}, "
                f"{best.coords['role'].item()}"
            )
        ends = f"{self.clean.mean():.3f} clean, {self.corrupt.mean():.3f} corrupt"
        return (
            f"FactTrace({len(self.facts)} facts, {self.measure} {ends}, {self.corruption}\n  "
            + "\n  ".join(lines)
            + ")"
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a cell: ``kind, layer, role, effect, low, high``."""
        import pandas as pd

        effects, ends = self.effects, self.intervals
        rows = [
            {
                "kind": kind, "layer": layer, "role": role,
                "effect": float(effects.sel(kind=kind, layer=layer, role=role)),
                "low": float(ends.sel(kind=kind, layer=layer, role=role)[0]),
                "high": float(ends.sel(kind=kind, layer=layer, role=role)[1]),
            }
            for kind in effects.coords["kind"].values
            for layer in effects.coords["layer"].values.tolist()
            for role in effects.coords["role"].values
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "facts": [asdict(each) for each in self.facts],
            "cells": self.to_dataframe().to_dict("records"),
            "clean": self.clean.tolist(),
            "corrupt": self.corrupt.tolist(),
            "measure": self.measure,
            "window": self.window,
            "corruption": self.corruption,
            "provenance": self.provenance.to_json(),
        }

    def figure(self, title: str = "Where the fact is recalled") -> Panel:
        """A heat map of each kind, layers down and positions across."""
        from residuum.figures import HeatMap, Panel

        effects = self.effects
        roles = [str(each) for each in effects.coords["role"].values]
        high = float(np.nanmax(np.abs(effects.values)))
        unit = "probability" if self.measure == "prob" else "logits"
        maps = [
            HeatMap(
                effects.sel(kind=kind).values,
                row_labels=[f"L{layer}" for layer in effects.coords["layer"].values],
                col_labels=roles,
                x="position",
                y="layer",
                unit=f"{unit} regained",
                limits=(-high, high),
                title=f"Restoring {_NAMES[str(kind)]}",
            )
            for kind in effects.coords["kind"].values
        ]
        caption = (
            f"{len(self.facts)} facts, subject corrupted by {self.corruption}: {unit} of the "
            f"answer {self.clean.mean():.3f} before, {self.corrupt.mean():.3f} after."
        )
        return Panel(
            maps,
            columns=len(maps),
            thumbnails=False,
            title=title,
            caption=caption,
            does_not_show="that the fact is stored there.",
        )

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv``, ``.html``, ``.svg`` or ``.png``."""
        save_result(self, path, "a trace of facts")

    def _repr_html_(self) -> str | None:
        return html_of(self)
