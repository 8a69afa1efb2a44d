"""A path table as plain data: which senders and prompts go together, read by which metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from residuum.models import Batch
from residuum.patching.paths.nodes import PathGrid
from residuum.runs import Metric, Model, Task, Worker, metric_named
from residuum.runs.sweeping.work import rows_of

_SENDERS_AT_ONCE = 8


@dataclass(frozen=True)
class PathBlock:
    """Some senders to every receiver, in some of the prompts.

    Attributes:
        first_row, end_row: the prompts, counted in the whole task.
        senders: indices of the senders; none at all means the unpatched prompts themselves.
    """

    first_row: int
    end_row: int
    senders: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class PathWork:
    """All that a worker needs, beside the model.

    Attributes:
        direction: ``"denoise"`` or ``"noise"``.
        tokens: rows × positions in one batch of forks.
        worker: makes a worker: by forks, or by whole passes.
        forked: which of the two.
    """

    task: Task
    metric: str
    grid: PathGrid
    direction: str
    blocks: tuple[PathBlock, ...]
    tokens: int
    worker: Callable[[Model, PathWork], Worker]
    forked: bool

    @property
    def name(self) -> str:
        """For progress."""
        return "path patching"

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def measure(self) -> Metric:
        """The metric."""
        return metric_named(self.metric)

    def key(self) -> dict[str, Any]:
        """What identifies the table, beside the model."""
        return {
            "task": self.task.task_hash,
            "metric": self.metric,
            "direction": self.direction,
            "senders": [str(each) for each in self.grid.senders],
            "receivers": [str(each) for each in self.grid.receivers],
            "via": [str(each) for each in self.grid.via],
            "forked": self.forked,
            "blocks": [[b.first_row, b.end_row, list(b.senders)] for b in self.blocks],
        }

    def begin(self, model: Model) -> Worker:
        """A worker on this model."""
        return self.worker(model, self)

    def part(self, block: PathBlock) -> PathGrid:
        """The rows of the table that a block fills."""
        return replace(self.grid, senders=tuple(self.grid.senders[i] for i in block.senders))

    def prompts(self, block: PathBlock) -> tuple[Batch, Batch]:
        """The prompts that send and those that receive."""
        sides = [
            Batch(ids, self.task.attention_mask) for ids in (self.task.clean, self.task.corrupt)
        ]
        source, target = sides if self.direction == "denoise" else reversed(sides)
        low, high = block.first_row, block.end_row
        return rows_of(source, low, high), rows_of(target, low, high)


def kept_by_paths(model: Model) -> list[str]:
    """The sites kept for path patching: of the base run, the donor run, and what is on its way."""
    by_layer = ("z", "attn_out", "resid_mid", "mlp_out", "z", "mlp_out")
    return ["embed", *(by_layer * model.n_layers), *["resid_pre"] * (3 * _SENDERS_AT_ONCE)]


def path_blocks(grid: PathGrid, prompts: int, rows: int) -> tuple[PathBlock, ...]:
    """All blocks of a table; senders before no receiver are in none."""
    sending = sorted({i for i, _ in grid.cells()})
    blocks = []
    for low in range(0, prompts, rows):
        high = min(low + rows, prompts)
        blocks.append(PathBlock(low, high))
        for at in range(0, len(sending), _SENDERS_AT_ONCE):
            blocks.append(PathBlock(low, high, tuple(sending[at : at + _SENDERS_AT_ONCE])))
    return tuple(blocks)
