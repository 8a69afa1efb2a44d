"""Features as arrows in the plane, one small drawing for each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from residuum.core import ShapeError
from residuum.figures import Figure, markup, palette, paper, record
from residuum.figures.frame import frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

_REACH = 1.35
"""Half the side of a drawing, in units of weight."""

_LETTERS = 22
"""Letters in a line below a drawing."""


@dataclass(frozen=True, eq=False)
class Arrows(Figure):
    """Vectors from the origin, several drawings side by side on one scale.

    Args:
        vectors: for each drawing, ``[vector, 2]``.
        names: a line below each drawing.

    >>> Arrows([[[1.0, 0.0], [0.0, 1.0]]], ["dense"]).describe()
    '1 drawing of vectors: dense 2.'
    """

    kind: ClassVar[str] = "arrows"
    vectors: Sequence[Any]
    names: Sequence[str]

    def __post_init__(self) -> None:
        if not self.vectors:
            raise ShapeError("Arrows has nothing to draw", mend="pass at least one drawing")
        vectors = tuple(record.as_values(each, 2, "Arrows.vectors") for each in self.vectors)
        for each in vectors:
            if each.shape[1] != 2:
                raise ShapeError(
                    f"Arrows got vectors of {each.shape[1]} numbers",
                    mend="give two numbers a vector; train with dims=2",
                )
        names = record.as_texts(self.names, len(vectors), "Arrows.names")
        record.settle(self, vectors=vectors, names=names)

    def describe(self) -> str:
        """Return one sentence for readers who cannot see the picture."""
        counts = ", ".join(
            f"{name} {len(each)}" for name, each in zip(self.names, self.vectors, strict=True)
        )
        many = "drawing" if len(self.names) == 1 else "drawings"
        return f"{len(self.names)} {many} of vectors: {counts}."

    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script; the drawing needs none."""
        body = "".join(
            f'<div style="display:inline-block;width:8.5em;vertical-align:top;text-align:center">'
            f"{_drawing(np.asarray(each))}<div>{markup.escape(name)}</div></div>"
            for name, each in zip(self.names, self.vectors, strict=True)
        )
        return frame(self, self.kind, body=body, describe=self.describe(), compact=compact)

    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""
        wide = max(1.6 * len(self.vectors), 4.0)
        lines = max(len(wrap(name, _LETTERS)) for name in self.names)
        return wide, 1.75 + 0.15 * lines + paper.caption_inches(
            self.title, self.caption, self.does_not_show, wide
        )

    def sketch(self, axes: Axes) -> None:
        """Draw the first drawing onto Matplotlib axes."""
        _plot(axes, np.asarray(self.vectors[0]))

    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title and caption."""
        grid = area.subplots(1, len(self.vectors), squeeze=False)[0]
        for axes, name, each in zip(grid, self.names, self.vectors, strict=True):
            _plot(axes, np.asarray(each))
            words = "\n".join(wrap(paper.plain(name), _LETTERS))
            axes.set_xlabel(words, fontsize=paper.BODY, color=paper.INK)
        wide = self.paper_inches()[0]
        paper.caption(area, self.title, self.caption, self.does_not_show, wide)


def _plot(axes: Axes, vectors: np.ndarray) -> None:
    axes.set_aspect("equal")
    axes.set_xlim(-_REACH, _REACH)
    axes.set_ylim(-_REACH, _REACH)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(paper.RULE)
    for index, (x, y) in enumerate(vectors):
        colour = palette.SERIES["light"][index % len(palette.SERIES["light"])]
        axes.plot([0, x], [0, y], color=colour, linewidth=1.6, solid_capstyle="round")
        axes.plot([x], [y], "o", color=colour, markersize=3.4)


def _drawing(vectors: np.ndarray) -> str:
    """The same as inline SVG."""
    lines = []
    for index, (x, y) in enumerate(vectors):
        colour = palette.SERIES["light"][index % len(palette.SERIES["light"])]
        end = f'"{60 + 55 * x / _REACH:.1f}"', f'"{60 - 55 * y / _REACH:.1f}"'
        lines.append(
            f'<line x1="60" y1="60" x2={end[0]} y2={end[1]} stroke="{colour}" stroke-width="2"/>'
            f'<circle cx={end[0]} cy={end[1]} r="3" fill="{colour}"/>'
        )
    return (
        '<svg width="120" height="120" viewBox="0 0 120 120" aria-hidden="true">'
        '<rect x="2" y="2" width="116" height="116" fill="none" stroke="currentColor" '
        f'opacity=".25"/>{"".join(lines)}</svg>'
    )
