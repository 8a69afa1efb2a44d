"""Activations of examples at many sites and tokens at once, streamed to disk when they are many."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import (
    SILENT,
    Address,
    AddressError,
    OptionError,
    Progress,
    ShapeError,
    TaskError,
)
from residuum.core.progress import track
from residuum.directions.examples import Examples
from residuum.directions.moments import ClassMoments
from residuum.directions.reading_places import Cell, cells_of
from residuum.runs import Capture, Model, need_model, whole_number
from residuum.runs.arguments import need_progress
from residuum.stores import ActivationShards

_IN_MEMORY_BYTES = 2**26
"""Activations above this go to disk even if no folder is given (into a temporary one)."""
_BLOCK = 4096
LEAST_SPREAD = 1e-6
"""A spread below this share of the mean's length is rounding."""


@dataclass(frozen=True, eq=False)
class SiteValues:
    """What some examples hold at one site, readable block by block.

    Attributes:
        at: the site (with its position).
        labels: ``[n]`` of these examples.
        rows: ``[n]`` which of the harvested rows they are, ascending.
        pairs: ``[n]`` contrast pair of each, or None.
        classes: names of the labels.
    """

    at: Address
    labels: Tensor
    rows: Tensor
    pairs: Tensor | None
    classes: tuple[str, ...]
    cell: int
    source: Activations

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._stream()

    def blocks(self) -> Iterator[tuple[Float[Tensor, "m d"], Tensor]]:
        """Vectors ``[m d]`` and labels ``[m]``, in order; flat in memory."""
        yield from self._stream()

    def all(self) -> Float[Tensor, "n d"]:
        """All vectors at once."""
        return torch.cat([x for x, _ in self.blocks()])

    def moments(self) -> ClassMoments:
        """Means and covariances by class, gathered in one pass in float64."""
        found = ClassMoments(self.source.width, len(self.classes))
        for x, labels in self.blocks():
            found.update(x, labels)
        return found

    def constant(self) -> bool:
        """Whether every example holds the same there, but for rounding."""
        moments = self.moments()
        spread = moments.covariance.diagonal().sum().clamp_min(0).sqrt()
        return bool(spread <= LEAST_SPREAD * moments.mean.norm())

    def need_spread(self) -> None:
        """Refuse activations that are the same in every example.

        Raises:
            ShapeError: they are.
        """
        if self.constant():
            raise ShapeError(
                "the activations are the same in every example",
                mend="read another token or a later site: at this one the examples do not differ",
                where=str(self.at),
            )

    def whole_pairs(self) -> SiteValues:
        """Those whose contrast pair is here in full.

        Raises:
            TaskError: there are none.
        """
        numbers = torch.full((len(self),), -1) if self.pairs is None else self.pairs
        count = torch.bincount(numbers + 1)
        whole = (numbers >= 0) & (count[numbers + 1] == 2)
        if not bool(whole.any()):
            raise TaskError(
                "the examples are no contrast pairs",
                mend="make them from a task, Examples.from_task(task), or leave paired=True out",
            )
        pairs = None if self.pairs is None else self.pairs[whole]
        return replace(self, labels=self.labels[whole], rows=self.rows[whole], pairs=pairs)

    def difference_moment(self) -> Tensor:
        """Mean of ``(x₁ - x₀)(x₁ - x₀)ᵀ`` over whole contrast pairs, ``[d d]``, float64."""
        assert self.pairs is not None
        width = self.source.width
        total = torch.zeros(width, width, dtype=torch.float64)
        order = self.pairs.argsort(stable=True)
        for start in range(0, len(order), 2 * _BLOCK):
            part = order[start : start + 2 * _BLOCK].sort().values
            some = replace(
                self, labels=self.labels[part], rows=self.rows[part], pairs=self.pairs[part]
            )
            by_pair = some.pairs.argsort(stable=True)  # type: ignore[union-attr]
            sign = 2.0 * some.labels[by_pair].double() - 1
            signed = some.all().double()[by_pair] * sign[:, None]
            differences = signed.unflatten(0, (-1, 2)).sum(1)
            total += differences.T @ differences
        return total / (len(order) // 2)

    def _stream(self) -> Iterator[tuple[Tensor, Tensor]]:
        wanted, done = self.rows.numpy(), 0
        for first, chunk in self.source.chunks():
            stop = int(np.searchsorted(wanted, first + len(chunk)))
            for start in range(done, stop, _BLOCK):
                part = slice(start, min(start + _BLOCK, stop))
                x = np.array(chunk[wanted[part] - first, self.cell])
                yield torch.from_numpy(x), self.labels[part]
            done = stop


@dataclass(frozen=True, eq=False, repr=False)
class Activations:
    """Activations ``[n, cell, d]`` of examples; a cell is a site of one layer at one token.

    Attributes:
        cells: what each column is: its site, layer and position.
        examples: whose they are, row by row.
        width: length of a vector, ``d``.
        norms: ``[cell]`` mean length of the vectors.
        store: the shards on disk; None while they are in memory.
    """

    cells: tuple[Cell, ...]
    examples: Examples
    width: int
    norms: np.ndarray
    store: ActivationShards | None = None
    memory: np.ndarray | None = None
    _folder: Any = field(default=None)

    def __len__(self) -> int:
        return len(self.examples)

    def __repr__(self) -> str:
        place = "in memory" if self.store is None else f"in {self.store.folder}"
        return (
            f"Activations({len(self)} examples × {len(self.cells)} cells × {self.width}, {place})"
        )

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """First row and ``[row cell d]`` of each piece, mapped rather than read."""
        if self.store is None:
            assert self.memory is not None
            yield 0, self.memory
            return
        for index in range(len(self.store)):
            yield self.store.rows(index).start, self.store.read(index)

    def cell(self, index: int, rows: Tensor | None = None) -> SiteValues:
        """One cell, of some of the examples (ascending rows; all by default)."""
        at = torch.arange(len(self)) if rows is None else rows
        pairs = self.examples.pairs
        return SiteValues(
            self.cells[index].at, self.examples.labels[at], at,
            None if pairs is None else pairs[at], self.examples.classes, index, self,
        )  # fmt: skip

    def layer(self, layer: int, rows: Tensor | None = None) -> SiteValues:
        """The first cell of a layer.

        Raises:
            OptionError: a layer that was not harvested.
        """
        for index, cell in enumerate(self.cells):
            if cell.at.layer == layer:
                return self.cell(index, rows)
        layers = sorted({str(cell.at.layer) for cell in self.cells})
        raise OptionError(
            f"layer {layer} was not harvested", mend=f"use one of: {', '.join(layers)}"
        )


def harvest(
    model: Model,
    examples: Examples,
    sites: str | Address | Sequence[str | Address] = "resid_post",
    layers: Sequence[int] | None = None,
    *,
    positions: Sequence[int] | int | None = None,
    keep: str | Path | None = None,
    batch_size: int = 64,
    progress: Progress = SILENT,
) -> Activations:
    """Run examples forward and keep what they hold at every site, layer and token asked for.

    Args:
        model: a loaded model; the passes stop after the last site that is needed.
        examples: what is run.
        sites: site names (``"resid_post"``), queries (``"L2:4.z[H*]"``) or addresses, all of one
            width.
        layers: of the sites named without one; all by default.
        positions: tokens to read, the same in every example (negative: from the last real one);
            None reads the token that each example names.
        keep: folder for the shards; the same call goes on where it was interrupted. None keeps
            little in memory and much in a temporary folder, which goes with the result.
        batch_size: examples in one pass.
        progress: who is told.

    Returns:
        The activations, float32; memory does not grow with the number of examples.

    Raises:
        OptionError, AddressError: sites that hold no one vector a token, or of different widths; a
            token that an example does not have.
        TaskError: examples of another tokenizer.
        ShapeError: NaN or infinity at a site.
        StoreError: ``keep`` holds another harvest.

    >>> import residuum as rz
    >>> from residuum.directions import harvest
    >>> model = rz.load("microworld", check=False)
    >>> data = rz.Examples.from_task(rz.task("agreement", model, n=4))
    >>> harvest(model, data, "resid_post").layer(0).all().shape == (8, model.dims.d_model)
    True
    """
    need_model(model, "harvest")
    whole_number(batch_size, "batch_size", 1)
    need_progress(progress)
    examples.check_fits(model)
    cells = cells_of(model, examples, sites, layers, positions)
    sinks = _Sink.open(model, examples, cells, keep, batch_size)
    for index in track(sinks.todo, progress, "activations", len(sinks.todo)):
        start = index * batch_size
        stop = min(start + batch_size, len(examples))
        sinks.write(index, _read(model, examples, cells, start, stop))
    return sinks.activations()


def _read(
    model: Model, examples: Examples, cells: Sequence[Cell], start: int, stop: int
) -> np.ndarray:
    """``[row cell d]`` of some examples."""
    captured = list(dict.fromkeys(cell.captured for cell in cells))
    requests = [Capture(at, dtype=torch.float32, device="cpu") for at in captured]
    run = model.run(examples.batch(start, stop), capture=requests, logits=False)
    own = examples.positions[start:stop]
    lengths = examples.lengths[start:stop]
    columns = [cell.read(run[cell.captured], own, lengths) for cell in cells]
    widths = {column.shape[-1] for column in columns}
    if len(widths) > 1:
        raise AddressError(
            f"the sites hold vectors of different widths: {sorted(widths)}",
            mend="harvest sites of one width at a time",
        )
    values = torch.stack(columns, dim=1)
    finite = values.isfinite().all(-1)
    if not bool(finite.all()):
        row, column = (int(each) for each in (~finite).nonzero()[0])
        raise ShapeError(
            f"example {start + row} holds NaN or infinity there",
            mend="look at its text and at the model's weights; nothing can be fitted on it",
            where=str(cells[column].at),
        )
    return values.numpy()


class _Sink:
    """Where a harvest is written: an array, or shards."""

    def __init__(
        self, examples: Examples, cells: tuple[Cell, ...], batch_size: int,
        store: ActivationShards | None, memory: np.ndarray | None, folder: Any,
    ) -> None:  # fmt: skip
        self.examples, self.cells, self.batch_size = examples, cells, batch_size
        self.store, self.memory, self.folder = store, memory, folder
        count = math.ceil(len(examples) / batch_size)
        self.todo = range(count) if store is None else store.missing

    @staticmethod
    def open(
        model: Model, examples: Examples, cells: tuple[Cell, ...], keep: Any, batch_size: int
    ) -> _Sink:
        width = _read(model, examples, cells, 0, 1).shape[-1]
        shape = (len(examples), len(cells), width)
        if keep is None and 4 * math.prod(shape) <= _IN_MEMORY_BYTES:
            memory = np.empty(shape, dtype=np.float32)
            return _Sink(examples, cells, batch_size, None, memory, None)
        folder = tempfile.TemporaryDirectory(prefix="residuum-") if keep is None else None
        work = {
            "model": model.adapted.weight_hash,
            "dtype": str(model.dtype),
            "examples": examples.hash,
            "cells": [str(cell.at) for cell in cells],
        }
        where: Any = keep if folder is None else folder.name
        store = ActivationShards.open(where, work, *shape, rows_per_shard=batch_size)
        return _Sink(examples, cells, batch_size, store, None, folder)

    def write(self, index: int, values: np.ndarray) -> None:
        if self.store is not None:
            self.store.write(index, values)
        else:
            assert self.memory is not None
            start = index * self.batch_size
            self.memory[start : start + len(values)] = values

    def activations(self) -> Activations:
        width = self.store.width if self.store else self.memory.shape[-1]  # type: ignore[union-attr]
        made = Activations(
            self.cells, self.examples, width, np.zeros(len(self.cells)), self.store, self.memory,
            self.folder,
        )  # fmt: skip
        total = sum(np.linalg.norm(chunk, axis=-1).sum(0) for _, chunk in made.chunks())
        return replace(made, norms=np.asarray(total) / len(self.examples))
