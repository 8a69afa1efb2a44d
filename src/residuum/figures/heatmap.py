"""Heat maps: a matrix as coloured cells, with exact values under the pointer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from residuum.core.errors import ShapeError
from residuum.figures import categories, markup, palette, paper, record
from residuum.figures.figure import Figure
from residuum.figures.frame import frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure


@dataclass(frozen=True, eq=False)
class HeatMap(Figure):
    """A matrix of values as coloured cells.

    Args:
        values: ``[rows, cols]``; NaN is an impossible cell and is greyed out.
        row_labels: one label per row, top to bottom; none means 0, 1, 2, …
        col_labels: one label per column, left to right.
        x: title of the column axis.
        y: title of the row axis.
        unit: unit of the values, such as ``"logits"`` or ``"recovered fraction"``.
        scale: ``"diverging"`` (centred at zero, positive blue, negative orange), ``"sequential"``,
            or ``"categorical"``: the values are indices of ``categories``, coloured without order.
        limits: values at the ends of the colour bar; ``None`` takes them from the values.
        cell_text: ``[rows, cols]`` short texts to write into the cells, such as top tokens.
        categories: names of a categorical map, the first for "none of them"; the key lists those
            that occur.
        unsure: ``[rows, cols]`` of a categorical map, True where the cell is drawn hatched.
        unsure_name: what the key says of hatched cells.

    >>> figure = HeatMap([[0.5, None]], row_labels=["L0"], unit="logits")
    >>> figure.values.shape, figure.colour_range()
    ((1, 2), (-0.5, 0.5))
    """

    kind: ClassVar[str] = "heatmap"
    values: np.ndarray | Sequence[Sequence[float | None]]
    row_labels: Sequence[str] | None = None
    col_labels: Sequence[str] | None = None
    x: str = ""
    y: str = ""
    unit: str = ""
    scale: palette.MapScale = "diverging"
    limits: tuple[float, float] | None = None
    cell_text: Sequence[Sequence[str]] | None = None
    categories: Sequence[str] | None = None
    unsure: Sequence[Sequence[bool]] | np.ndarray | None = None
    unsure_name: str = "not sure"

    def __post_init__(self) -> None:
        values = record.as_values(self.values, 2, "HeatMap.values")
        if not values.size:
            raise ShapeError(
                f"HeatMap.values is empty, shape {tuple(values.shape)}",
                mend="pass at least one row and one column",
            )
        record.as_choice(self.scale, palette.MAP_SCALES, "HeatMap.scale")
        record.settle(
            self,
            values=values,
            row_labels=record.as_texts(self.row_labels, values.shape[0], "HeatMap.row_labels"),
            col_labels=record.as_texts(self.col_labels, values.shape[1], "HeatMap.col_labels"),
            limits=record.as_limits(self.limits, "HeatMap.limits"),
            cell_text=_cell_text(self.cell_text, values.shape),
            **categories.settle(self, values),
        )

    @property
    def matrix(self) -> np.ndarray:
        """The values as a read-only float64 array."""
        return np.asarray(self.values)

    @property
    def categorical(self) -> bool:
        """Whether cells hold names, not numbers."""
        return self.scale == "categorical"

    def colours(self, theme: palette.Theme = "light") -> np.ndarray:
        """Return the colour of each cell as bytes ``[rows, cols, 3]``."""
        if self.categorical:
            return categories.colours(self, theme)
        return palette.colours(self.matrix, self.scale, *self.colour_range(), theme)

    def colour_range(self) -> tuple[float, float]:
        """Return the values at the two ends of the colour bar."""
        if self.categorical:
            return 0.0, float(len(self.categories or ()))
        return palette.colour_range(self.matrix, self.scale, self.limits)

    def describe(self) -> str:
        """Return one sentence for readers who cannot see the picture."""
        if self.categorical:
            return categories.describe(self)
        rows, cols = self.matrix.shape
        size = f"Heat map, {rows} rows by {cols} columns"
        finite = np.isfinite(self.matrix)
        if not finite.any():
            return f"{size}, no possible cell."
        best = np.unravel_index(np.nanargmax(self.matrix), self.matrix.shape)
        worst = np.unravel_index(np.nanargmin(self.matrix), self.matrix.shape)
        return f"{size}; highest {self._cell(*best)}, lowest {self._cell(*worst)}."

    def _cell(self, row: Any, col: Any) -> str:
        rows, cols = tuple(self.row_labels or ()), tuple(self.col_labels or ())
        value = f"{self.matrix[row, col]:.4g} {self.unit}".rstrip()
        return f"{value} at row {rows[row]}, column {cols[col]}"

    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script."""
        low, high = self.colour_range()
        data = {
            "rows": self.row_labels, "cols": self.col_labels, "x": self.x, "y": self.y,
            "unit": self.unit, "scale": self.scale, "low": low, "high": high,
            "text": self.cell_text, "values": markup.float32_base64(self.matrix),
            "categories": self.categories, "unsure": self.unsure, "unsureName": self.unsure_name,
        }  # fmt: skip
        return frame(self, "heatmap", data=data, describe=self.describe(), compact=compact)

    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""
        wide, high = self._grid_inches()
        width = min(wide + 1.9, 11.0)
        extra = paper.caption_inches(self.title, self.caption, self.does_not_show, width)
        return width, high + 0.9 + extra

    def _grid_inches(self) -> tuple[float, float]:
        rows, cols = self.matrix.shape
        cell = 0.62 if self.cell_text else 0.3
        wide = float(np.clip(cols * cell, 3.0, 9.0))
        tall = 0.28 if self.cell_text else wide / cols
        least = categories.key_inches(self) if self.categorical else 0.6
        return wide, float(np.clip(rows * min(tall, 0.34), least, 10.0))

    def sketch(self, axes: Axes) -> None:
        """Draw a thumbnail onto Matplotlib axes: the picture alone."""
        axes.set_axis_off()
        self._show(axes)

    def _show(self, axes: Axes) -> np.ndarray:
        picture = self.colours()
        axes.imshow(picture, aspect="auto", interpolation="nearest")
        if self.categorical:
            categories.paint_hatch(axes, self)
        return picture

    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title, axes and caption."""
        axes = area.subplots()
        picture = self._show(axes)
        inches = self._grid_inches()
        paper.quiet(axes)
        paper.label_ticks(axes, self.row_labels or (), self.col_labels or (), inches)
        axes.set_xlabel(paper.plain(self.x), fontsize=paper.BODY, color=paper.INK)
        axes.set_ylabel(paper.plain(self.y), fontsize=paper.BODY, color=paper.INK)
        self._write_cells(axes, picture)
        if self.categorical:
            categories.paint_key(axes, self)
        else:
            paper.colour_bar(area, axes, self.scale, *self.colour_range(), self.unit)
        width = self.paper_inches()[0]
        paper.caption(area, self.title, self.caption, self.does_not_show, width)

    def _write_cells(self, axes: Axes, picture: np.ndarray) -> None:
        hatched = categories.marks(self)
        for row, texts in enumerate(self.cell_text or ()):
            for col, text in enumerate(texts):
                face = picture[row, col]
                plate = {"facecolor": palette.hex_of(face), "edgecolor": "none", "pad": 1.2}
                axes.text(
                    col, row, paper.plain(paper.shorten(text, 9)), ha="center", va="center",
                    fontsize=6, color=palette.ink_on(face),
                    bbox=plate if text and hatched[row, col] else None,
                )  # fmt: skip


def _cell_text(
    texts: Sequence[Sequence[str]] | None, shape: tuple[int, ...]
) -> tuple[tuple[str, ...], ...] | None:
    if texts is None:
        return None
    if len(texts) != shape[0]:
        raise ShapeError(
            f"HeatMap.cell_text has {len(texts)} rows for {shape[0]} rows of values",
            mend=f"pass {shape[0]} rows of {shape[1]} texts",
        )
    return tuple(
        record.as_texts(row, shape[1], f"HeatMap.cell_text[{index}]")
        for index, row in enumerate(texts)
    )
