"""A sweep as plain data: what is written where, in which blocks, read by which metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from residuum.core import content_hash
from residuum.models import Batch
from residuum.runs.blocks import Worker
from residuum.runs.metrics import Metric, metric_named
from residuum.runs.model import Model
from residuum.runs.sweeping.grid import Grid
from residuum.runs.sweeping.plan import Block
from residuum.runs.sweeping.writing import Writing
from residuum.runs.task import Task


@dataclass(frozen=True, eq=False)
class SweepWork:
    """All that a worker needs, beside the model.

    Attributes:
        target: the receiving prompts.
        writing: what is written at each cell.
        identity: plain data that says what is written, for the sweep's hash.
        blocks: numbered by their place.
        worker: makes a worker: by forks, or by one whole pass a cell.
        forked: which of the two.
    """

    task: Task
    metric: str
    grid: Grid
    target: Batch
    writing: Writing
    identity: dict[str, Any]
    blocks: tuple[Block, ...]
    worker: Callable[[Model, SweepWork], Worker]
    forked: bool

    @property
    def name(self) -> str:
        """For progress."""
        verb = "patching" if self.writing.kind in ("denoise", "noise") else "ablating"
        return f"{verb} {self.grid.site}"

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def measure(self) -> Metric:
        """The metric."""
        return metric_named(self.metric)

    def key(self) -> dict[str, Any]:
        """What identifies the sweep, beside the model."""
        blocks = [[b.first_row, b.end_row, b.pos, list(b.cells)] for b in self.blocks]
        return {
            "task": self.task.task_hash,
            "metric": self.metric,
            "site": self.grid.site,
            "by": list(self.grid.by),
            "coords": [list(each) for each in self.grid.coords],
            "written": self.identity,
            "forked": self.forked,
            "blocks": content_hash(blocks),
        }

    def begin(self, model: Model) -> Worker:
        """A worker on this model."""
        return self.worker(model, self)


def rows_of(batch: Batch, low: int, high: int) -> Batch:
    """Some of the prompts; their mask is left out where they have no padding."""
    some = batch.rows(low, high)
    return Batch(some.ids) if some.mask is None or bool(some.mask.all()) else some
