"""An executor that tells of each finished block, lets others through, stops when asked, and keeps.

Finished blocks are written as the library's ``keep=`` writes them; here the executor does it, since
it also reads them: a sweep that goes on after a kill shows at once what it has.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from residuum.apps.workbench.event_log import cells_event
from residuum.apps.workbench.jobs import Ticket
from residuum.apps.workbench.sweep_tally import SweepTally
from residuum.core import OptionError
from residuum.runs import Done, Model, Work
from residuum.runs.blocks import identity
from residuum.runs.sweeping.work import SweepWork
from residuum.stores import CellLog

_AT_ONCE = 2000
_BETWEEN_S = 0.05
"""Least time between two events of progress."""
_FILES = 64
"""Sweeps whose finished blocks are kept."""


@dataclass
class LiveBlocks:
    """Runs the blocks of one sweep here.

    Attributes:
        ticket: of the job.
        folder: in which finished blocks are kept, one file for each sweep.
        kept: blocks that were found there.
        computed: blocks that were computed now.
    """

    ticket: Ticket
    folder: Path
    kept: int = 0
    computed: int = 0
    _told: float = field(default=0.0, repr=False)

    def run(
        self, work: Work, model: Model, wanted: Sequence[int]
    ) -> Generator[tuple[int, Done], None, None]:
        """Hand on what is kept, then compute the rest block by block.

        Raises:
            Stopped: the job was cancelled.
            StoreError: the kept file is damaged, or another process is at the same sweep.
        """
        if not isinstance(work, SweepWork):
            raise OptionError(f"{work.name} is no sweep", mend="run it with another executor")
        name = identity(work, model)
        path = self.folder / f"{name[:16]}.cells"
        tally, self.kept, self.computed = SweepTally(work), 0, 0
        self._prune(path)
        with CellLog(path, name) as log:
            before = {i: Done(cell.values, cell.passes) for i, cell in log.cells.items()}
            before = {i: before[i] for i in wanted if i in before}
            self.kept = len(before)
            self._tell(tally, [tally.take(i, done) for i, done in before.items()])
            self._progress(len(wanted), None)
            yield from before.items()
            rest = [i for i in wanted if i not in before]
            self.ticket.breathe()
            worker = work.begin(model) if rest else None
            begun = monotonic()
            for index in rest:
                assert worker is not None
                done = worker.block(index)
                done = Done(np.asarray(done.values, np.float64), float(done.passes))
                log.append(index, done.values, done.passes)
                self.computed += 1
                self._tell(tally, [tally.take(index, done)])
                self._progress(len(wanted), (monotonic() - begun) / self.computed)
                yield index, done
                self.ticket.breathe()

    def _tell(self, tally: SweepTally, touched: Iterable[np.ndarray]) -> None:
        """Effects of the cells of which more is known now."""
        cells = np.unique(np.concatenate([*touched, np.zeros(0, dtype=int)]))
        values, final = tally.effects(cells)
        for partial in (True, False):
            some = (~final if partial else final).nonzero()[0]
            for at in range(0, len(some), _AT_ONCE):
                chosen = some[at : at + _AT_ONCE]
                pairs = [(tally.cells[cells[i]], float(values[i])) for i in chosen]
                self.ticket.tell(cells_event(pairs, partial))

    def _progress(self, total: int, each_s: float | None) -> None:
        done, now = self.kept + self.computed, monotonic()
        if done < total and each_s is not None and now - self._told < _BETWEEN_S:
            return
        self._told = now
        eta = None if each_s is None else round(each_s * (total - done), 2)
        self.ticket.progress(done, total, eta, kept=self.kept)

    def _prune(self, own: Path) -> None:
        """Delete the blocks of sweeps that nobody asked for in a long time."""
        with suppress(FileNotFoundError):  # another server on the same folder was faster
            files = sorted(self.folder.glob("*.cells"), key=lambda each: -each.stat().st_mtime)
            for path in [each for each in files if each != own][_FILES - 1 :]:
                path.unlink(missing_ok=True)
