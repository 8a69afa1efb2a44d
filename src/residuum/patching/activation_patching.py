"""Activation patching: clean values into the corrupt run (denoising), or the other way round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from residuum.core import SILENT, OptionError, Progress
from residuum.models import Batch
from residuum.patching.building import on_grid, sweep_of
from residuum.patching.gradients.attribution import Method, approximate
from residuum.patching.results.sweep import Sweep
from residuum.runs import (
    METRICS,
    Executor,
    Metric,
    Model,
    Task,
    metric_named,
    need_model,
    need_task,
    refuse_unknown,
    shown,
    whole_number,
)
from residuum.runs.sweeping.grid import Grid, make_grid
from residuum.runs.sweeping.outcome import Engine, Means, Outcome, sweep_outcome
from residuum.runs.sweeping.writing import FromPrompts, RandomDirection, Writing

Direction = Literal["denoise", "noise"]
OPTIONS = "only, engine, metric, control, jobs, keep, max_memory, progress"


def patch(
    model: Model,
    task: Task,
    sites: str = "z",
    by: Iterable[str] = ("layer", "head"),
    *,
    direction: Direction = "denoise",
    method: Method | None = None,
    only: Mapping[str, int | Iterable[int]] | None = None,
    engine: Engine = "auto",
    metric: str = "",
    control: int = 0,
    jobs: int | Executor = 1,
    keep: Any = None,
    max_memory: Any = None,
    progress: Progress = SILENT,
    **unknown: Any,
) -> Sweep:
    """Patch every cell of a grid, one at a time, and measure the task's metric.

    Args:
        model: a loaded model.
        task: contrast pairs; every pair is used.
        sites: a site name such as ``"z"``, ``"resid_post"``, ``"mlp_out"``, ``"mlp_act"``.
        by: grid axes: ``layer``, and ``head``, ``neuron`` and ``pos`` where the site has them;
            ``pattern`` has ``q_pos`` (destination, the same as ``pos``) and ``k_pos`` (source).
        direction: ``"denoise"`` writes clean values into the corrupt run, ``"noise"`` corrupt ones
            into the clean run; effects are signed towards clean in both.
        method: None patches every cell exactly; :class:`AttributionPatching` or :class:`NodeIG`
            predicts them by gradients, and the sweep's ``approximation`` says how far off it was
            on cells that were also patched.
        only: axis -> the indices to sweep, such as ``{"layer": [3, 4]}``; all by default. Negative
            ones count from the end.
        engine: ``"forked"`` computes only what a patch can change, ``"naive"`` one whole forward
            pass a cell; ``"auto"`` forks where that is proven equal on this model, and says so.
        metric: name of a metric; the task's own by default.
        control: how many random directions each cell is also moved in, as far as the patch moves
            it; the mean of their absolute effects is the sweep's ``control``.
        jobs: worker processes, or an executor.
        keep: folder in which finished blocks of cells are kept: the same call goes on from there.
        max_memory: bytes, or a text such as ``"2 GB"``, that the sweep may take beyond the model
            itself, all worker processes together; by default half of what is free, with ``keep``
            2 GB.
        progress: who is told.

    Returns:
        Effects in the metric's unit; ``recovered_frac`` is 0 at corrupt and 1 at clean.

    Raises:
        OptionError: no model; an unknown option; axes the site does not have; a metric that
            cannot be used; too little memory for one prompt.
        AddressError: a site that the model does not have.
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
    refuse_unknown(unknown, "patch", f"sites, by, direction, method, {OPTIONS}")
    if direction not in ("denoise", "noise"):
        raise OptionError(f"unknown direction {direction!r}", mend="use 'denoise' or 'noise'")
    means = Means.of(engine, jobs, keep, max_memory, progress)
    grid, measure = asked(model, task, "patch", sites, by, only, metric)
    clean, corrupt = (Batch(ids, task.attention_mask) for ids in (task.clean, task.corrupt))
    source, target = (clean, corrupt) if direction == "denoise" else (corrupt, clean)
    more: dict[str, Any] = {}
    if method is not None:
        _refuse_beside_method(
            engine=engine != "auto",
            jobs=jobs != 1,
            keep=keep is not None,
            max_memory=max_memory is not None,
            control=control != 0,
        )
        found = approximate(model, task, grid, source, target, measure, method, progress)
        outcome, more["approximation"] = found.outcome, found.approximation
    else:
        writing, identity = FromPrompts(source, direction), {"kind": direction}
        outcome = sweep_outcome(model, task, grid, measure.name, target, writing, identity, means)
        more["control"] = controlled(
            model, task, grid, measure, target, writing, identity, means, control, outcome
        )
    ends = (outcome.given, outcome.base)[:: 1 if direction == "denoise" else -1]
    how = outcome.engine if method is None else repr(method)
    return sweep_of(
        model,
        task,
        grid,
        outcome,
        measure,
        kind=direction,
        clean=ends[0],
        corrupt=ends[1],
        strategy=f"patch({grid.site}, by={grid.by}, {direction}, {measure.name}, {how})",
        seed=None if method is None else method.seed,
        draws=control,
        **more,
    )


