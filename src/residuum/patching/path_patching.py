"""Path patching: exchange what one part sends to another, everything between them held."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr

from residuum.core import SILENT, OptionError, Progress
from residuum.models import Batch
from residuum.patching.engine.outcome import Outcome
from residuum.patching.engine.reader import AnswerReader
from residuum.patching.paths.forked import forked
from residuum.patching.paths.naive import naive, naive_passes
from residuum.patching.paths.nodes import PathGrid, make_path_grid
from residuum.patching.results.path_table import PathTable
from residuum.patching.results.statistics import denominator_warnings
from residuum.runs import Metric, Model, Task, metric_named, need_model, need_task, refuse_unknown

Direction = Literal["denoise", "noise"]
Engine = Literal["auto", "forked", "naive"]
_ROUNDING = 8
_TOKENS_AT_ONCE = 2048
_OPTIONS = "senders, receivers, via, direction, engine, metric, progress"


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
        progress: who is told.

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
    measure = _checked(task, direction, engine, metric)
    task.check_fits(model)
    grid = make_path_grid(model, senders, receivers, via)
    outcome = _outcome(model, task, grid, measure, direction, engine, progress)
    return _table(model, task, grid, outcome, measure, direction)


def _checked(task: Task, direction: Any, engine: Any, metric: str) -> Metric:
    """The metric, if the plain options are ones that there are."""
    if direction not in ("denoise", "noise"):
        raise OptionError(f"unknown direction {direction!r}", mend="use 'denoise' or 'noise'")
    if engine not in ("auto", "forked", "naive"):
        raise OptionError(f"unknown engine {engine!r}", mend="use 'auto', 'forked' or 'naive'")
    measure = metric_named(metric or task.metric)
    if measure.needs_reference:
        raise OptionError(
            f"{measure.name} has no sign towards clean", mend="use logit_diff, prob or prob_diff"
        )
    return measure


def _outcome(
    model: Model,
    task: Task,
    grid: PathGrid,
    measure: Metric,
    direction: Direction,
    engine: Engine,
    progress: Progress,
) -> Outcome:
    """The table, a bounded number of prompts after the other."""
    at_once = max(1, _TOKENS_AT_ONCE // task.clean.shape[1])
    found: list[tuple[float, Outcome]] = []
    for first in range(0, len(task), at_once):
        part = task if at_once >= len(task) else task[first : first + at_once]
        clean, corrupt = (Batch(ids, part.attention_mask) for ids in (part.clean, part.corrupt))
        source, target = (clean, corrupt) if direction == "denoise" else (corrupt, clean)
        reader = AnswerReader(model, part, measure)
        outcome = _patched(model, grid, source, target, reader, engine, progress)
        found.append((part.clean.numel() / task.clean.numel(), outcome))
    return _joined(found)


def _joined(found: list[tuple[float, Outcome]]) -> Outcome:
    """Outcomes of some prompts each, with their share of the tokens, as one."""
    each = [outcome for _, outcome in found]
    plain = [outcome for outcome in each if outcome.engine == "naive"]
    return Outcome(
        values=np.concatenate([outcome.values for outcome in each], axis=-1),
        base=np.concatenate([outcome.base for outcome in each]),
        given=np.concatenate([outcome.given for outcome in each]),
        passes=sum(share * outcome.passes for share, outcome in found),
        engine="naive" if plain else "forked",
        why=plain[0].why if plain else "",
    )


def _patched(
    model: Model,
    grid: PathGrid,
    source: Batch,
    target: Batch,
    reader: AnswerReader,
    engine: Engine,
    progress: Progress,
) -> Outcome:
    """The table by the engine asked for; ``auto`` forks where that is proven equal."""
    if engine == "naive":
        return naive(model, grid, source, target, reader, progress)
    found = forked(model, grid, source, target, reader, progress)
    if isinstance(found, Outcome):
        return found
    if engine == "forked":
        raise OptionError(f"these paths cannot be forked: {found}", mend="use engine='auto'")
    return replace(naive(model, grid, source, target, reader, progress), why=found)


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
    warnings += denominator_warnings(clean, corrupt, task.templates)
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
