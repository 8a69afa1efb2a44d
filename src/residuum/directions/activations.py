"""Activations of examples, in memory or in shards on disk, read cell by cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import OptionError
from residuum.directions.examples import Examples
from residuum.directions.reading_places import Cell
from residuum.directions.site_values import SiteValues
from residuum.stores import ActivationShards


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

    def read(self, rows: Tensor, cell: int) -> Float[Tensor, "m d"]:
        """Vectors of some rows (ascending) of one cell; only their shards are opened."""
        if self.store is None:
            assert self.memory is not None
            return torch.from_numpy(self.memory[rows.numpy(), cell])
        found, done = np.empty((len(rows), self.width), dtype=np.float32), 0
        shards = rows.numpy() // self.store.rows_per_shard
        for index in np.unique(shards):
            stop = int(np.searchsorted(shards, index, side="right"))
            inside = rows[done:stop].numpy() - self.store.rows(int(index)).start
            found[done:stop] = self.store.read(int(index))[inside, cell]
            done = stop
        return torch.from_numpy(found)

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
