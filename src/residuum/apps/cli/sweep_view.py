"""A sweep on the terminal: its grid, its largest effects, how sure they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.apps.cli.console import put_table, put_text, width

if TYPE_CHECKING:
    from residuum.figures import Column, HeatMap, Panel, Table
    from residuum.patching import Effect, Sweep

MOST_ROWS = 40
"""Rows of a grid that are shown; of more, those with the largest effects."""

LISTED = 8
"""Cells in the table."""


def show_sweep(sweep: Sweep) -> None:
    """Write the grid, the table of the largest effects, and what to know before quoting them."""
    from residuum.figures import terminal_heatmap

    print(terminal_heatmap(fitted(sweep.figure())))
    print()
    put_table(table_of(sweep))
    sure = sweep.statistics()
    put_text(f"{str(sure)[0].upper()}{str(sure)[1:]}.")
    for warning in (*sweep.warnings, *sure.warnings):
        put_text(f"note: {warning}")


def table_of(sweep: Sweep, room: int | None = None) -> Table:
    """The largest effects with interval, joint p and verdict.

    Args:
        room: columns of the terminal, by default as it says; where they are few, the unit goes into
            the caption, then the share is left out, then the control.
    """
    from residuum.figures import Table

    columns = _columns(sweep)
    rows = [[cell(each) for _, cell in columns.values()] for each in sweep.top(LISTED)]
    table = Table([head for head, _ in columns.values()], rows, title="Largest effects")
    room = room or width()
    if _wide(table) > room:
        table = _without(table, "unit", columns)
    for name in ("share", "control"):
        if _wide(table) > room and name in columns:
            table = _without(table, name, columns)
            del columns[name]
    return replace(table, caption=_caption(sweep, "share" in columns))


Cells = dict[str, tuple["Column", Callable[["Effect"], Any]]]


def _columns(sweep: Sweep) -> Cells:
    """Name -> column, and what stands in it."""
    from residuum.figures import Column

    largest = max((abs(each.effect) for each in sweep.top(1)), default=1.0)
    digits = 2 if not largest else min(6, max(2, 1 - math.floor(math.log10(largest))))
    columns: Cells = {
        "cell": (Column("cell"), lambda each: each.at),
        "effect": (Column("effect", sweep.unit, digits=digits), lambda each: each.effect),
        "interval": (Column("95 %", align="right"), lambda each: _ends(each.interval, digits)),
        "control": (Column("control", digits=digits), lambda each: each.control),
        "share": (Column("share", "%", digits=0), lambda each: 100 * each.recovered_frac),
        "p": (Column("p", align="right"), lambda each: _short(each.p)),
        "verdict": (Column("verdict"), lambda each: each.verdict),
    }
    if sweep.control is None:
        del columns["control"]
    return columns


def _ends(interval: tuple[float, float], digits: int) -> str | None:
    if math.isnan(interval[0]):
        return None
    return " to ".join(f"{round(end, digits) + 0.0:.{digits}f}" for end in interval)


def _short(p: float) -> str | None:
    return None if math.isnan(p) else f"{p:.2g}"


def _without(table: Table, name: str, columns: Cells) -> Table:
    """The table without a column, or without the unit in the effect's heading."""
    at = list(columns).index("effect" if name == "unit" else name)
    heads = list(table.heads)
    if name == "unit":
        heads[at] = replace(heads[at], unit="")
        return replace(table, columns=heads)
    rows = [[cell for i, cell in enumerate(row) if i != at] for row in table.rows]
    return replace(table, columns=[*heads[:at], *heads[at + 1 :]], rows=rows)


def _wide(table: Table) -> int:
    """Columns of the terminal that the table takes."""
    widths = [
        max([len(head.heading), *(len(table.shown(row, at)) for row in range(len(table.rows)))])
        for at, head in enumerate(table.heads)
    ]
    return sum(widths) + 3 * (len(widths) - 1)


def _caption(sweep: Sweep, with_share: bool) -> str:
    distance = f"{sweep.clean.mean() - sweep.corrupt.mean():.2f} {sweep.unit}"
    pairs = f"{len(sweep.clean)} pair" + ("" if len(sweep.clean) == 1 else "s")
    told = f"Share: of the distance from corrupt to clean, {distance}"
    if not with_share:
        told = f"Distance from corrupt to clean: {distance}"
    told += f" ({sweep.metric}); {pairs}; cost {sweep.passes:.0f} forward passes."
    return told if sweep.approximation is None else f"{told} Not exact: {sweep.approximation}."


def fitted(figure: HeatMap | Panel) -> HeatMap:
    """What a terminal can show of a figure: of many maps the one with the largest effect."""
    from residuum.figures import HeatMap

    if isinstance(figure, HeatMap):
        return _cut(figure)
    maps = [each for each in figure.figures if isinstance(each, HeatMap)]
    best = max(maps, key=lambda each: float(np.abs(np.nan_to_num(each.matrix)).max()))
    title = f"{figure.title}: {best.title}, the largest of {len(maps)} maps"
    return _cut(replace(best, title=title))


def _cut(figure: HeatMap) -> HeatMap:
    rows = len(figure.matrix)
    if rows <= MOST_ROWS:
        return figure
    size = np.abs(np.nan_to_num(figure.matrix)).max(axis=1)
    kept = np.sort(np.argsort(-size, kind="stable")[:MOST_ROWS])
    return replace(
        figure,
        values=figure.matrix[kept],
        row_labels=[(figure.row_labels or ())[row] for row in kept],
        cell_text=None if figure.cell_text is None else [figure.cell_text[row] for row in kept],
        title=f"{figure.title} (the {MOST_ROWS} of {rows} rows with the largest effects)",
    )
