"""Layered graphs: parts of a network from bottom to top, links as wide as they are strong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from residuum.core.errors import OptionError, ShapeError
from residuum.figures import layered_paper, markup, record
from residuum.figures.figure import Figure
from residuum.figures.frame import frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

Numbers = Sequence[float | None] | np.ndarray


@dataclass(frozen=True)
class Box:
    """One box: its full name, what is written on it, its row from the bottom and its lane."""

    name: str
    label: str
    row: int
    lane: int = 0


@dataclass(frozen=True)
class Link:
    """A link from one box to another, by number.

    ``port`` says where on the lower edge it arrives, from -1 (left) to 1 (right); ``note`` what
    else there is to tell of it.
    """

    source: int
    target: int
    value: float | None = None
    port: float = 0.0
    note: str = ""


@dataclass(frozen=True, eq=False)
class Measured:
    """A measure at several numbers of links, with an interval each, drawn beside the graph."""

    name: str
    sizes: Numbers
    values: Numbers
    lo: Numbers | None = None
    hi: Numbers | None = None

    def __post_init__(self) -> None:
        sizes = record.as_values(self.sizes, 1, "Measured.sizes")
        rest = {
            key: None if each is None else record.as_values(each, 1, f"Measured.{key}")
            for key, each in (("values", self.values), ("lo", self.lo), ("hi", self.hi))
        }
        if any(each is not None and each.shape != sizes.shape for each in rest.values()):
            raise ShapeError(
                "Measured has another number of values than of sizes",
                mend="give one value (and one end of each interval) for each size",
            )
        if (self.lo is None) != (self.hi is None):
            raise OptionError("Measured has one end of its intervals", mend="pass both lo and hi")
        if not (np.diff(sizes) > 0).all() or not len(sizes) or sizes[0] <= 0:
            raise ShapeError("Measured.sizes must ascend from above 0", mend="sort them by size")
        record.settle(self, name=str(self.name), sizes=sizes, **rest)


@dataclass(frozen=True, eq=False)
class LayeredGraph(Figure):
    """Boxes in rows and weighted links between them, positive blue, negative orange and dashed.

    On a page a slider leaves only the first links; on paper the first ``shown`` are drawn.

    Args:
        parts: the boxes; a row's stand side by side in the order given.
        links: the links, the most important first; a value of None has no weight.
        rows: a label for each row, from the bottom; may be empty.
        shown: how many links are drawn at first; None for all.
        total: how many links there are in the whole of which these are some; 0 if it is not known.
        unit: unit of the values.
        noun: what a link is called, in the plural.
        measured: a measure at several numbers of links, or None.

    >>> boxes = [Box("embed", "embed", 0), Box("logits", "logits", 1)]
    >>> LayeredGraph(boxes, [Link(0, 1, 0.5)], ["", ""]).describe()
    'Layered graph of 2 parts and 1 edges: embed to logits 0.5.'
    """

    kind: ClassVar[str] = "graph"
    parts: Sequence[Box]
    links: Sequence[Link]
    rows: Sequence[str]
    shown: int | None = None
    total: int = 0
    unit: str = ""
    noun: str = "edges"
    measured: Measured | None = None

    def __post_init__(self) -> None:
        parts = tuple(_read(Box, item, "Box") for item in self.parts)
        links = tuple(_read(Link, item, "Link") for item in self.links)
        measured = self.measured
        if measured is not None:
            measured = _read(Measured, measured, "Measured")
        rows = tuple(str(label) for label in self.rows)
        _check(parts, links, rows)
        shown = len(links) if self.shown is None else int(self.shown)
        if not 0 < shown <= len(links):
            raise OptionError(
                f"LayeredGraph.shown is {self.shown} of {len(links)} links",
                mend=f"use 1 to {len(links)}, or None for all",
            )
        record.settle(self, parts=parts, links=links, rows=rows, shown=shown, measured=measured)

    def describe(self) -> str:
        """Return one sentence for readers who cannot see the picture."""
        names = [part.name for part in self.parts]
        told = [
            f"{names[link.source]} to {names[link.target]}"
            + (f" {link.value:.3g}" if link.value is not None else "")
            for link in self.links[:3]
        ]
        size = f"{len(self.parts)} parts and {len(self.links)} {self.noun}"
        return f"Layered graph of {size}: {', '.join(told)}."

    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script."""
        return frame(self, "graph", data=self._data(), describe=self.describe(), compact=compact)

    def _data(self) -> dict[str, Any]:
        values = [np.nan if link.value is None else link.value for link in self.links]
        data: dict[str, Any] = {
            "names": [part.name for part in self.parts],
            "labels": [part.label for part in self.parts],
            "row": [part.row for part in self.parts],
            "lane": [part.lane for part in self.parts],
            "rows": self.rows,
            "source": [link.source for link in self.links],
            "target": [link.target for link in self.links],
            "port": [link.port for link in self.links],
            "note": [link.note for link in self.links],
            "values": markup.float32_base64(np.asarray(values)),
            "shown": self.shown,
            "total": self.total,
            "unit": self.unit,
            "noun": self.noun,
            "measured": None,
        }
        if self.measured is not None:
            curve = {"sizes": self.measured.sizes, "values": self.measured.values}
            curve |= {"lo": self.measured.lo, "hi": self.measured.hi}
            data["measured"] = {"name": self.measured.name} | {
                key: None if each is None else markup.float32_base64(np.asarray(each))
                for key, each in curve.items()
            }
        return data

    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""
        return layered_paper.inches(self)

    def sketch(self, axes: Axes) -> None:
        """Draw a thumbnail onto Matplotlib axes: the picture alone."""
        layered_paper.draw(axes, self, labels=False)

    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title, rows and caption."""
        layered_paper.paint(area, self)


def _check(parts: tuple[Box, ...], links: tuple[Link, ...], rows: tuple[str, ...]) -> None:
    if not parts or not links:
        raise ShapeError("LayeredGraph has nothing to draw", mend="pass parts and a link or more")
    for part in parts:
        if not 0 <= part.row < len(rows) or part.lane < 0:
            raise ShapeError(
                f"Box {part.name!r} is in row {part.row} of {len(rows)}",
                mend="number rows from the bottom, from 0, and give each a label",
            )
    for link in links:
        ends = (link.source, link.target)
        if any(not 0 <= end < len(parts) for end in ends):
            raise ShapeError(
                f"a Link goes from {ends[0]} to {ends[1]} of {len(parts)} parts",
                mend="number the parts from 0, in the order given",
            )
        if link.value is not None and not np.isfinite(link.value):
            raise ShapeError("a Link has a value that is not finite", mend="use None for no value")


def _read(cls: type[Any], item: Any, name: str) -> Any:
    return item if isinstance(item, cls) else record.unpack(cls, item, name)
