"""From an engine's outcome to a sweep: signs, shares, warnings, provenance."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from residuum.patching.results.statistics import denominator_warnings, sample_warnings
from residuum.patching.results.sweep import Sweep
from residuum.runs import Metric, Model, Task
from residuum.runs.sweeping.grid import Grid
from residuum.runs.sweeping.outcome import Outcome


def sweep_of(
    model: Model,
    task: Task,
    grid: Grid,
    outcome: Outcome,
    metric: Metric,
    *,
    kind: str,
    clean: np.ndarray,
    corrupt: np.ndarray,
    strategy: str,
    seed: int | None = None,
    draws: int = 0,
    **more: Any,
) -> Sweep:
    """The sweep: effects of writing each cell, signed towards clean.

    Args:
        kind: what was written.
        clean, corrupt: the metric on the unpatched prompts, ``[example]``.
        draws: how often the whole sweep was made again as a control.
        more: further fields of the sweep.
    """
    sign = 1.0 if metric.larger_is_better else -1.0
    distance = float(sign * (clean.mean() - corrupt.mean()))
    per_example = on_grid(grid, sign * (outcome.values - outcome.base), "example")
    effects = per_example.mean("example", skipna=False)
    fraction = effects / distance if distance else effects * np.nan
    cells = sum(1 for _ in grid.cells())
    return Sweep(
        site=grid.site,
        effects=effects,
        per_example=per_example,
        recovered_frac=fraction if kind == "denoise" else 1 + fraction,
        clean=clean,
        corrupt=corrupt,
        metric=metric.name,
        unit=metric.unit,
        provenance=model.provenance(task_hash=task.task_hash, strategy=strategy, seed=seed),
        engine=outcome.engine,
        passes=outcome.passes,
        passes_saved=(1 + draws) * (cells + 2) - outcome.passes,
        warnings=_warnings(outcome, clean, corrupt, task),
        clusters=tuple(task.templates),
        kind=kind,
        **more,
    )


def on_grid(grid: Grid, values: np.ndarray, *last: str) -> xr.DataArray:
    """Values ``[...grid ...last]`` with the grid's axes."""
    coords = {axis: np.array(at) for axis, at in zip(grid.by, grid.coords, strict=True)}
    return xr.DataArray(values, dims=(*grid.by, *last), coords=coords)


def _warnings(
    outcome: Outcome, clean: np.ndarray, corrupt: np.ndarray, task: Task
) -> tuple[str, ...]:
    why = [f"not forked, so every cell took a whole pass: {outcome.why}"] * bool(outcome.why)
    return (*why, *sample_warnings(task), *denominator_warnings(clean, corrupt, task.templates))
