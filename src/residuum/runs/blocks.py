"""Work in blocks: the seam between a sweep and whoever runs it, and resuming from disk.

A sweep is divided into independent blocks. A ``Work`` is plain data that says what to do; each
process that takes part begins it once (base run, donor run) and gets a ``Worker``, which runs one
block at a time. An ``Executor`` decides where: in this process, in worker processes, on a cluster.
A block's values follow from its index alone, never from the blocks before it, so that it does not
matter who runs it, when, or in which order; what is random in it is seeded by the index.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from residuum.core import SILENT, OptionError, Progress, StoreError, content_hash
from residuum.runs.model import Model
from residuum.stores import CellLog


@dataclass(frozen=True)
class Done:
    """One finished block.

    Attributes:
        values: float64, any shape.
        passes: forward-pass equivalents spent on it.
    """

    values: np.ndarray
    passes: float = 0.0


class Worker(Protocol):
    """Work that has begun in one process: holds what all blocks share."""

    def block(self, index: int) -> Done:
        """Run one block; the same index gives the same values, whatever ran before."""
        ...


class Work(Protocol):
    """What to do, as plain data (tensors allowed) that can be sent to another process.

    Its class stands in a module that can be imported.

    Attributes:
        name: for progress, such as ``"patching z"``.
        n_blocks: blocks are numbered from 0.
    """

    @property
    def name(self) -> str:
        """For progress, such as ``"patching z"``."""
        ...

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        ...

    def key(self) -> dict[str, Any]:
        """Plain data that identifies the work beside the model: task hash, strategy, sizes."""
        ...

    def begin(self, model: Model) -> Worker:
        """Compute what all blocks share."""
        ...


class Executor(Protocol):
    """Runs blocks somewhere."""

    def run(
        self, work: Work, model: Model, wanted: Sequence[int]
    ) -> Generator[tuple[int, Done], None, None]:
        """Run these blocks and hand each on as it is finished, in any order.

        Closing the generator stops the work and leaves no process behind.
        """
        ...


@dataclass(frozen=True)
class InProcess:
    """Runs the blocks here, one after the other.

    Attributes:
        worker: a worker that has begun this work already; None begins one.
    """

    worker: Worker | None = None

    def run(
        self, work: Work, model: Model, wanted: Sequence[int]
    ) -> Generator[tuple[int, Done], None, None]:
        """Run these blocks in this order."""
        worker = work.begin(model) if self.worker is None else self.worker
        for index in wanted:
            yield index, worker.block(index)


def run_blocks(
    work: Work,
    model: Model,
    *,
    executor: Executor | None = None,
    keep: str | Path | None = None,
    progress: Progress = SILENT,
) -> list[Done]:
    """Run every block of a work, except those that were finished before.

    Args:
        work: what to do.
        model: on what.
        executor: who runs the blocks; by default this process. ``InProcess(worker)`` goes on with
            a worker that has begun.
        keep: folder in which each finished block is kept at once, in one file for this work, these
            weights, dtype, device and package version. A run that was interrupted or killed goes on
            from there; one that was complete is read back.
        progress: who is told; blocks from ``keep`` count as finished.

    Returns:
        All blocks, in the order of their numbers.

    Raises:
        StoreError: the kept file is damaged, or another process is at it.
        OptionError: the executor left blocks out, or returned one twice.

    Shows: the same values wherever and in whichever order the blocks ran. Does not show: that a
    work's blocks are independent, which is the work's own duty.
    """
    with ExitStack() as opened:
        done: dict[int, Done] = {}
        log = None
        if keep is not None:
            log = opened.enter_context(CellLog(*_place(work, model, Path(keep))))
            done = {index: Done(cell.values, cell.passes) for index, cell in log.cells.items()}
            _check_kept(done, work.n_blocks, log)
        progress.start(work.name, work.n_blocks)
        opened.callback(progress.finish)
        if done:
            progress.advance(len(done))
        wanted = [index for index in range(work.n_blocks) if index not in done]
        missing = set(wanted)
        if wanted:
            found = (executor or InProcess()).run(work, model, wanted)
            for index, block in opened.enter_context(closing(found)):
                _check_wanted(index, missing, executor)
                missing.remove(index)
                done[index] = Done(np.asarray(block.values, np.float64), float(block.passes))
                if log is not None:
                    log.append(index, done[index].values, done[index].passes)
                progress.advance()
        if missing:
            raise OptionError(
                f"{_named(executor)} ended without {len(missing)} of {work.n_blocks} blocks, "
                f"such as block {min(missing)}",
                mend="an executor hands on every block it was asked for; see Executor.run",
            )
        return [done[index] for index in range(work.n_blocks)]


def identity(work: Work, model: Model) -> str:
    """SHA-256 of everything that a block's values follow from.

    Raises:
        OptionError: the work's key is no plain data.
    """
    origin = model.provenance()
    data = {
        "work": work.key(),
        "blocks": work.n_blocks,
        "weights": model.adapted.rehash(),
        "hooks": model.adapted.hooked(),
        "dtype": origin.dtype,
        "device": origin.device,
        "software": origin.software,
    }
    try:
        return content_hash(data)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"the key of {work.name} is no plain data: {error}",
            mend="put text, numbers, lists and dicts into it; tensors by their hash",
        ) from error


def _place(work: Work, model: Model, folder: Path) -> tuple[Path, str]:
    name = identity(work, model)
    return folder / f"{name[:16]}.cells", name


def _check_kept(done: dict[int, Done], n_blocks: int, log: CellLog) -> None:
    if done and max(done) >= n_blocks:
        raise StoreError(
            f"the file of finished blocks has block {max(done)}, the work {n_blocks} blocks",
            mend="move the file away",
            where=str(log.path),
        )


def _check_wanted(index: int, missing: set[int], executor: Executor | None) -> None:
    if index not in missing:
        raise OptionError(
            f"{_named(executor)} handed on block {index} twice or unasked",
            mend="an executor runs each block it was asked for once; see Executor.run",
        )


def _named(executor: Executor | None) -> str:
    return type(executor or InProcess()).__name__
