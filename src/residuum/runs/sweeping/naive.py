"""The naive engine: one whole forward pass a cell. The oracle, and the way out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from residuum.core import SITES, Address, Edit, Patch
from residuum.runs.blocks import Done
from residuum.runs.model import Model
from residuum.runs.run import Run
from residuum.runs.sweeping.grid import Cell
from residuum.runs.sweeping.plan import Block
from residuum.runs.sweeping.reader import AnswerReader
from residuum.runs.sweeping.work import SweepWork, rows_of


@dataclass
class NaiveChunk:
    """Prompts that share their unpatched runs.

    Attributes:
        target: the receiving prompts, run with the site captured.
        written: layer -> what is written, of the whole site's shape.
    """

    first_row: int
    target: Run
    written: dict[int, Tensor]
    given: np.ndarray
    base: np.ndarray
    passes: float


@dataclass
class NaiveWorker:
    """Computes blocks of a sweep by ``model.run`` with one edit a cell."""

    model: Model
    work: SweepWork
    reader: AnswerReader = field(init=False)
    cells: list[Cell] = field(init=False)
    _chunk: NaiveChunk | None = None

    def __post_init__(self) -> None:
        self.reader = AnswerReader(self.model, self.work.task, self.work.measure)
        self.cells = [cell for _, cell in self.work.grid.cells()]

    def block(self, index: int) -> Done:
        """One block: the metric after writing each cell, ``[cell row]``."""
        block = self.work.blocks[index]
        begun = self._chunk is not None and self._chunk.first_row == block.first_row
        chunk = self._begin(block) if not begun or self._chunk is None else self._chunk
        self._chunk = chunk
        share = (block.end_row - block.first_row) / len(self.work.task)
        passes = (0.0 if begun else chunk.passes) + len(block.cells)
        if not block.cells:
            return Done(np.stack([chunk.base, chunk.given]), share * passes)
        rows = range(block.first_row, block.end_row)
        values = []
        for cell in (self.cells[i] for i in block.cells):
            edit = self._edit(chunk, cell)
            run = self.model.run(rows_of(self.work.target, rows.start, rows.stop), edits=edit)
            values.append(self.reader.of_logits(run.last, rows))
        return Done(np.stack(values), share * passes)

    def _begin(self, block: Block) -> NaiveChunk:
        low, high = block.first_row, block.end_row
        grid, writing, rows = self.work.grid, self.work.writing, range(low, high)
        sites = [Address(grid.site, layer) for layer in grid.layers]
        target = self.model.run(rows_of(self.work.target, low, high), capture=sites)
        base = self.reader.of_logits(target.last, rows)
        donor, given, passes = None, base, 1.0
        if writing.source is not None:
            run = self.model.run(rows_of(writing.source, low, high), capture=sites)
            given, passes = self.reader.of_logits(run.last, rows), 2.0
            donor = partial(site_of, run, grid.site)

        written = {
            layer: writing.values(layer, target[grid.site, layer], donor, low)
            for layer in grid.layers
        }
        return NaiveChunk(low, target, written, given, base, passes)

    def _edit(self, chunk: NaiveChunk, cell: Cell) -> Edit:
        """The edit that writes one cell."""
        site = self.work.grid.site
        value = picked(chunk.written[cell.layer], site, cell.part, cell.pos)
        if cell.source is not None:
            mixed = picked(chunk.target[site, cell.layer], site, cell.part, cell.pos).clone()
            mixed[..., cell.source] = value[..., cell.source]
            value = mixed
        return Patch(cell.address(site), value)


def picked(value: Tensor, site: str, part: Any = None, pos: Any = None) -> Tensor:
    """A site's values ``[batch ...]`` at a part and a position; None leaves the axis."""
    kind = SITES[site]
    picks = [(kind.pos_axis, pos), (kind.part_axis, part)]
    for axis, index in sorted(picks, key=lambda pick: -(pick[0] or 0)):
        if axis is not None and isinstance(index, int):
            value = value.select(axis, index)
    return value


def site_of(run: Run, site: str, layer: int) -> Tensor:
    """A captured site of a run."""
    return run[site, layer]
