"""Layered graphs on paper, and where their boxes stand: the page places them alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from residuum.figures import palette, paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

_WIDTH = 6.5
_BESIDE = 2.2
_ROW = 0.34
_GAP = 0.5
"""Room between two lanes, in boxes."""


class Graph(Protocol):
    """What is read of a layered graph."""

    @property
    def parts(self) -> Sequence[Any]:
        """The boxes."""
        ...

    @property
    def links(self) -> Sequence[Any]:
        """The links, most important first."""
        ...

    @property
    def rows(self) -> Sequence[str]:
        """Labels of the rows."""
        ...

    @property
    def shown(self) -> int | None:
        """How many links are drawn."""
        ...

    @property
    def measured(self) -> Any:
        """A measure beside, or None."""
        ...

    @property
    def title(self) -> str:
        """Title."""
        ...

    @property
    def caption(self) -> str:
        """What it shows."""
        ...

    @property
    def does_not_show(self) -> str:
        """What it does not show."""
        ...


def places(parts: Sequence[Any]) -> np.ndarray:
    """Middle of each box across, from 0 to 1: lanes side by side, a row's boxes evenly in its lane.

    A lane is as wide as its fullest row needs.
    """
    lanes = range(1 + max(part.lane for part in parts))
    members: dict[tuple[int, int], list[int]] = {}
    for index, part in enumerate(parts):
        members.setdefault((part.lane, part.row), []).append(index)
    wide = [
        max((_needs(parts, found) for (at, _), found in members.items() if at == lane), default=0.0)
        for lane in lanes
    ]
    starts = np.cumsum([0.0, *(each + _GAP for each in wide)])
    across = np.zeros(len(parts))
    for (lane, _), found in members.items():
        step = wide[lane] / len(found)
        across[found] = starts[lane] + step * (np.arange(len(found)) + 0.5)
    return across / (starts[-1] - _GAP)


def _needs(parts: Sequence[Any], found: list[int]) -> float:
    """Room that a row's boxes need: one each, more where a label is long."""
    return sum(max(1.0, len(parts[index].label) / 3) for index in found)


def inches(graph: Graph) -> tuple[float, float]:
    """Width and height on paper."""
    wide = _WIDTH + (_BESIDE if graph.measured is not None else 0)
    extra = paper.caption_inches(graph.title, graph.caption, graph.does_not_show, wide)
    return wide, min(max(2.2, _ROW * len(graph.rows) + 0.4), 11.0) + extra


def paint(area: SubFigure, graph: Graph) -> None:
    """Draw with the measure beside, if there is one."""
    wide, _ = inches(graph)
    if graph.measured is None:
        draw(area.subplots(), graph)
    else:
        left, right = area.subplots(1, 2, width_ratios=[_WIDTH, _BESIDE])
        draw(left, graph)
        _draw_measured(right, graph)
    paper.caption(area, graph.title, graph.caption, graph.does_not_show, wide)


def draw(axes: Axes, graph: Graph, labels: bool = True) -> None:
    """The graph itself, on axes from 0 to 1 across and one unit to a row."""
    middles, shown = places(graph.parts), graph.links[: graph.shown]
    across: list[float] = middles.tolist()
    halves: list[float] = half_widths(graph.parts, middles).tolist()
    axes.set(xlim=(-0.02, 1.05), ylim=(-0.6, len(graph.rows) - 0.4))
    axes.axis("off")
    top = max((abs(link.value) for link in shown if link.value is not None), default=1.0) or 1.0
    for link in reversed(shown):
        end = across[link.target] + 0.75 * link.port * halves[link.target]
        rows = graph.parts[link.source].row, graph.parts[link.target].row
        ends = (across[link.source], rows[0]), (end, rows[1])
        _draw_link(axes, *ends, link.value, top, _aside(*ends, link.port))
    for index in sorted({end for link in shown for end in (link.source, link.target)}):
        _draw_part(axes, graph, across[index], halves[index], graph.parts[index], labels)
    for row, label in enumerate(graph.rows if labels else ()):
        axes.text(
            -0.03, row, paper.plain(label), ha="right", va="center", color=paper.FAINT,
            fontsize=paper.SMALL, clip_on=False,
        )  # fmt: skip


