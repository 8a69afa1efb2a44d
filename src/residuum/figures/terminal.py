"""The terminal: tables and heat maps as text, in colour where the terminal takes it."""

from __future__ import annotations

import io
import os
import shutil
import sys
from typing import TYPE_CHECKING

import numpy as np

from residuum.figures import categories, palette
from residuum.figures.heatmap import HeatMap
from residuum.figures.paper import shorten
from residuum.figures.table import Table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WIDEST_HEADING = 6
"""Columns that a heading may take for itself, beyond what the cells need."""


def terminal_table(table: Table, width: int | None = None, colour: bool | None = None) -> str:
    """Return a table as aligned text.

    Args:
        table: what to show.
        width: columns of the terminal; ``None`` asks it.
        colour: ``None`` colours only a terminal, and not where ``NO_COLOR`` is set.

    Returns:
        Lines of text, without a line break at the end.
    """
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        title=Text(table.title, style="bold") if table.title else None, title_justify="left",
        title_style="bold", header_style="bold", border_style="dim",
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False,
    )  # fmt: skip
    for index, column in enumerate(table.heads):
        grid.add_column(Text(column.heading), justify=table.alignment(index), overflow="fold")
    for row in range(len(table.rows)):
        grid.add_row(*(Text(table.shown(row, col)) for col in range(len(table.heads))))
    return _printed(grid, width, colour)


def terminal_heatmap(heatmap: HeatMap, width: int | None = None, colour: bool | None = None) -> str:
    """Return a heat map as text: coloured cells, or numbers where there is no colour.

    Args:
        heatmap: what to show.
        width: columns of the terminal; ``None`` asks it. Columns that do not fit are left
            out, and the last line says how many.
        colour: ``None`` colours only a terminal, and not where ``NO_COLOR`` is set.
    """
    from rich.cells import cell_len
    from rich.text import Text

    coloured = wants_colour() if colour is None else colour
    room = width or _terminal_width()
    rows = [_fitted(label, 16) for label in heatmap.row_labels or ()]
    left, wide = _widths(heatmap)
    cells = _cells(heatmap)
    count = columns_that_fit(heatmap, room)
    heads = [_fitted(label, wide - 1) for label in (heatmap.col_labels or ())[:count]]
    paint = heatmap.colours()
    text = Text(no_wrap=True, overflow="crop")
    if heatmap.title:
        text.append(heatmap.title + "\n", style="bold")
    text.append(" " * left + "".join(_right(head, wide) for head in heads) + "\n", style="dim")
    for row, label in enumerate(rows):
        text.append(label + " " * (left - cell_len(label)))
        for col in range(count):
            face = paint[row, col]
            style = f"{palette.ink_on(face)} on {palette.hex_of(face)}" if coloured else ""
            text.append(_right(cells[row][col], wide), style=style)
        text.append("\n")
    text.append(_footer(heatmap, count, room), style="dim")
    return _printed(text, room, coloured)


def columns_that_fit(heatmap: HeatMap, width: int) -> int:
    """How many of its columns a terminal of this width shows."""
    left, wide = _widths(heatmap)
    return min(max(1, (width - left) // wide), heatmap.matrix.shape[1])


def _widths(heatmap: HeatMap) -> tuple[int, int]:
    """Columns of the terminal for the row labels, and for each cell."""
    from rich.cells import cell_len

    labels = [_fitted(label, 16) for label in heatmap.row_labels or ()]
    widest = max(cell_len(cell) for line in _cells(heatmap) for cell in line)
    heading = max(map(cell_len, heatmap.col_labels or ()), default=0)
    return max(map(cell_len, labels)) + 1, max(widest, 4, min(heading, _WIDEST_HEADING)) + 1


def _cells(heatmap: HeatMap) -> list[list[str]]:
    """Return what stands in each cell: its text, if it has one, and its value."""
    if heatmap.categorical:
        texts = heatmap.cell_text or categories.texts(heatmap)
        return [[_fitted(text.strip(), 16) for text in row] for row in texts]
    numbers = [[_number(value) for value in line] for line in heatmap.matrix]
    if heatmap.cell_text is None:
        return numbers
    return [
        [f"{_fitted(text.strip(), 9)} {number}" for text, number in zip(texts, line, strict=True)]
        for texts, line in zip(heatmap.cell_text, numbers, strict=True)
    ]


def _fitted(text: str, wide: int) -> str:
    return shorten(text.replace("\n", "⏎").replace("\t", "⇥"), wide)


def _right(text: str, wide: int) -> str:
    from rich.cells import cell_len

    return " " * (wide - cell_len(text)) + text


def wants_colour() -> bool:
    """Say whether to colour: standard output is a terminal and ``NO_COLOR`` is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _footer(heatmap: HeatMap, shown: int, room: int) -> str:
    low, high = heatmap.colour_range()
    scale = f"{low:.3g} to {high:.3g} {heatmap.unit}".rstrip()
    parts = [categories.describe(heatmap) if heatmap.categorical else scale]
    if heatmap.y or heatmap.x:
        named = {"rows": heatmap.y, "columns": heatmap.x}
        parts.append(", ".join(f"{what}: {name}" for what, name in named.items() if name))
    hidden = heatmap.matrix.shape[1] - shown
    if hidden:
        parts.append(f"{hidden} more columns do not fit")
    line = " · ".join(parts)
    return line if len(line) <= room else "\n".join(parts)


def _number(value: float) -> str:
    if np.isnan(value):
        return "·"
    return f"{value + 0.0:.3g}" if abs(value) >= 100 else f"{round(value, 2) + 0.0:.2f}"


def _terminal_width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def _console(width: int | None, coloured: bool) -> Console:
    from rich.console import Console

    return Console(
        file=io.StringIO(), width=width or _terminal_width(), force_terminal=coloured,
        color_system="truecolor" if coloured else None, no_color=not coloured,
        legacy_windows=False, highlight=False,
    )  # fmt: skip


def _printed(item: RenderableType, width: int | None, colour: bool | None) -> str:
    coloured = wants_colour() if colour is None else colour
    console = _console(width, coloured)
    with console.capture() as caught:
        console.print(item)
    return "\n".join(line.rstrip() for line in caught.get().rstrip("\n").split("\n"))
