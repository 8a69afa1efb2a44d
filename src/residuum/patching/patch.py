"""Activation patching: clean values into the corrupt run (denoising), or the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from residuum.core import SILENT, OptionError, Progress
from residuum.models import Batch
from residuum.patching.engines import Outcome, forked, naive
from residuum.patching.grid import Grid, make_grid
from residuum.patching.reader import AnswerReader
from residuum.patching.sweep import Sweep
from residuum.runs import Metric, Model, Task, metric_named, need_model, need_task, refuse_unknown

Direction = Literal["denoise", "noise"]
Engine = Literal["auto", "forked", "naive"]
_SMALL = 0.05


def patch(
    model: Model,
    task: Task,
    sites: str = "z",
    by: Sequence[str] = ("layer", "head"),
    *,
    direction: Direction = "denoise",
    engine: Engine = "auto",
    metric: str = "",
    progress: Progress = SILENT,
    **unknown: Any,
) -> Sweep:
    """Patch every cell of a grid, one at a time, and measure the task's metric.

    Args:
        model: a loaded model.
        task: contrast pairs; every pair is used.
        sites: a site name such as ``"z"``, ``"resid_post"``, ``"mlp_out"``.
        by: grid axes: ``layer``, and ``head`` and ``pos`` where the site has them.
        direction: ``"denoise"`` writes clean values into the corrupt run, ``"noise"`` corrupt ones
            into the clean run; effects are signed towards clean in both.
        engine: ``"forked"`` computes only what a patch can change, ``"naive"`` one whole forward
            pass a cell; ``"auto"`` forks where that is proven equal on this model, and says so.
        metric: name of a metric; the task's own by default.
        progress: who is told.

    Returns:
        Effects in the metric's unit; ``recovered_frac`` is 0 at corrupt and 1 at clean.

    Raises:
        OptionError: no model; an unknown option; axes the site does not have; a metric that
            cannot be used.
        TaskError: no task; ids of another tokenizer, or ragged prompts swept by position.

    Shows: how far the answer moves when one cell alone is exchanged. Does not show: what both
    prompts share, backups, or parts that act only together.

    Source: Vig et al. 2020, "Investigating gender bias in language models using causal mediation
    analysis", §4; Heimersheim & Nanda 2024, "How to use and interpret activation patching", §2.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> sweep = rz.patch(model, rz.task("ioi", model, n=4), sites="resid_post", by=("layer",))
    >>> sweep.effects.dims
    ('layer',)
    """
    refuse_unknown(unknown, "patch", "sites, by, direction, engine, metric, progress")
    need_model(model, "patch")
    need_task(task, "patch")
    if direction not in ("denoise", "noise"):
        raise OptionError(f"unknown direction {direction!r}", mend="use 'denoise' or 'noise'")
    if engine not in ("auto", "forked", "naive"):
        raise OptionError(f"unknown engine {engine!r}", mend="use 'auto', 'forked' or 'naive'")
    task.check_fits(model)
    grid = make_grid(model, task, sites, _axes(by))
    measure = metric_named(metric or task.metric)
    if measure.needs_reference:
        raise OptionError(
            f"{measure.name} has no sign towards clean", mend="use logit_diff, prob or prob_diff"
        )
    clean, corrupt = (Batch(ids, task.attention_mask) for ids in (task.clean, task.corrupt))
    source, target = (clean, corrupt) if direction == "denoise" else (corrupt, clean)
    reader = AnswerReader(model, task, measure)
    outcome = _swept(model, grid, source, target, reader, engine, progress)
    return _sweep(model, task, grid, outcome, measure, direction)


def _axes(by: Any) -> tuple[str, ...]:
    """The axes asked for, one or several."""
    axes = (by,) if isinstance(by, str) else by
    if not isinstance(axes, Sequence) or not all(isinstance(axis, str) for axis in axes):
        raise OptionError(
            f"cannot sweep by {by!r}", mend="give names of axes, such as by=('layer', 'head')"
        )
    return tuple(axes)


def _swept(
    model: Model,
    grid: Grid,
    source: Batch,
    target: Batch,
    reader: AnswerReader,
    engine: Engine,
    progress: Progress,
) -> Outcome:
    """The sweep by the engine asked for; ``auto`` forks where that is proven equal."""
    if engine == "naive":
        return naive(model, grid, source, target, reader, progress)
    found = forked(model, grid, source, target, reader, progress)
    if isinstance(found, Outcome):
        return found
    if engine == "forked":
        raise OptionError(f"this sweep cannot be forked: {found}", mend="use engine='auto'")
    return replace(naive(model, grid, source, target, reader, progress), why=found)


def _sweep(
    model: Model, task: Task, grid: Grid, outcome: Outcome, measure: Metric, direction: str
) -> Sweep:
    sign = 1.0 if measure.larger_is_better else -1.0
    given, base = outcome.given, outcome.base
    clean, corrupt = (given, base) if direction == "denoise" else (base, given)
    coords = {axis: np.arange(size) for axis, size in zip(grid.by, grid.sizes, strict=True)}
    values = sign * (outcome.values - base)
    per_example = xr.DataArray(values, dims=(*grid.by, "example"), coords=coords)
    effects = per_example.mean("example")
    distance = float(sign * (clean.mean() - corrupt.mean()))
    warnings = [f"not forked, so every cell took a whole pass: {outcome.why}"] * bool(outcome.why)
    if abs(distance) < _SMALL * max(1e-9, float(np.abs(np.r_[clean, corrupt]).max())):
        warnings.append(
            "clean and corrupt hardly differ under this metric: recovered_frac is unreliable"
        )
    fraction = effects / distance if distance else effects * np.nan
    return Sweep(
        site=grid.site,
        effects=effects,
        per_example=per_example,
        recovered_frac=fraction if direction == "denoise" else 1 + fraction,
        clean=clean,
        corrupt=corrupt,
        metric=measure.name,
        unit=measure.unit,
        provenance=model.provenance(
            task_hash=task.task_hash,
            strategy=f"patch({grid.site}, by={grid.by}, {direction}, {measure.name}, "
            f"{outcome.engine})",
        ),
        engine=outcome.engine,
        passes=outcome.passes,
        passes_saved=int(np.prod(grid.sizes)) + 2 - outcome.passes,
        warnings=tuple(warnings),
    )