def _refuse_beside_method(**given: Any) -> None:
    """Refuse options of exact sweeps that an approximation would ignore."""
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise OptionError(
            f"{', '.join(wrong)} goes with exact sweeps, not with method=",
            mend="leave it out, or leave method out",
        )


def asked(
    model: Any,
    task: Any,
    verb: str,
    sites: Any,
    by: Any,
    only: Any,
    metric: str,
) -> tuple[Grid, Metric]:
    """The grid and the metric of a sweep, checked.

    Raises:
        OptionError, TaskError: as the verbs say.
    """
    need_model(model, verb)
    need_task(task, verb)
    task.check_fits(model)
    if not isinstance(sites, str):
        raise OptionError(f"cannot sweep {sites!r}", mend="give one site's name, such as 'z'")
    grid = make_grid(model, task, sites, axes_of(by), only)
    return grid, signed_metric(metric or task.metric)


def signed_metric(name: Any) -> Metric:
    """The metric of this name, which can tell clean from corrupt.

    Raises:
        OptionError: there is none, or it only says how far two predictions lie apart.
    """
    usable = [each.name for each in METRICS.values() if not each.needs_reference]
    if not isinstance(name, str):
        raise OptionError(f"no metric {shown(name)}", mend=f"one of: {', '.join(usable)}")
    measure = metric_named(name)
    if measure.needs_reference:
        raise OptionError(
            f"{name} has no sign towards clean", mend=f"use one of: {', '.join(usable)}"
        )
    return measure


def axes_of(by: Any) -> tuple[str, ...]:
    """The axes asked for, one or several."""
    axes: tuple[Any, ...] = (None,)
    if isinstance(by, str):
        axes = (by,)
    elif isinstance(by, Iterable) and not isinstance(by, (set, frozenset, Mapping)):
        axes = tuple(by) if getattr(by, "ndim", 1) == 1 else axes
    if not all(isinstance(axis, str) for axis in axes):
        raise OptionError(
            f"cannot sweep by {shown(by)}", mend="give names of axes, such as by=('layer', 'head')"
        )
    return tuple(str(axis) for axis in axes)


def controlled(
    model: Model,
    task: Task,
    grid: Grid,
    measure: Metric,
    target: Batch,
    writing: Writing,
    identity: dict[str, Any],
    means: Means,
    draws: int,
    outcome: Outcome,
) -> Any:
    """Mean absolute effect of moving each cell as far in random directions; None for no draws.

    Raises:
        OptionError: the site holds no vectors, or the sweep goes through single neurons.
    """
    if whole_number(draws, "control", 0) == 0:
        return None
    if grid.site in ("pattern", "scores", "router") or set(grid.by) & {"neuron", "expert"}:
        raise OptionError(
            f"a random direction needs vectors, {grid.site} by {grid.by} has none",
            mend="leave control out, or compare with other components",
        )
    found = []
    for seed in range(draws):
        elsewhere = RandomDirection(writing, seed)
        told = {**identity, "control": seed}
        moved = sweep_outcome(model, task, grid, measure.name, target, elsewhere, told, means)
        found.append(np.abs((moved.values - moved.base).mean(axis=-1)))
        outcome.passes += moved.passes
    return on_grid(grid, np.mean(found, axis=0))
