"""Ablation sweeps: what each component's removal costs, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from residuum.core import SILENT, Progress
from residuum.models import Batch
from residuum.patching.ablations import Ablation, ablation_named
from residuum.patching.activation_patching import OPTIONS, asked, controlled
from residuum.patching.building import sweep_of
from residuum.patching.results.sweep import Sweep
from residuum.runs import Executor, Model, Task, refuse_unknown
from residuum.runs.sweeping.outcome import Engine, Means, sweep_outcome
from residuum.runs.sweeping.reader import AnswerReader


def ablate(
    model: Model,
    task: Task,
    sites: str = "z",
    by: Iterable[str] = ("layer", "head"),
    how: str | Ablation = "mean",
    *,
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
    """Ablate every cell of a grid in the clean prompts, one at a time, and measure the metric.

    Args:
        model: a loaded model.
        task: contrast pairs; the clean prompts are ablated, the corrupt ones give the scale.
        sites: ``"z"`` for heads, ``"mlp_act"`` for neurons, ``"attn_out"`` and ``"mlp_out"`` for
            layers, ``"resid_post"`` for positions of the stream, and the other sites of a sweep.
        by: grid axes, as in :func:`patch`.
        how: ``"zero"``, ``"mean"`` (over the task's own prompts), ``"resample"`` (another prompt's
            value), ``"swap"`` (the pair's corrupt prompt's value), or one of :class:`ZeroAblation`,
            :class:`MeanAblation`, :class:`ResampleAblation`, :class:`SwapAblation`,
            :class:`DirectionAblation` with options of its own.
        control: how many random directions each cell is also moved in, as far as the ablation moves
            it; the mean of their absolute effects is the sweep's ``control``.
        only, engine, metric, jobs, keep, max_memory, progress: as in :func:`patch`.

    Returns:
        Effects in the metric's unit, signed towards clean: a cell that the answer needs has a
        negative effect. ``recovered_frac`` is 1 where nothing is lost and 0 where the answer falls
        to that on the corrupt prompts.

    Raises:
        OptionError, AddressError, TaskError, ShapeError: as in :func:`patch`; an ablation that does
            not fit the site; reference prompts of other lengths.

    Shows: what the answer loses when one cell alone is removed. Does not show: that a cell without
    effect is idle (others may stand in for it: see :func:`knock_out`), or what a cell does.
    Source: Wang et al. 2022, "Interpretability in the Wild", §2.1; Heimersheim & Nanda 2024, "How
    to use and interpret activation patching", §3.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> sweep = rz.ablate(model, rz.task("ioi", model, n=4), "z", ("layer", "head"), "zero")
    >>> sweep.kind, sweep.engine
    ('zero', 'forked')
    """
    refuse_unknown(unknown, "ablate", f"sites, by, how, {OPTIONS}")
    means = Means.of(engine, jobs, keep, max_memory, progress)
    grid, measure = asked(model, task, "ablate", sites, by, only, metric)
    kind = ablation_named(how)
    writing, identity = kind.writing(model, task, grid), kind.identity(model)
    target = Batch(task.clean, task.attention_mask)
    outcome = sweep_outcome(model, task, grid, measure.name, target, writing, identity, means)
    corrupt = model.run(Batch(task.corrupt, task.attention_mask), batch_size=64)
    outcome.passes += 1
    return sweep_of(
        model,
        task,
        grid,
        outcome,
        measure,
        kind=writing.kind,
        clean=outcome.base,
        corrupt=AnswerReader(model, task, measure).of_logits(corrupt.last),
        strategy=f"ablate({grid.site}, by={grid.by}, {kind.said(model, task)}, "
        f"{measure.name}, {outcome.engine})",
        seed=getattr(kind, "seed", None),
        draws=control,
        control=controlled(
            model, task, grid, measure, target, writing, identity, means, control, outcome
        ),
    )
