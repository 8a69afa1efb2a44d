"""Two engines with one answer: forked runs, and one whole forward pass a cell (the oracle)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from residuum.core import SILENT, OptionError, Progress
from residuum.models import Batch
from residuum.runs.arguments import need_progress, shown, whole_number
from residuum.runs.blocks import Done, Executor, InProcess, Worker, run_blocks
from residuum.runs.executors import WorkerProcesses
from residuum.runs.forks import CannotFork
from residuum.runs.memory import memory_in_bytes
from residuum.runs.model import Model
from residuum.runs.sweeping.forked import ForkedWorker, why_not
from residuum.runs.sweeping.grid import Grid
from residuum.runs.sweeping.naive import NaiveWorker
from residuum.runs.sweeping.plan import plan_blocks
from residuum.runs.sweeping.reader import FEW
from residuum.runs.sweeping.sizing import kept_by_sweep, sizes_of
from residuum.runs.sweeping.work import SweepWork
from residuum.runs.sweeping.writing import Writing
from residuum.runs.task import Task

Engine = Literal["auto", "forked", "naive"]
_KEPT_BUDGET = 2 * 10**9


@dataclass(frozen=True)
class Means:
    """How a sweep is computed, whatever it computes.

    Attributes:
        engine: ``"auto"``, ``"forked"`` or ``"naive"``.
        jobs: worker processes; 1 computes in this process.
        keep: folder that finished blocks are kept in.
        max_memory: bytes beyond the model itself for all processes together, or None.
        progress: who is told.
    """

    engine: Engine = "auto"
    jobs: int | Executor = 1
    keep: str | Path | None = None
    max_memory: int | None = None
    progress: Progress = field(default=SILENT)

    @staticmethod
    def of(engine: Any, jobs: Any, keep: Any, max_memory: Any, progress: Progress) -> Means:
        """The means, checked.

        Raises:
            OptionError: one of them has a value that it cannot have.
        """
        if engine not in ("auto", "forked", "naive"):
            raise OptionError(f"unknown engine {engine!r}", mend="use 'auto', 'forked' or 'naive'")
        no_executor = isinstance(jobs, (Model, type)) or not hasattr(jobs, "run")
        jobs = whole_number(jobs, "jobs", 1) if no_executor else jobs
        need_progress(progress)
        _refuse_folder(keep)
        return Means(engine, jobs, keep, memory_in_bytes(max_memory), progress)

    @property
    def budget(self) -> int | None:
        """Bytes for one process; where blocks are kept it must not depend on what is free now."""
        if self.max_memory is None:
            return _KEPT_BUDGET if self.keep is not None else None
        return self.max_memory // (self.jobs if isinstance(self.jobs, int) else 1)

    def executor(self, worker: Worker | None) -> Executor:
        """Who runs the blocks; in this process, a worker that has begun."""
        if not isinstance(self.jobs, int):
            return self.jobs
        return WorkerProcesses(self.jobs) if self.jobs > 1 else InProcess(worker)


def _refuse_folder(keep: Any) -> None:
    """Refuse what names no folder."""
    text = os.fspath(keep) if isinstance(keep, (str, os.PathLike)) else None
    if keep is not None and (not isinstance(text, str) or not text or "\0" in text):
        raise OptionError(
            f"keep={shown(keep)} names no folder",
            mend="give the folder's path, as text or a Path, such as keep='sweeps'",
        )


@dataclass
class Outcome:
    """What an engine found.

    Attributes:
        values: the metric after writing, ``[...grid example]``; NaN in impossible cells.
        base: the metric on the receiving prompts, ``[example]``.
        given: the metric on the prompts that the values come from, ``[example]``.
        passes: forward-pass equivalents spent.
        engine: ``"forked"`` or ``"naive"``.
        why: why forking was not possible, empty otherwise.
    """

    values: np.ndarray
    base: np.ndarray
    given: np.ndarray
    passes: float
    engine: str
    why: str = ""


def sweep_outcome(
    model: Model,
    task: Task,
    grid: Grid,
    metric: str,
    target: Batch,
    writing: Writing,
    identity: dict[str, Any],
    means: Means,
) -> Outcome:
    """The metric after writing at each cell, by the engine asked for.

    Args:
        target: the receiving prompts.
        identity: plain data that says what is written.

    Raises:
        OptionError: ``engine="forked"`` where forks are not possible or not proven equal.
    """
    sizes = sizes_of(
        model,
        task,
        kept_by_sweep(grid),
        max_memory=means.budget,
        whole_logits=metric not in FEW,
    )
    width = target.ids.shape[1]
    ends = target.starts + target.lengths - 1
    first = writing.first(target)

    def work(forked: bool) -> SweepWork:
        blocks = plan_blocks(grid, first, ends, width, sizes, forked=forked)
        worker = ForkedWorker if forked else NaiveWorker
        return SweepWork(
            task, metric, grid, target, writing, identity, tuple(blocks), worker, forked
        )

    why = "" if means.engine == "naive" else why_not(model, grid.site)
    if means.engine != "naive" and not why:
        try:
            return _computed(model, work(True), means)
        except CannotFork as reason:
            why = str(reason)
    if means.engine == "forked":
        raise OptionError(f"this sweep cannot be forked: {why}", mend="use engine='auto'")
    return replace(_computed(model, work(False), means), why=why)


def _computed(model: Model, work: SweepWork, means: Means) -> Outcome:
    worker = None
    if work.forked:
        worker = ForkedWorker(model, work)
        worker.chunk(work.blocks[0])
    done = run_blocks(
        work, model, executor=means.executor(worker), keep=means.keep, progress=means.progress
    )
    return _outcome(work, done)


def _outcome(work: SweepWork, done: list[Done]) -> Outcome:
    """The blocks put together."""
    n, cells = len(work.task), [index for index, _ in work.grid.cells()]
    base, given = np.full(n, np.nan), np.full(n, np.nan)
    found = np.full((len(cells), n), np.nan)
    for block, result in zip(work.blocks, done, strict=True):
        rows = slice(block.first_row, block.end_row)
        if not block.cells:
            base[rows], given[rows] = result.values
            found[:, rows] = base[rows]
    for block, result in zip(work.blocks, done, strict=True):
        if block.cells:
            found[list(block.cells), block.first_row : block.end_row] = result.values
    values = np.full((*work.grid.sizes, n), np.nan)
    for index, row in zip(cells, found, strict=True):
        values[index] = row
    passes = sum(result.passes for result in done)
    return Outcome(values, base, given, passes, "forked" if work.forked else "naive")
