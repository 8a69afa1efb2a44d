"""Two engines with one answer: forked runs, and one whole forward pass a cell (the oracle)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import Address, Patch, Progress
from residuum.models import Batch
from residuum.patching.changes import FORKED_SITES, Changes, base_sites, first_differences
from residuum.patching.grid import Block, Grid
from residuum.patching.reader import AnswerReader
from residuum.runs import Change, Forks, Model, Run, outer_bound

_TOKENS_AT_ONCE = 128


@dataclass
class Outcome:
    """What an engine found.

    Attributes:
        values: the metric after patching, ``[...grid example]``.
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


@dataclass
class ForkedEngine:
    """Patches blocks of cells by forks of the receiving run.

    Attributes:
        tokens_at_once: rows × positions in one pass.
    """

    model: Model
    grid: Grid
    target: Batch
    donor: Run
    reader: AnswerReader
    first: Tensor
    tokens_at_once: int = _TOKENS_AT_ONCE
    forks: Forks = field(init=False)
    changes: Changes = field(init=False)
    base: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        adapted, layers = self.model.adapted, self.model.n_layers
        self.forks = Forks(adapted, self.target, base_sites(self.grid.site, layers))
        values = {layer: self.donor[self.grid.site, layer] for layer in range(layers)}
        self.changes = Changes(self.forks, self.grid.site, values)
        logits = self.forks.base.logits
        assert logits is not None
        rows = torch.arange(len(logits), device=logits.device)
        self.base = self.reader.of_logits(logits[rows, self.forks.ends.to(logits.device)])

    def block(self, block: Block) -> np.ndarray:
        """The metric after patching each cell of a block, ``[part example]``."""
        parts = [None] if block.parts is None else list(block.parts)
        values = np.repeat(self.base[None], len(parts), axis=0)
        rows = self._rows(block.pos)
        if not len(rows):
            return values
        start = int(self.first[rows].min()) if block.pos is None else block.pos
        start = start if self.forks.causal else 0
        span = self.forks.width - start
        at_once = max(1, self.tokens_at_once // (len(rows) * span))
        for first in range(0, len(parts), at_once):
            some = parts[first : first + at_once]
            change = self._change(block, some, start, rows)
            found = self.reader.values(self.forks.finish(change), change.rows)
            values[first : first + len(some)][:, rows.numpy()] = found.reshape(len(some), -1)
        return values

    def _change(self, block: Block, parts: list[Any], start: int, rows: Tensor) -> Change:
        chosen = None if block.parts is None else parts
        with torch.no_grad():
            return self.changes.make(block.layer, chosen, block.pos, start, rows)

    def _rows(self, pos: int | None) -> Tensor:
        """Prompts that a patch can change: those that differ at or before the position."""
        width = self.forks.width
        last = width - 1 if pos is None or not self.forks.causal else pos
        reached = self.forks.ends >= (0 if pos is None else pos)
        return ((self.first <= last) & (self.first < width) & reached).nonzero().flatten()


def forked(
    model: Model,
    grid: Grid,
    source: Batch,
    target: Batch,
    reader: AnswerReader,
    progress: Progress,
    tokens_at_once: int = _TOKENS_AT_ONCE,
) -> Outcome | str:
    """The sweep by forked runs; a text if this model or site cannot be forked, saying why."""
    if grid.site not in FORKED_SITES:
        return f"patches of {grid.site} are not forked"
    if not model.adapted.seam_proven:
        return "the layer seam was not proven on this model"
    whole = [Address(grid.site, layer) for layer in range(model.n_layers)]
    donor = model.run(source, capture=whole)
    first = first_differences(source.ids, target.ids)
    engine = ForkedEngine(model, grid, target, donor, reader, first, tokens_at_once)
    bound = outer_bound(model.dtype)
    why = engine.forks.proven(bound, int(first.min()))
    if why:
        return why
    values = np.full((*grid.sizes, len(target.ids)), np.nan)
    blocks = list(grid.blocks())
    progress.start(f"patching {grid.site}", len(blocks))
    try:
        for block in blocks:
            found = engine.block(block)
            parts = [None] if block.parts is None else block.parts
            for part, row in zip(parts, found, strict=True):
                values[grid.index(block, part)] = row
            progress.advance()
    finally:
        progress.finish()
    given = reader.of_logits(donor.last)
    return Outcome(values, engine.base, given, engine.forks.work + 1, "forked")


def naive(
    model: Model,
    grid: Grid,
    source: Batch,
    target: Batch,
    reader: AnswerReader,
    progress: Progress,
) -> Outcome:
    """The sweep by one whole forward pass a cell: the oracle, and the way out."""
    donor = model.run(source, capture=[Address(grid.site, i) for i in range(model.n_layers)])
    base = reader.of_logits(model.run(target).last)
    cells = list(grid.cells())
    values = np.full((*grid.sizes, len(target.ids)), np.nan)
    progress.start(f"patching {grid.site}", len(cells))
    try:
        for index, at in cells:
            run = model.run(target, edits=Patch(at, donor))
            values[index] = reader.of_logits(run.last)
            progress.advance()
    finally:
        progress.finish()
    given = reader.of_logits(donor.last)
    return Outcome(values, base, given, len(cells) + 2.0, "naive")