def half_widths(parts: Sequence[Any], across: np.ndarray) -> np.ndarray:
    """Half of each box, as a share of the whole width: as its label needs, or as there is room."""
    rows: dict[tuple[int, int], list[float]] = {}
    for part, place in zip(parts, across, strict=True):
        rows.setdefault((part.lane, part.row), []).append(float(place))
    room = {key: _least_step(found) for key, found in rows.items()}
    wanted = [max(0.026, 0.012 + 0.007 * len(part.label)) for part in parts]
    free = [0.44 * room[part.lane, part.row] for part in parts]
    return np.minimum(wanted, free)


def _least_step(places: list[float]) -> float:
    return float(np.diff(sorted(places)).min()) if len(places) > 1 else 1.0


def _aside(start: tuple[float, float], end: tuple[float, float], port: float) -> float:
    """How far a link swings out: straight ones that pass over rows would hide behind boxes."""
    over = end[1] - start[1] - 1
    if over < 1 or abs(end[0] - start[0]) > 0.06:
        return 0.0
    far = 0.05 + 0.012 * min(over, 6) + 0.025 * abs(port)
    return -far if port < 0 or max(start[0], end[0]) + 0.75 * far > 1.05 else far


def _draw_part(axes: Axes, graph: Graph, x: float, half: float, part: Any, labels: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x - half, part.row - 0.2),
            2 * half,
            0.4,
            linewidth=0.7,
            boxstyle="round,pad=0,rounding_size=0.006",
            facecolor="white",
            edgecolor=paper.INK,
            zorder=3,
            mutation_aspect=len(graph.rows),
        )
    )
    if labels and half > 0.0045 * len(part.label):
        axes.text(
            x, part.row, paper.plain(part.label), ha="center", va="center",
            fontsize=paper.SMALL - 1, color=paper.INK, zorder=4,
        )  # fmt: skip


def _draw_link(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    value: float | None,
    top: float,
    aside: float,
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    low, high = start[1] + 0.2, end[1] - 0.2
    bend = 0.45 * (high - low)
    leads = (start[0] + aside, low + bend), (end[0] + aside, high - bend)
    points = [(start[0], low), *leads, (end[0], high)]
    part = 0.3 if value is None else abs(value) / top
    axes.add_patch(
        PathPatch(
            Path(points, [Path.MOVETO, *[Path.CURVE4] * 3]),
            facecolor="none",
            edgecolor=_colour(value),
            linewidth=0.4 + 2.6 * part,
            alpha=0.35 + 0.55 * part,
            zorder=2,
            linestyle="--" if value is not None and value < 0 else "-",
        )
    )


def _colour(value: float | None) -> str:
    if value is None:
        return paper.FAINT
    return (palette.POSITIVE if value >= 0 else palette.NEGATIVE)["light"]


def _draw_measured(axes: Axes, graph: Graph) -> None:
    paper.quiet(axes)
    curve, colour = graph.measured, palette.SERIES["light"][0]
    sizes = np.asarray(curve.sizes)
    axes.plot(sizes, curve.values, color=colour, linewidth=1.4, marker="o", markersize=2.6)
    if curve.lo is not None:
        axes.fill_between(sizes, curve.lo, curve.hi, color=colour, alpha=0.16, linewidth=0)
    axes.axhline(1.0, color=paper.FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.axvline(float(graph.shown or 0), color=paper.FAINT, linewidth=0.9)
    paper.scale_axis(axes.xaxis, "log" if sizes[-1] > 20 * sizes[0] else "linear")
    axes.set_xlabel("edges", fontsize=paper.BODY, color=paper.INK)
    axes.set_title(paper.plain(curve.name), fontsize=paper.BODY, color=paper.INK, loc="left")
