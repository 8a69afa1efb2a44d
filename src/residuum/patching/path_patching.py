"""Path patching: exchange what one part sends to another, everything between them held."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr

from residuum.core import SILENT, OptionError, Progress
from residuum.patching.activation_patching import signed_metric
from residuum.patching.paths.forked import ForkedPathWorker, why_not
from residuum.patching.paths.naive import NaivePaths, naive_passes
from residuum.patching.paths.nodes import PathGrid, make_path_grid
from residuum.patching.paths.work import PathWork, kept_by_paths, path_blocks
from residuum.patching.results.path_table import PathTable
from residuum.patching.results.statistics import denominator_warnings, sample_warnings
from residuum.runs import (
    CannotFork,
    Executor,
    Metric,
    Model,
    Task,
    need_model,
    need_task,
    refuse_unknown,
    run_blocks,
)
from residuum.runs.sweeping.outcome import Engine, Means, Outcome
from residuum.runs.sweeping.reader import FEW
from residuum.runs.sweeping.sizing import sizes_of

Direction = Literal["denoise", "noise"]
_ROUNDING = 8
_OPTIONS = "senders, receivers, via, direction, engine, metric, jobs, keep, max_memory, progress"


def path_patch(
    model: Model,
    task: Task,
    senders: Any = None,
    receivers: Any = None,
    *,
    via: Any = (),
    direction: Direction = "denoise",
    engine: Engine = "auto",
    metric: str = "",
    jobs: int | Executor = 1,
    keep: Any = None,
    max_memory: Any = None,
    progress: Progress = SILENT,
    **unknown: Any,
) -> PathTable:
    """Exchange what each sender sends to each receiver by the direct path, one pair at a time.

    The sender's output takes its value from the other prompt, at all positions; every head and MLP
    after it keeps its own output, so the change travels along the residual stream alone. What then
    reaches the receiver is written into that receiver's input in a second run, in which everything
    else reads its own stream and everything after the receiver is live.

    Args:
        model: a loaded model.
        task: contrast pairs; every pair is used.
        senders: addresses or globs of ``embed``, heads (``"L*.z[H*]"``, or ``head_out``) and MLPs
            (``"L0.mlp_out"``); all by default. A name without a head means every head. ``embed``
            is the token embedding; the position embedding is the same in both prompts and sends
            nothing. A head sends the change of ``attn_out`` when its ``z`` alone is exchanged (a
            post-norm is recomputed).
        receivers: addresses or globs of ``q_in``, ``k_in``, ``v_in`` (``"L2.q_in[H0]"``; key and
            value heads of a grouped model are its fewer ones), ``mlp_in`` and ``logits``; all by
            default. A tuple of addresses within the list is a group that is patched jointly.
        via: heads and MLPs between sender and receiver that are computed anew, and so pass the
            change on; addresses or globs, of which each must mean something on a path.
        direction: ``"denoise"`` sends clean values in the corrupt run, ``"noise"`` corrupt ones in
            the clean run; effects are signed towards clean in both.
        engine: ``"forked"`` computes only what a path can change, ``"naive"`` one whole forward
            pass a path and two a sender; ``"auto"`` forks where that is proven equal on this
            model, and says so in ``warnings`` where it is not.
        metric: name of a metric; the task's own by default.
        jobs, keep, max_memory, progress: as in :func:`patch`.

    Returns:
        Effects ``[sender receiver]`` in the metric's unit; NaN where the sender does not lie before
        the receiver (in parallel blocks attention does not feed the MLP of its layer).

    Raises:
        OptionError: no model; an unknown option; a site that neither sends nor receives; a metric
            without a sign; ``engine="forked"`` where it cannot be.
        AddressError, SiteRefused: sites that the model does not have.
        TaskError: no task; ids of another tokenizer.

    Shows: what one part hands to another, and what comes of it. Does not show: that the path is
    needed (backups), what both prompts share, or paths through parts that are not in ``via``.

    Source: Wang et al. 2022, "Interpretability in the Wild", §3.1 and appendix B; Goldowsky-Dill
    et al. 2023, "Localizing model behavior with path patching", §3. In the former MLPs are
    recomputed on the way (here ``via="L*.mlp_out"``); by default they are held like heads.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> table = rz.path_patch(model, rz.task("ioi", model, n=4), "L0.z[H*]", ("L1.q_in", "logits"))
    >>> table.effects.shape, table.engine
    ((8, 9), 'forked')
    """
    refuse_unknown(unknown, "path_patch", _OPTIONS)
    need_model(model, "path_patch")
    need_task(task, "path_patch")
    means = Means.of(engine, jobs, keep, max_memory, progress)
    measure = _checked(direction, metric or task.metric)
    task.check_fits(model)
    grid = make_path_grid(model, senders, receivers, via)
    outcome = _outcome(model, task, grid, measure, direction, means)
    return _table(model, task, grid, outcome, measure, direction)


def _checked(direction: Any, metric: str) -> Metric:
    """The metric, if the plain options are ones that there are."""
    if direction not in ("denoise", "noise"):
        raise OptionError(f"unknown direction {direction!r}", mend="use 'denoise' or 'noise'")
    return signed_metric(metric)


def _outcome(
    model: Model, task: Task, grid: PathGrid, measure: Metric, direction: Direction, means: Means
) -> Outcome:
    """The table by the engine asked for; ``auto`` forks where that is proven equal."""
    sizes = sizes_of(
        model,
        task,
        kept_by_paths(model),
        max_memory=means.budget,
        whole_logits=measure.name not in FEW,
    )
    blocks = path_blocks(grid, len(task), sizes.rows)

    def work(forked: bool) -> PathWork:
        worker = ForkedPathWorker if forked else NaivePaths
        return PathWork(task, measure.name, grid, direction, blocks, sizes.tokens, worker, forked)

    why = ""
    if means.engine != "naive":
        forked = work(True)
        why = why_not(model, grid, forked.prompts(blocks[0])[1])
        if not why:
            try:
                return _computed(model, forked, means)
            except CannotFork as reason:
                why = str(reason)
    if means.engine == "forked":
        raise OptionError(f"these paths cannot be forked: {why}", mend="use engine='auto'")
    return replace(_computed(model, work(False), means), why=why)


def _computed(model: Model, work: PathWork, means: Means) -> Outcome:
    """The blocks, run and put together."""
    worker = work.begin(model)
    if isinstance(worker, ForkedPathWorker):
        worker.chunk(work.blocks[0])
    done = run_blocks(
        work, model, executor=means.executor(worker), keep=means.keep, progress=means.progress
    )
    n = len(work.task)
    ends, values = np.full((2, n), np.nan), np.full((*work.grid.shape, n), np.nan)
    for block, result in zip(work.blocks, done, strict=True):
        rows = slice(block.first_row, block.end_row)
        if block.senders:
            values[list(block.senders), :, rows] = result.values
        else:
            ends[:, rows] = result.values
    passes = sum(result.passes for result in done)
    return Outcome(values, ends[0], ends[1], passes, "forked" if work.forked else "naive")


def _table(
    model: Model, task: Task, grid: PathGrid, outcome: Outcome, measure: Metric, direction: str
) -> PathTable:
    sign = 1.0 if measure.larger_is_better else -1.0
    given, base = outcome.given, outcome.base
    clean, corrupt = (given, base) if direction == "denoise" else (base, given)
    coords = {
        "sender": [str(each) for each in grid.senders],
        "receiver": [str(each) for each in grid.receivers],
    }
    values = sign * (outcome.values - base)
    per_example = xr.DataArray(values, dims=("sender", "receiver", "example"), coords=coords)
    effects = per_example.mean("example", skipna=False)
    distance = float(sign * (clean.mean() - corrupt.mean()))
    warnings = [f"not forked, so every path took a whole pass: {outcome.why}"] * bool(outcome.why)
    warnings += grid.left_out
    warnings += [*sample_warnings(task), *denominator_warnings(clean, corrupt, task.templates)]
    fraction = effects / distance if distance else effects * np.nan
    return PathTable(
        effects=effects,
        per_example=per_example,
        recovered_frac=fraction if direction == "denoise" else 1 + fraction,
        clean=clean,
        corrupt=corrupt,
        metric=measure.name,
        unit=measure.unit,
        provenance=model.provenance(
            task_hash=task.task_hash,
            strategy=f"path_patch({len(grid.senders)} senders, {len(grid.receivers)} receivers, "
            f"via={[str(a) for a in grid.via]}, {direction}, {measure.name}, {outcome.engine})",
        ),
        clusters=tuple(task.templates),
        via=tuple(str(each) for each in grid.via),
        direction=direction,
        engine=outcome.engine,
        passes=outcome.passes,
        passes_saved=naive_passes(grid) - outcome.passes,
        noise=_ROUNDING * torch.finfo(model.dtype).eps * float(np.abs(np.r_[clean, corrupt]).max()),
        warnings=tuple(warnings),
    )
