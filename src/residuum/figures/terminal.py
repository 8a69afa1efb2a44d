"""The terminal: tables and heat maps as text, in colour where the terminal takes it."""

from __future__ import annotations

import io
import os
import shutil
import sys
from typing import TYPE_CHECKING

import numpy as np

from residuum.figures import palette
from residuum.figures.heatmap import HeatMap
from residuum.figures.paper import shorten
from residuum.figures.table import Table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


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
        title=Text(table.title) if table.title else None, title_justify="left",
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
    from rich.text import Text

    coloured = wants_colour() if colour is None else colour
    room = width or _terminal_width()
    rows = [shorten(label, 16) for label in heatmap.row_labels or ()]
    left = max(map(len, rows)) + 1
    cells = [[_number(v) for v in line] for line in heatmap.matrix]
    wide = max(max(len(c) for line in cells for c in line), 4) + 1
    fits = max(1, (room - left) // wide)
    cols = [shorten(label, wide - 1) for label in (heatmap.col_labels or ())][:fits]
    low, high = heatmap.colour_range()
    paint = palette.colours(heatmap.matrix, heatmap.scale, low, high, "light")
    text = Text()
    if heatmap.title:
        text.append(heatmap.title + "\n", style="bold")
    text.append(" " * left + "".join(f"{col:>{wide}}" for col in cols) + "\n", style="dim")
    for index, label in enumerate(rows):
        text.append(f"{label:<{left}}")
        for col in range(len(cols)):
            face = paint[index, col]
            style = f"{palette.ink_on(face)} on {palette.hex_of(face)}"
            text.append(f"{cells[index][col]:>{wide}}", style=style if coloured else "")
        text.append("\n")
    text.append(_footer(heatmap, len(cols)), style="dim")
    text.no_wrap = True
    return _printed(text, room, coloured)


def wants_colour() -> bool:
    """Say whether to colour: standard output is a terminal and ``NO_COLOR`` is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _footer(heatmap: HeatMap, shown: int) -> str:
    low, high = heatmap.colour_range()
    parts = [f"{low:.3g} to {high:.3g} {heatmap.unit}".rstrip()]
    if heatmap.y or heatmap.x:
        parts.append(f"rows: {heatmap.y or '–'}, columns: {heatmap.x or '–'}")
    hidden = heatmap.matrix.shape[1] - shown
    if hidden:
        parts.append(f"{hidden} more columns do not fit")
    return " · ".join(parts)


def _number(value: float) -> str:
    return "·" if np.isnan(value) else f"{value:.2f}" if abs(value) < 100 else f"{value:.3g}"


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
