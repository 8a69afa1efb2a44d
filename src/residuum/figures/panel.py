"""Panels: small multiples under one heading, such as all attention heads as thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from residuum.core.errors import OptionError, ShapeError
from residuum.figures import paper, record
from residuum.figures.bars import Bars
from residuum.figures.figure import Figure
from residuum.figures.frame import colour_key, frame, legend
from residuum.figures.heatmap import HeatMap
from residuum.figures.layered import LayeredGraph
from residuum.figures.lines import Lines
from residuum.figures.table import Table
from residuum.figures.tokens import TokenStrip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

SINGLE: dict[str, type[Figure]] = {
    cls.kind: cls for cls in (HeatMap, Lines, Bars, TokenStrip, Table, LayeredGraph)
}

OWN_COLOURS = "Each thumbnail has a colour scale of its own: compare shapes, not shades."


@dataclass(frozen=True, eq=False)
class Panel(Figure):
    """A grid of figures under one heading.

    Each figure keeps its own colour limits: give the heat maps the same ``limits`` where
    they are to be compared.

    Args:
        figures: the figures, row by row; no panels inside panels.
        columns: figures per row.
        thumbnails: draw small and without axes; on a page a click opens one in full.

    >>> Panel([HeatMap([[1.0]], title="L0H0")], columns=4, title="Heads").columns
    4
    """

    kind: ClassVar[str] = "panel"
    figures: Sequence[Figure]
    columns: int = 4
    thumbnails: bool = True

    def __post_init__(self) -> None:
        figures = tuple(_read(item) for item in self.figures)
        if not figures:
            raise ShapeError("Panel has no figures", mend="pass at least one figure")
        if int(self.columns) < 1:
            raise OptionError(
                f"Panel.columns must be at least 1, got {self.columns}", mend="pass 1 or more"
            )
        record.settle(self, figures=figures, columns=int(self.columns))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, each figure with its kind."""
        own = {
            key: getattr(self, key)
            for key in ("title", "caption", "does_not_show", "columns", "thumbnails")
        }
        return {"kind": self.kind, **own, "figures": [f.to_json() for f in self.figures]}

    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script."""
        small = self.thumbnails
        cells = "".join(figure.fragment(compact=small) for figure in self.figures)
        shape = "rz-grid rz-thumbs" if small else "rz-grid"
        body = (
            f'<div class="{shape}" style="--columns:{self.columns}">{cells}</div>{self._legend()}'
        )
        describe = f"Panel of {len(self.figures)} figures."
        return frame(self, "panel", body=body, describe=describe, compact=compact)

    def _keys(self) -> set[tuple[str, float, float, str]]:
        """Return the colour scales that the thumbnails use."""
        maps = [f for f in self.figures if isinstance(f, HeatMap) and not f.categorical]
        return {(m.scale, *m.colour_range(), m.unit) for m in maps} if self.thumbnails else set()

    def _legend(self) -> str:
        keys = self._keys()
        if len(keys) == 1:
            return legend(*keys.pop())
        return f'<p class="rz-legend">{OWN_COLOURS}</p>' if keys else ""

    def _paper_caption(self) -> str:
        keys = self._keys()
        key = colour_key(*keys.pop()) if len(keys) == 1 else OWN_COLOURS if keys else ""
        return f"{self.caption} {key}".strip()

    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""
        rows = -(-len(self.figures) // self.columns)
        if self.thumbnails:
            width = min(max(self.columns * 1.05, 3.5), 11.0)
            height = rows * (width / self.columns + 0.12) + 0.1
        else:
            sizes = [figure.paper_inches() for figure in self.figures]
            width = max(size[0] for size in sizes) * self.columns
            height = max(size[1] for size in sizes) * rows
        extra = paper.caption_inches(self.title, self._paper_caption(), self.does_not_show, width)
        return width, height + extra

    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title, axes and caption."""
        wide, tall = self.paper_inches()
        if self.thumbnails:
            self._paint_thumbnails(area, wide, tall)
        else:
            rows = -(-len(self.figures) // self.columns)
            cells = area.subfigures(rows, self.columns, squeeze=False)
            for figure, cell in zip(self.figures, cells.flat, strict=False):
                figure.paint(cell)
        paper.caption(area, self.title, self._paper_caption(), self.does_not_show, wide)

    def _paint_thumbnails(self, area: SubFigure, wide: float, tall: float) -> None:
        """Place axes by hand: a layout engine takes seconds for a hundred heads."""
        top = tall - paper.caption_inches(self.title, "", "", wide) - 0.04
        side, step = wide / self.columns, wide / self.columns + 0.12
        for index, figure in enumerate(self.figures):
            row, col = divmod(index, self.columns)
            left, bottom = col * side + 0.05, top - (row + 1) * step + 0.04
            box = (left / wide, bottom / tall, (side - 0.1) / wide, (step - 0.24) / tall)
            axes = area.add_axes(box)
            figure.sketch(axes)
            name = paper.plain(paper.shorten(figure.title, int(side * 14)))
            axes.set_title(name, fontsize=paper.SMALL, color=paper.INK, pad=2)

    def sketch(self, axes: Axes) -> None:
        """Refuse: a panel is never a thumbnail."""
        raise OptionError("a panel cannot be a thumbnail", mend="draw its figures one by one")


def _read(item: Any) -> Figure:
    if isinstance(item, Mapping):
        return single_from_json(item)
    if not isinstance(item, Figure) or item.kind not in SINGLE:
        raise OptionError(
            f"a panel cannot hold {type(item).__name__}",
            mend=f"pass {', '.join(cls.__name__ for cls in SINGLE.values())}",
        )
    return item


def single_from_json(data: Mapping[str, Any]) -> Figure:
    """Read a figure of any kind but a panel."""
    kind = data.get("kind")
    if kind not in SINGLE:
        raise OptionError(
            f"unknown kind of figure {kind!r}", mend=f"use one of {', '.join(SINGLE)}"
        )
    return SINGLE[kind].from_json(data)
