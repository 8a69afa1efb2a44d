"""Bars: named values, horizontal, coloured by sign, with intervals where there are some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from residuum.core.errors import OptionError, ShapeError
from residuum.figures import markup, palette, paper, record
from residuum.figures.figure import Figure
from residuum.figures.frame import frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

Numbers = Sequence[float | None] | np.ndarray
Order = Literal["value", "magnitude", "given"]
ORDERS = ("value", "magnitude", "given")


@dataclass(frozen=True, eq=False)
class Bars(Figure):
    """Named values as horizontal bars, positive blue and negative orange.

    Args:
        names: one name per bar.
        values: one value per bar; NaN draws no bar and says so.
        lo: lower ends of the intervals, if there are intervals.
        hi: upper ends.
        x: title of the value axis.
        unit: unit of the values.
        order: ``"value"`` (highest first), ``"magnitude"`` (largest absolute value first)
            or ``"given"``.

    >>> Bars(["a", "b"], [1.0, 2.0]).ranked()
    (1, 0)
    """

    kind: ClassVar[str] = "bars"
    names: Sequence[str]
    values: Numbers
    lo: Numbers | None = None
    hi: Numbers | None = None
    x: str = ""
    unit: str = ""
    order: Order = "value"

    def __post_init__(self) -> None:
        values = record.as_values(self.values, 1, "Bars.values")
        if not len(values):
            raise ShapeError("Bars has nothing to draw", mend="pass at least one value")
        if (self.lo is None) != (self.hi is None):
            raise OptionError("Bars has only one end of its intervals", mend="pass both lo and hi")
        ends = {"lo": self.lo, "hi": self.hi}
        settled = {
            key: None if end is None else record.as_values(end, 1, f"Bars.{key}")
            for key, end in ends.items()
        }
        for key, end in settled.items():
            if end is not None and end.shape != values.shape:
                raise ShapeError(
                    f"Bars.{key} has {len(end)} entries for {len(values)} values",
                    mend="give one interval end for each value; NaN for none",
                )
        record.as_choice(self.order, ORDERS, "Bars.order")
        names = record.as_texts(self.names, len(values), "Bars.names")
        record.settle(self, values=values, names=names, **settled)

    def ranked(self) -> tuple[int, ...]:
        """Return the indices of the bars from top to bottom; NaN comes last."""
        values = np.asarray(self.values)
        if self.order == "given":
            return tuple(range(len(values)))
        key = -values if self.order == "value" else -np.abs(values)
        return tuple(int(index) for index in np.argsort(key, kind="stable"))

    def describe(self) -> str:
        """Return one sentence for readers who cannot see the picture."""
        values = np.asarray(self.values)
        top = [f"{self.names[i]} {values[i]:.4g}" for i in self.ranked()[:3]]
        return f"Bar chart of {len(values)} values in {self.unit or 'no unit'}: {', '.join(top)}."

    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script."""
        order = list(self.ranked())
        data: dict[str, object] = {"names": [self.names[i] for i in order]}
        for key, part in (("values", self.values), ("lo", self.lo), ("hi", self.hi)):
            data[key] = None if part is None else markup.float32_base64(np.asarray(part)[order])
        data |= {"x": self.x, "unit": self.unit}
        return frame(self, "bars", data=data, describe=self.describe(), compact=compact)

    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""
        extra = paper.caption_inches(self.title, self.caption, self.does_not_show, 6.0)
        return 6.0, min(0.75 + 0.2 * len(self.names), 14.0) + extra

    def sketch(self, axes: Axes) -> None:
        """Draw a thumbnail onto Matplotlib axes: the picture alone."""
        self._plot(axes)
        axes.set_xticks([])
        axes.set_yticks([])

    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title, axes and caption."""
        axes = area.subplots()
        order = self._plot(axes)
        shown = paper.every(len(order), 64)
        names = [paper.plain(paper.shorten(self.names[order[i]], 32)) for i in shown]
        axes.set_yticks(list(shown), names)
        axes.grid(axis="x", color=paper.RULE, linewidth=0.5)
        axes.set_axisbelow(True)
        title = f"{self.x} ({self.unit})" if self.x and self.unit else self.x or self.unit
        axes.set_xlabel(paper.plain(title), fontsize=paper.BODY, color=paper.INK)
        paper.caption(area, self.title, self.caption, self.does_not_show, 6.0)

    def _plot(self, axes: Axes) -> list[int]:
        paper.quiet(axes)
        order = list(self.ranked())
        values = np.asarray(self.values)[order]
        places = np.arange(len(order))
        signs = [palette.POSITIVE if v >= 0 else palette.NEGATIVE for v in values]
        axes.barh(places, np.nan_to_num(values), color=[s["light"] for s in signs], height=0.72)
        if self.lo is not None and self.hi is not None:
            lo, hi = np.asarray(self.lo)[order], np.asarray(self.hi)[order]
            axes.hlines(places, lo, hi, color=paper.INK, linewidth=0.9)
        axes.axvline(0, color=paper.FAINT, linewidth=0.6)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        return order
