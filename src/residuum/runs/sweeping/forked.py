"""The forked engine: blocks of cells as forks of the receiving run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from residuum.core import Address
from residuum.runs.blocks import Done
from residuum.runs.fork_parts import parts_proven
from residuum.runs.forks import CannotFork, Forks
from residuum.runs.memory import out_of_memory
from residuum.runs.model import Model
from residuum.runs.record import record_sites
from residuum.runs.selfcheck import outer_bound
from residuum.runs.sweeping.changes import FORKED_SITES, Changes, base_sites
from residuum.runs.sweeping.grid import Cell
from residuum.runs.sweeping.plan import Block, by_layer, changed_rows, start_of
from residuum.runs.sweeping.reader import AnswerReader
from residuum.runs.sweeping.work import SweepWork, rows_of


def why_not(model: Model, site: str) -> str:
    """Why patches of this site cannot be forked on this model; empty if nothing stands against."""
    if site not in FORKED_SITES:
        return f"patches of {site} are not forked"
    if not model.adapted.seam_proven:
        return "the layer seam was not proven on this model"
    layers = range(model.n_layers)
    needed = {Address(slot, layer) for slot in "kv" for layer in layers}
    missing = needed.union(base_sites(site, layers)) & set(model.adapted.refused)
    names = sorted({each.name for each in missing})
    return f"{', '.join(names)} could not be proven on this model" if missing else ""


@dataclass
class Chunk:
    """Prompts that share a base run.

    Attributes:
        first: ``[row]`` first position that what is written differs at.
        base, given: the metric on the receiving prompts and on those that the values come from.
    """

    first_row: int
    end_row: int
    forks: Forks
    changes: Changes
    first: Tensor
    base: np.ndarray
    given: np.ndarray


@dataclass
class ForkedWorker:
    """Computes blocks of a sweep by forks; one base run is held at a time."""

    model: Model
    work: SweepWork
    reader: AnswerReader = field(init=False)
    cells: list[Cell] = field(init=False)
    _chunk: Chunk | None = None
    _told: float = 0.0  # work of this chunk that finished blocks have counted

    def __post_init__(self) -> None:
        self.reader = AnswerReader(self.model, self.work.task, self.work.measure)
        self.cells = [cell for _, cell in self.work.grid.cells()]

    def block(self, index: int) -> Done:
        """One block: the metric after writing each cell, ``[cell row]``.

        Raises:
            CannotFork: forks do not equal full passes on these prompts.
        """
        block = self.work.blocks[index]
        chunk = self.chunk(block)
        values = np.stack([chunk.base, chunk.given]) if not block.cells else self._found(block)
        share = (block.end_row - block.first_row) / len(self.work.task)
        told, self._told = self._told, chunk.forks.work
        return Done(values, share * (chunk.forks.work - told))

    def chunk(self, block: Block) -> Chunk:
        """The base run of a block's prompts; the last one is kept."""
        if self._chunk is None or self._chunk.first_row != block.first_row:
            self._chunk, self._told = None, 0.0
            self._chunk = self._begin(block.first_row, block.end_row)
        return self._chunk

    def _begin(self, low: int, high: int) -> Chunk:
        adapted, work, writing = self.model.adapted, self.work, self.work.writing
        target, layers, site = rows_of(work.target, low, high), work.grid.layers, work.grid.site
        forks = Forks(adapted, target, base_sites(site, layers))
        first = writing.first(work.target)[low:high]
        bound = outer_bound(self.model.dtype)
        parts = () if site in ("resid_pre", "resid_post") else layers
        why = forks.proven(bound, int(first.min())) or parts_proven(forks, parts, bound)
        if why:
            raise CannotFork(why)
        assert forks.base.logits is not None
        base = self.reader.of_logits(forks.base.logits, range(low, high))
        donor, given = None, base
        if writing.source is not None:
            at = [Address(site, layer) for layer in layers]
            sites, logits = record_sites(adapted, rows_of(writing.source, low, high), at)
            forks.work += 1
            given = self.reader.of_logits(logits, range(low, high))
            donor = partial(_site_of, sites, site)

        values = {
            layer: writing.values(layer, _base(forks, site, layer), donor, low) for layer in layers
        }
        return Chunk(low, high, forks, Changes(forks, site, values), first, base, given)

    def _found(self, block: Block) -> np.ndarray:
        chunk, causal = self.chunk(block), self.work.grid.causal
        ends, width = chunk.forks.ends, chunk.forks.width
        rows = changed_rows(chunk.first, ends, block.pos, width, causal)
        start = start_of(chunk.first[rows], block.pos, causal)
        cells = [self.cells[i] for i in block.cells]
        values = np.repeat(chunk.base[None], len(cells), axis=0)
        values[:, rows.numpy()] = self._finish(chunk, cells, start, rows)
        return values

    def _finish(self, chunk: Chunk, cells: list[Cell], start: int, rows: Tensor) -> np.ndarray:
        """The metric for each cell and row; in halves where memory does not suffice."""

        try:
            return self._finish_at_once(chunk, cells, start, rows)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or (len(cells) == 1 and len(rows) == 1):
                raise
        if len(cells) > 1:
            middle = len(cells) // 2
            parts = (cells[:middle], cells[middle:])
            return np.concatenate([self._finish(chunk, part, start, rows) for part in parts])
        middle = len(rows) // 2
        halves = (rows[:middle], rows[middle:])
        return np.concatenate([self._finish(chunk, cells, start, half) for half in halves], axis=1)

    def _finish_at_once(
        self, chunk: Chunk, cells: list[Cell], start: int, rows: Tensor
    ) -> np.ndarray:
        with self.model.adapted.passing(), torch.no_grad():
            changes = [
                chunk.changes.make(layer, group, start, rows) for layer, group in by_layer(cells)
            ]
            stream = chunk.forks.finish_all(changes)
        every = torch.cat([change.rows for change in changes]) + chunk.first_row
        return self.reader.values(stream, every).reshape(len(cells), len(rows))


def _base(forks: Forks, site: str, layer: int) -> Tensor:
    """The site's values in the receiving run."""
    if site == "resid_pre":
        return forks.base.calls[layer].stream
    if site == "resid_post":
        return forks.base.calls[layer].output
    return forks.base.sites[Address(site, layer)]


def _site_of(sites: dict[Address, Tensor], site: str, layer: int) -> Tensor:
    return sites[Address(site, layer)]
