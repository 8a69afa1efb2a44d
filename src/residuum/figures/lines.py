"""Line charts: named series over a common x, each with an optional band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from residuum.core.errors import OptionError, ShapeError
from residuum.figures import markup, palette, paper, record
from residuum.figures.figure import Figure
from residuum.figures.frame import frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

Numbers = Sequence[float | None] | np.ndarray
AxisScale = Literal["linear", "log"]
AXIS_SCALES = ("linear", "log")
_GUIDE = 14
"""Letters in a line of a guide's label, beside the plot."""


@dataclass(frozen=True, eq=False)
class Series:
    """One line: a name, a value per x, and a band from ``lo`` to ``hi`` if both are given.

    NaN in ``y`` leaves a gap.
    """

    name: str
    y: Numbers
    lo: Numbers | None = None
    hi: Numbers | None = None

    def __post_init__(self) -> None:
        where = f"Series {self.name!r}"
        if (self.lo is None) != (self.hi is None):
            raise OptionError(f"{where} has only one end of its band", mend="pass both lo and hi")
        y = record.as_values(self.y, 1, f"{where} y")
        band = [
            None if end is None else record.as_values(end, 1, f"{where} {name}")
            for name, end in (("lo", self.lo), ("hi", self.hi))
        ]
        for end in band:
            if end is not None and end.shape != y.shape:
                raise ShapeError(
                    f"{where} has {len(y)} values and a band of {len(end)}",
                    mend="give lo and hi one value for each y",
                )
        record.settle(self, name=str(self.name), y=y, lo=band[0], hi=band[1])


@dataclass(frozen=True)
class Guide:
    """A horizontal line at ``y``, such as chance level, with its label."""

    y: float
    label: str = ""


@dataclass(frozen=True)
class Moment:
    """A vertical line at ``x``, such as a midpoint, with its interval and its label."""

    x: float
    lo: float | None = None
    hi: float | None = None
    label: str = ""


