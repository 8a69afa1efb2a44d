"""Tables: columns with units and alignments, rows of texts and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from residuum.core.errors import OptionError, ShapeError
from residuum.figures import markup, paper, record
from residuum.figures.figure import Figure
from residuum.figures.frame import frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

Align = Literal["left", "right", "center"]
ALIGNMENTS = ("left", "right", "center")
Cell = str | int | float | bool | None
WIDEST = 48  # characters of a column on paper
LONGEST = 60  # rows on paper
LONG = 24  # characters of a cell that needs room for a line, on narrow screens too


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: heading.
        unit: unit of its numbers, shown in the heading.
        align: ``"left"``, ``"right"`` or ``"center"``; ``None`` sets numbers right, text left.
        digits: digits after the decimal point; ``None`` shows four significant ones.
    """

    name: str
    unit: str = ""
    align: Align | None = None
    digits: int | None = None

    def __post_init__(self) -> None:
        if self.align is not None:
            record.as_choice(self.align, ALIGNMENTS, "Column.align")

    @property
    def heading(self) -> str:
        """The name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True, eq=False)
class Table(Figure):
    """Rows under named columns.

    Args:
        columns: ``Column`` records, or plain names.
        rows: one sequence of cells per row; ``None`` and NaN are shown as a dash.

    >>> table = Table([Column("head"), Column("effect", "logits", digits=2)], [["L2.z[H3]", 1]])
    >>> table.shown(0, 1)
    '1.00'
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        columns = tuple(_column(item) for item in self.columns)
        rows = tuple(tuple(_cell(cell) for cell in row) for row in self.rows)
        if not columns:
            raise ShapeError("Table has no columns", mend="pass at least one column")
        for index, row in enumerate(rows):
            if len(row) != len(columns):
                raise ShapeError(
                    f"Table row {index} has {len(row)} cells for {len(columns)} columns",
                    mend="give each row one cell per column; None for an empty one",
                )
        record.settle(self, columns=columns, rows=rows)

    @property
    def heads(self) -> tuple[Column, ...]:
        """The columns as records."""
        return tuple(_column(item) for item in self.columns)

    def alignment(self, column: int) -> Align:
        """Return how a column is set: as it says, or right where it holds numbers."""
        stated = self.heads[column].align
        if stated is not None:
            return stated
        cells = [row[column] for row in self.rows if row[column] is not None]
        return "right" if cells and all(_is_number(cell) for cell in cells) else "left"

    def shown(self, row: int, column: int) -> str:
        """Return the text of one cell."""
        return show(self.rows[row][column], self.heads[column].digits)

    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script."""
        heads = "".join(
            f'<th scope="col" class="rz-{self.alignment(i)}">{markup.escape(column.name)}'
            + (f' <span class="rz-unit">{markup.escape(column.unit)}</span>' if column.unit else "")
            + "</th>"
            for i, column in enumerate(self.heads)
        )
        rows = "".join(f"<tr>{self._row(index)}</tr>" for index in range(len(self.rows)))
        empty = "" if self.rows else '<p class="rz-empty">No rows.</p>'
        name = markup.escape(self.title or "Table")
        body = (
            f'<div class="rz-scroll" tabindex="0" role="region" aria-label="{name}">'
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{empty}</div>"
        )
        return frame(self, "table", body=body, compact=compact)

    def _row(self, index: int) -> str:
        cells = []
        for column in range(len(self.heads)):
            raw = self.rows[index][column]
            value = f' data-value="{raw!r}"' if _is_number(raw) else ""
            shown = self.shown(index, column)
            long = " rz-long" if len(shown) > LONG else ""
            cells.append(
                f'<td class="rz-{self.alignment(column)}{long}"{value}>{markup.escape(shown)}</td>'
            )
        return "".join(cells)

    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""
        width = min(max(3.0, sum(self._widths()) * 0.082), 10.0)
        extra = paper.caption_inches(self.title, self.caption, self.does_not_show, width)
        return width, 0.35 + 0.2 * (min(len(self.rows), LONGEST) + 2) + extra

    def _widths(self) -> list[int]:
        widths = [len(column.heading) for column in self.heads]
        for row in range(min(len(self.rows), LONGEST)):
            widths = [max(w, len(self.shown(row, c))) for c, w in enumerate(widths)]
        return [min(width, WIDEST) + 4 for width in widths]

    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title, axes and caption."""
        self.sketch(area.subplots())
        wide = self.paper_inches()[0]
        paper.caption(area, self.title, self.caption, self.does_not_show, wide)

    def sketch(self, axes: Axes) -> None:
        """Draw a thumbnail onto Matplotlib axes: the picture alone."""
        axes.set_axis_off()
        widths = self._widths()
        edges = np.concatenate([[0], np.cumsum(widths)]) / sum(widths)
        axes.set_xlim(0, 1)
        count = min(len(self.rows), LONGEST)
        axes.set_ylim(count + 2, 0)
        for c, column in enumerate(self.heads):
            align = self.alignment(c)
            x = {
                "left": edges[c],
                "right": edges[c + 1] - 2 / sum(widths),
                "center": edges[c : c + 2].mean(),
            }[align]
            put = {"ha": align, "va": "center", "fontsize": paper.SMALL, "color": paper.INK}
            axes.text(x, 0.5, paper.plain(column.heading), fontweight="bold", **put)
            for r in range(count):
                shown = paper.shorten(self.shown(r, c), WIDEST)
                axes.text(x, r + 1.5, paper.plain(shown), **put)
        axes.hlines([1], 0, 1, color=paper.INK, linewidth=0.8)
        axes.hlines(np.arange(2, count + 2), 0, 1, color=paper.RULE, linewidth=0.4)
        if hidden := len(self.rows) - count:
            more = f"… and {hidden} more rows"
            axes.text(0, count + 1.5, more, va="center", fontsize=paper.SMALL, color=paper.FAINT)


def show(cell: Cell, digits: int | None = None) -> str:
    """Return the text of a cell value.

    >>> show(0.123456), show(None), show(True), show(12345), show(1.0, 2)
    ('0.1235', '–', 'yes', '12345', '1.00')
    """
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str):
        return cell
    if digits is None:
        return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
    text = f"{cell:.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.") else text  # no minus before a plain zero


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def _column(item: Any) -> Column:
    if isinstance(item, Column):
        return item
    return Column(item) if isinstance(item, str) else record.unpack(Column, item, "Column")


def _cell(cell: Any) -> Cell:
    value = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise OptionError(
        f"a table cell cannot hold {type(value).__name__}",
        mend="pass text, a number, True, False or None",
    )
