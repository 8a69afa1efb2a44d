"""Path patching by forked runs: one fork of the later layers a path, none into the logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from residuum.core import Address, Zero
from residuum.models import Batch
from residuum.patching.paths.arrivals import Arrivals
from residuum.patching.paths.groups import SpreadGroups
from residuum.patching.paths.naive import donor_run
from residuum.patching.paths.nodes import PathGrid, Receiver
from residuum.patching.paths.streams import Cell, PathStreams, base_sites
from residuum.patching.paths.work import PathBlock, PathWork
from residuum.runs import (
    CannotFork,
    Change,
    Done,
    Forks,
    Model,
    Run,
    outer_bound,
    parts_proven,
)
from residuum.runs.sweeping.reader import AnswerReader


@dataclass
class ForkedPaths:
    """Paths by forks of the receiving run.

    A change of the stream at a layer gives, in one pass through the layer's own projections, what
    every head of it would read; each path is then one fork of the later layers.

    Attributes:
        unlike: ``[row pos]`` where the two prompts of a pair differ.
        base: the metric on the receiving prompts, ``[row]``.
        first_row: number of the first of them in the whole task.
        tokens_at_once: rows × positions in one fork.
    """

    model: Model
    grid: PathGrid
    forks: Forks
    donor: Run
    unlike: Tensor
    reader: AnswerReader
    base: np.ndarray
    first_row: int
    tokens_at_once: int
    rows: Tensor = field(init=False)
    streams: PathStreams = field(init=False)
    arrivals: Arrivals = field(init=False)
    groups: SpreadGroups = field(init=False)
    values: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.rows = self.unlike.any(dim=1).nonzero().flatten()
        start = first_change(self.model, self.unlike)
        self.streams = PathStreams(self.forks, self.donor, self.rows, start)
        self.arrivals = Arrivals(self.streams, self.grid)
        self.groups = SpreadGroups(self.streams, self.arrivals, self.grid)
        self.values = np.full((*self.grid.shape, len(self.unlike)), np.nan)

    def fill(self) -> np.ndarray:
        """The metric at the end of each path, ``[sender receiver example]``."""
        for i, j in self.grid.cells():
            self.values[i, j] = self.base
        if len(self.rows):
            for layer in range(self.model.n_layers):
                self._run(layer, self._attention_cells(layer))
                self.groups.pass_attention(layer)
                self.arrivals.pass_attention(layer)
                self._run(layer, self._mlp_cells(layer))
                self._run(layer, self.groups.pass_mlp(layer))
                self.arrivals.pass_mlp(layer)
            self._logits()
        return self.values

    def _receivers(self, layer: int, mlp: bool) -> dict[int, Receiver]:
        return {
            j: receiver
            for j, receiver in enumerate(self.grid.receivers)
            if receiver.layer == layer and (receiver.members[0].name == "mlp_in") == mlp
        }

    def _attention_cells(self, layer: int) -> Iterator[Cell]:
        """Every path into the heads of a layer, sender by sender."""
        receivers = self._receivers(layer, mlp=False)
        for i, sender in enumerate(self.grid.senders):
            mine = {j: r for j, r in receivers.items() if self.grid.possible(sender, r)}
            if mine:
                yield from self.streams.into_heads(layer, i, self.arrivals.at(i), mine)

    def _mlp_cells(self, layer: int) -> Iterator[Cell]:
        for j, receiver in self._receivers(layer, mlp=True).items():
            for i, sender in enumerate(self.grid.senders):
                if self.grid.possible(sender, receiver):
                    yield Cell(i, j, self.arrivals.at(i), "mlp")

    def _run(self, layer: int, cells: Iterator[Cell]) -> None:
        """Fork the later layers for each cell, many cells in one pass."""
        tokens = len(self.rows) * (self.forks.width - self.streams.start)
        at_once, waiting = max(1, self.tokens_at_once // tokens), []
        for cell in cells:
            waiting.append(cell)
            if len(waiting) == at_once:
                self._finish(layer, waiting)
                waiting = []
        if waiting:
            self._finish(layer, waiting)

    def _finish(self, layer: int, cells: list[Cell]) -> None:
        change: Change = self.streams.after(layer, cells)
        found = self.reader.values(self.forks.finish(change), change.rows + self.first_row)
        for cell, row in zip(cells, found.reshape(len(cells), -1), strict=True):
            self.values[cell.sender, cell.receiver, self.rows.numpy()] = row

    def _logits(self) -> None:
        """Paths into the logits: the final norm and the answer's unembedding, no pass at all."""
        for j, receiver in enumerate(self.grid.receivers):
            if not receiver.is_logits:
                continue
            for i in range(len(self.grid.senders)):
                stream = self.streams.at_the_end(self.arrivals.at(i))
                found = self.reader.values(stream, self.rows + self.first_row)
                self.values[i, j, self.rows.numpy()] = found


