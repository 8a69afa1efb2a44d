"""Effects of a sweep's cells while its blocks come in: final ones, and means of what there is."""

from __future__ import annotations

import numpy as np

from residuum.runs import Done
from residuum.runs.sweeping.work import SweepWork


class SweepTally:
    """What is known of a sweep so far.

    A cell's effect is final once every block that holds it is in, for all prompts; before that it
    is the mean over the prompts computed so far. Blocks leave out cells that cannot change a
    prompt: there the effect is zero, exactly.

    Args:
        work: the sweep.
    """

    def __init__(self, work: SweepWork) -> None:
        self._blocks = work.blocks
        self._sign = 1.0 if work.measure.larger_is_better else -1.0
        self.cells = [index for index, _ in work.grid.cells()]
        starts = sorted({block.first_row for block in work.blocks})
        self._chunk = {start: i for i, start in enumerate(starts)}
        rows = len(work.task)
        self._rows = np.diff([*starts, rows])
        self._values = np.full((len(self.cells), rows), np.nan)
        self._base = np.full(rows, np.nan)
        self._begun = np.zeros(len(starts), dtype=bool)
        self._open = np.zeros((len(self.cells), len(starts)), dtype=bool)
        for block in work.blocks:
            self._open[list(block.cells), self._chunk[block.first_row]] = True

    def take(self, index: int, done: Done) -> np.ndarray:
        """Take in a block; numbers of the cells of which more is known now."""
        block = self._blocks[index]
        chunk, rows = self._chunk[block.first_row], slice(block.first_row, block.end_row)
        if block.cells:
            cells = np.array(block.cells)
            self._values[cells, rows] = done.values
            self._open[cells, chunk] = False
            return cells if self._begun[chunk] else cells[:0]
        self._base[rows] = done.values[0]
        known = ~self._open[:, chunk]
        fresh = known & np.isnan(self._values[:, block.first_row])
        self._values[fresh, rows] = self._base[rows]
        self._begun[chunk] = True
        return known.nonzero()[0]

    def effects(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Effects of cells in the metric's unit, signed towards clean; and which are final."""
        known = self._begun & ~self._open[cells]  # [cell chunk]
        final = np.asarray(known.all(axis=1))
        found = np.full(len(cells), np.nan)
        found[final] = self._differences(cells[final]).mean(axis=-1)
        rest = ~final
        if rest.any():
            counted = np.repeat(known[rest], self._rows, axis=1)
            differences = np.where(counted, self._differences(cells[rest]), 0.0)
            found[rest] = differences.sum(axis=1) / counted.sum(axis=1).clip(1)
        return found, final

    def _differences(self, cells: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self._sign * (self._values[cells] - self._base))
