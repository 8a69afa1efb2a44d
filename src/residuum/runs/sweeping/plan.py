"""How a sweep is divided: which prompts share a base run, which cells share a pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor

from residuum.runs.sweeping.grid import Cell, Grid


@dataclass(frozen=True)
class Block:
    """Cells that are computed together, for some of the prompts.

    Attributes:
        first_row, end_row: the prompts, counted in the whole task.
        pos: position that every cell writes at; None where they write at all.
        cells: number of each cell in the order of :meth:`Grid.cells`; none at all means the
            unpatched prompts themselves.
    """

    first_row: int
    end_row: int
    pos: int | None = None
    cells: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """How much goes into one pass.

    Attributes:
        tokens: rows × positions of one batch of forks.
        rows: prompts that share a base run.
    """

    tokens: int
    rows: int


def plan_blocks(
    grid: Grid, first: Tensor, ends: Tensor, width: int, sizes: Sizes, *, forked: bool
) -> list[Block]:
    """All blocks of a sweep; cells that cannot change any of a block's prompts are in none.

    Args:
        first: ``[row]`` first position that the written values differ at; ``width`` for none.
        ends: ``[row]`` position of each prompt's answer.
        width: positions of the batch.
        forked: False plans one cell a pass and leaves nothing out.
    """
    blocks = []
    by_position = _by_position(grid)
    for low in range(0, len(first), sizes.rows):
        high = min(low + sizes.rows, len(first))
        blocks.append(Block(low, high))
        for pos, cells in by_position:
            many = 1
            if forked:
                rows = changed_rows(first[low:high], ends[low:high], pos, width, grid.causal)
                if not len(rows):
                    continue
                start = start_of(first[low:high][rows], pos, grid.causal)
                many = max(1, sizes.tokens // (len(rows) * (width - start)))
            for at in range(0, len(cells), many):
                blocks.append(Block(low, high, pos, tuple(cells[at : at + many])))
    return blocks


def _by_position(grid: Grid) -> list[tuple[int | None, list[int]]]:
    """Cell numbers by the position that they write at, layer by layer."""
    cells: list[tuple[Cell, int]] = [(cell, i) for i, (_, cell) in enumerate(grid.cells())]

    def position(each: tuple[Cell, int]) -> int:
        return -1 if each[0].pos is None else each[0].pos

    cells.sort(key=lambda each: (position(each), each[0].layer, each[1]))
    return [
        (None if pos < 0 else pos, [number for _, number in group])
        for pos, group in groupby(cells, key=position)
    ]


def changed_rows(first: Tensor, ends: Tensor, pos: int | None, width: int, causal: bool) -> Tensor:
    """Prompts that a write can change: those that differ at or before the position."""
    last = width - 1 if pos is None or not causal else pos
    reached = ends >= (0 if pos is None else pos)
    return ((first <= last) & (first < width) & reached).nonzero().flatten()


def start_of(first: Tensor, pos: int | None, causal: bool) -> int:
    """First position that a write at ``pos`` can change in the prompts that it changes."""
    if not causal:
        return 0
    return int(first.min()) if pos is None else pos


def by_layer(cells: list[Cell]) -> Iterator[tuple[int, list[Cell]]]:
    """Cells grouped by layer, in their order."""
    for layer, group in groupby(cells, key=lambda cell: cell.layer):
        yield layer, list(group)