@dataclass
class _Chunk:
    """Prompts that share a base run."""

    first_row: int
    forks: Forks
    donor: Run
    unlike: Tensor
    base: np.ndarray
    given: np.ndarray


@dataclass
class ForkedPathWorker:
    """Computes blocks of a path table by forks; one base run is held at a time."""

    model: Model
    work: PathWork
    reader: AnswerReader = field(init=False)
    _chunk: _Chunk | None = None
    _told: float = 0.0

    def __post_init__(self) -> None:
        self.reader = AnswerReader(self.model, self.work.task, self.work.measure)

    def block(self, index: int) -> Done:
        """One block: the metric at the end of each path, ``[sender receiver row]``.

        Raises:
            CannotFork: forks do not equal full passes on these prompts.
        """
        block = self.work.blocks[index]
        chunk = self.chunk(block)
        values = np.stack([chunk.base, chunk.given])
        if block.senders:
            paths = ForkedPaths(
                self.model,
                self.work.part(block),
                chunk.forks,
                chunk.donor,
                chunk.unlike,
                self.reader,
                chunk.base,
                chunk.first_row,
                self.work.tokens,
            )
            with self.model.adapted.passing(), torch.no_grad():
                values = paths.fill()
        told, self._told = self._told, chunk.forks.work
        share = (block.end_row - block.first_row) / len(self.work.task)
        return Done(values, share * (chunk.forks.work - told))

    def chunk(self, block: PathBlock) -> _Chunk:
        """The base run of a block's prompts; the last one is kept."""
        if self._chunk is None or self._chunk.first_row != block.first_row:
            self._chunk, self._told = None, 0.0
            self._chunk = self._begin(block)
        return self._chunk

    def _begin(self, block: PathBlock) -> _Chunk:
        source, target = self.work.prompts(block)
        donor = donor_run(self.model, self.work.grid, source)
        forks = Forks(self.model.adapted, target, base_sites(self.model))
        unlike = source.ids != target.ids
        bound, layers = outer_bound(self.model.dtype), tuple(range(self.model.n_layers))
        start = first_change(self.model, unlike)
        why = forks.proven(bound, start) or parts_proven(forks, layers, bound)
        if why:
            raise CannotFork(why)
        forks.work += 1
        rows = range(block.first_row, block.end_row)
        assert forks.base.logits is not None
        base, given = (self.reader.of_logits(e, rows) for e in (forks.base.logits, donor.last))
        return _Chunk(block.first_row, forks, donor, unlike, base, given)


def why_not(model: Model, grid: PathGrid, target: Batch) -> str:
    """Why paths cannot be forked on this model; empty if nothing stands against."""
    return _cannot(model) or _heads_mix(model, grid, target)


def first_change(model: Model, unlike: Tensor) -> int:
    """First position at which a run may differ: where a pair does, if the model is causal."""
    return int(unlike.any(dim=0).int().argmax()) if model.adapted.parts.causal else 0


def _cannot(model: Model) -> str:
    if not model.adapted.seam_proven:
        return "the layer seam was not proven on this model"
    if model.adapted.parts.layers[0].wiring == "post_norm_encoder":
        return "in an encoder a norm stands between sender and receiver"
    layers = model.adapted.parts.layers
    needed = [Address(slot, layer.index) for slot in "qkv" for layer in layers]
    needed += [Address("mlp_out", layer.index) for layer in layers if layer.has_mlp]
    refused = [str(each) for each in needed if each not in model.adapted.taps]
    if refused:
        return f"{', '.join(refused)} could not be proven on this model"
    return ""


def _heads_mix(model: Model, grid: PathGrid, target: Batch) -> str:
    """Whether a head's queries and keys depend on what another head reads (a norm over all heads).

    Tried on the first layer: one head reads nothing, and the others' must stay as they are.
    """
    read = {each.name for receiver in grid.receivers for each in receiver.members}
    names = [f"L0.{slot}" for slot in "qk" if f"{slot}_in" in read]
    if not names:
        return ""
    one = target.rows(0, 1)
    own = model.run(one, capture=names, logits=False)
    edits = [Zero(f"{name}_in[H0]") for name in names]
    other = model.run(one, capture=names, edits=edits, logits=False)
    bound = outer_bound(model.dtype)
    for name in names:
        was, now = own[name][:, :, 1:], other[name][:, :, 1:]
        if was.numel() and float((was - now).abs().max()) > bound * float(was.abs().max()):
            return "its queries or keys are normed over all heads together"
    return ""