@dataclass(frozen=True, eq=False)
class Lines(Figure):
    """Several named series over one x axis.

    Args:
        xs: the x of every value, ascending.
        series: the lines.
        x: title of the x axis.
        y: title of the y axis.
        unit: unit of the values.
        x_labels: a label per x where x counts categories, such as layers.
        x_scale: ``"linear"`` or ``"log"``.
        y_scale: ``"linear"`` or ``"log"``.
        guides: horizontal lines to compare with, named at their right.
        moments: vertical lines with an interval each, named above.

    >>> Lines([0, 1], [Series("loss", [2.0, 1.0])], unit="nats").to_json()["series"][0]["y"]
    [2.0, 1.0]
    """

    kind: ClassVar[str] = "lines"
    xs: Numbers
    series: Sequence[Series]
    x: str = ""
    y: str = ""
    unit: str = ""
    x_labels: Sequence[str] | None = None
    x_scale: AxisScale = "linear"
    y_scale: AxisScale = "linear"
    guides: Sequence[Guide] = field(default=())
    moments: Sequence[Moment] = field(default=())

    def __post_init__(self) -> None:
        xs = record.as_values(self.xs, 1, "Lines.xs")
        series = tuple(_read(Series, item, "Series") for item in self.series)
        guides = tuple(_read(Guide, item, "Guide") for item in self.guides)
        moments = tuple(_read(Moment, item, "Moment") for item in self.moments)
        labels = self.x_labels
        if labels is not None:
            labels = record.as_texts(labels, len(xs), "Lines.x_labels")
        record.settle(self, xs=xs, series=series, guides=guides, moments=moments, x_labels=labels)
        self._check(xs, series)

    def _check(self, xs: np.ndarray, series: tuple[Series, ...]) -> None:
        record.as_choice(self.x_scale, AXIS_SCALES, "Lines.x_scale")
        record.as_choice(self.y_scale, AXIS_SCALES, "Lines.y_scale")
        if not series or not len(xs):
            raise ShapeError("Lines has nothing to draw", mend="pass at least one x and one series")
        if not (np.diff(xs) > 0).all():
            raise ShapeError("Lines.xs must ascend without repeats", mend="sort the values by x")
        for line in series:
            if len(line.y) != len(xs):
                raise ShapeError(
                    f"Series {line.name!r} has {len(line.y)} values for {len(xs)} xs",
                    mend="give each series one value for each x; NaN leaves a gap",
                )
        if self.x_scale == "log" and xs[0] <= 0:
            raise OptionError(
                f"Lines.x_scale is log but xs begins at {xs[0]:g}",
                mend="use x_scale='linear', or leave out what is not above 0",
            )
        if self.y_scale == "log" and any((np.asarray(line.y) <= 0).any() for line in series):
            raise OptionError(
                "Lines.y_scale is log but a value is not above 0",
                mend="use y_scale='linear', or write NaN for a gap",
            )

    def describe(self) -> str:
        """Return one sentence for readers who cannot see the picture."""
        ends = [
            f"{line.name} from {np.asarray(line.y)[0]:.4g} to {np.asarray(line.y)[-1]:.4g}"
            for line in self.series[:6]
        ]
        return f"Line chart of {len(self.series)} series: {'; '.join(ends)}."

    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script."""
        data = {
            "xs": markup.float32_base64(np.asarray(self.xs)), "x": self.x, "y": self.y,
            "unit": self.unit, "labels": self.x_labels, "xScale": self.x_scale,
            "yScale": self.y_scale, "guides": self.guides,
            "moments": self.moments,
            "series": [_encoded(line) for line in self.series],
        }  # fmt: skip
        return frame(self, "lines", data=data, describe=self.describe(), compact=compact)

    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""
        extra = paper.caption_inches(self.title, self.caption, self.does_not_show, 6.5)
        return 6.5, 3.1 + extra

    def sketch(self, axes: Axes) -> None:
        """Draw a thumbnail onto Matplotlib axes: the picture alone."""
        self._plot(axes)
        axes.set_xticks([])
        axes.set_yticks([])

    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title, axes and caption."""
        axes = area.subplots()
        self._plot(axes)
        for guide in self.guides:
            axes.annotate(
                "\n".join(wrap(paper.plain(guide.label), _GUIDE)), (1.01, guide.y),
                xycoords=("axes fraction", "data"), ha="left", va="center",
                fontsize=paper.SMALL, color=paper.FAINT, annotation_clip=False,
            )  # fmt: skip
        for moment in self.moments:
            axes.annotate(
                paper.plain(moment.label),
                (moment.x, 1),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize=paper.SMALL,
                color=paper.FAINT,
            )
        if self.x_labels is not None:
            self._label_x(axes, self.x_labels)
        axes.set_xlabel(paper.plain(self.x), fontsize=paper.BODY, color=paper.INK)
        title = f"{self.y} ({self.unit})" if self.y and self.unit else self.y or self.unit
        axes.set_ylabel(paper.plain(title), fontsize=paper.BODY, color=paper.INK)
        if len(self.series) > 1:
            axes.legend(fontsize=paper.SMALL, frameon=False, labelcolor=paper.INK)
        paper.caption(area, self.title, self.caption, self.does_not_show, 6.5)

    def _plot(self, axes: Axes) -> None:
        paper.quiet(axes)
        for index, line in enumerate(self.series):
            _draw(axes, np.asarray(self.xs), line, index)
        paper.scale_axis(axes.xaxis, self.x_scale)
        paper.scale_axis(axes.yaxis, self.y_scale)
        axes.grid(axis="y", color=paper.RULE, linewidth=0.5)
        for guide in self.guides:
            axes.axhline(guide.y, color=paper.FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        for moment in self.moments:
            axes.axvline(moment.x, color=paper.FAINT, linewidth=0.9)
            if moment.lo is not None and moment.hi is not None:
                axes.axvspan(moment.lo, moment.hi, color=paper.FAINT, alpha=0.14, linewidth=0)

    def _label_x(self, axes: Axes, labels: Sequence[str]) -> None:
        shown = paper.every(len(labels), 24)
        places = [float(np.asarray(self.xs)[i]) for i in shown]
        texts = [paper.plain(paper.shorten(labels[i], 14)) for i in shown]
        if max(map(len, texts)) * len(texts) > 80:
            axes.set_xticks(places, texts, rotation=45, ha="right", rotation_mode="anchor")
        else:
            axes.set_xticks(places, texts)


def _read(cls: type[Any], item: Any, name: str) -> Any:
    return item if isinstance(item, cls) else record.unpack(cls, item, name)


def _encoded(line: Series) -> dict[str, Any]:
    parts = {"y": line.y, "lo": line.lo, "hi": line.hi}
    return {"name": line.name} | {
        key: None if part is None else markup.float32_base64(np.asarray(part))
        for key, part in parts.items()
    }


def _draw(axes: Axes, xs: np.ndarray, line: Series, index: int) -> None:
    colour = palette.SERIES["light"][index % len(palette.SERIES["light"])]
    dash = palette.DASHES[index % len(palette.DASHES)]
    y = np.asarray(line.y)
    marker = "o" if len(xs) <= 32 else ""
    axes.plot(
        xs, y, color=colour, linewidth=1.4, label=paper.plain(line.name), marker=marker,
        markersize=2.6, linestyle=(0, tuple(d / 2 for d in dash)) if dash else "-",
    )  # fmt: skip
    if line.lo is not None and line.hi is not None:
        lo, hi = np.asarray(line.lo), np.asarray(line.hi)
        axes.fill_between(xs, lo, hi, color=colour, alpha=0.16, linewidth=0)
