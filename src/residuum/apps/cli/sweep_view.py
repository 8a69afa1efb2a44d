"""A sweep on the terminal: its grid, its largest effects, how sure they are."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_table, put_text, width

if TYPE_CHECKING:
    from residuum.figures import Column, HeatMap, Panel, Table
    from residuum.patching import Effect, PathTable, Sweep

MOST_ROWS = 40
"""Rows of a grid that are shown; of more, those with the largest effects."""

LISTED = 8
"""Cells in the table."""

_OWN_PASSES = 2
"""Passes of a sweep beside those of its cells: the clean and the corrupt prompts."""

_YIELDING = ("share", "control")
"""Columns left out of a table that is too wide, after the unit."""


def show_sweep(sweep: Sweep) -> None:
    """Write the grid, the table of the largest effects, and what to know before quoting them."""
    put_map(sweep.figure())
    print()
    put_table(table_of(sweep))
    put_sure(sweep)


def put_map(figure: HeatMap | Panel) -> None:
    """Write what a terminal can show of a figure, its title wrapped."""
    from residuum.figures import terminal_heatmap

    shown = fitted(figure)
    print(terminal_heatmap(replace(shown, title=textwrap.fill(shown.title, width()))))


def put_sure(found: Sweep | PathTable) -> None:
    """Write how sure the effects are, and the warnings."""
    sure, approximation = found.statistics(), getattr(found, "approximation", None)
    told = str(sure)
    if hasattr(found, "via"):
        told = told.replace(" cell", " path", 1)
    if approximation is not None:
        told = told.replace(" shown", " predicted", 1)
    put_text(f"{told[0].upper()}{told[1:]}.")
    for warning in (*found.warnings, *sure.warnings):
        put_text(f"note: {warning}")
    if approximation is not None:
        put_text(_predicted(found))


def _predicted(found: Sweep | PathTable) -> str:
    """What to know of a table of predictions."""
    import numpy as np

    told = "note: intervals, p and verdicts are those of predicted effects, not of measured ones"
    exact = int(np.isfinite(found.effects.values).sum()) + _OWN_PASSES
    if 2 * found.passes >= exact:
        told += (
            f"\nnote: the exact sweep takes {exact} forward passes at most, this took "
            f"{found.passes:.0f}: use --method exact"
        )
    return told


def table_of(sweep: Sweep, room: int | None = None) -> Table:
    """The largest effects with interval, joint p and verdict.

    Args:
        room: columns of the terminal, by default as it says; where they are few, the unit goes into
            the caption, then the share is left out, then the control.
    """
    top = sweep.top(LISTED)
    columns = _columns(sweep, top)
    rows = [[cell(each) for _, cell in columns.values()] for each in top]
    heads = {name: head for name, (head, _) in columns.items()}
    title = "Largest effects" + (", predicted, not measured" * (sweep.approximation is not None))
    return narrowed(heads, rows, title, caption_of(sweep, sweep.kind), room)


def narrowed(
    heads: dict[str, Column],
    rows: list[list[Any]],
    title: str,
    caption: Callable[[bool], str] | str,
    room: int | None = None,
) -> Table:
    """A table that fits: without the unit of ``effect``, the share, the control, in this order.

    Args:
        heads: name -> column.
        caption: text, or what makes it of whether the share is among the columns.
        room: columns of the terminal, by default as it says.
    """
    from residuum.figures import Table

    room = room or width()
    names = list(heads)
    table = Table(list(heads.values()), rows, title=title)
    if _wide(table) > room:
        heads = {**heads, "effect": replace(heads["effect"], unit="")}
        if "share" in heads:
            heads["share"] = replace(heads["share"], name="share %", unit="")
        table = replace(table, columns=list(heads.values()))
    for name in _YIELDING:
        if _wide(table) > room and name in names:
            at = names.index(name)
            names.remove(name)
            kept = [[cell for i, cell in enumerate(row) if i != at] for row in table.rows]
            table = replace(table, columns=[heads[each] for each in names], rows=kept)
    return replace(
        table, caption=caption if isinstance(caption, str) else caption("share" in names)
    )


Cells = dict[str, tuple["Column", Callable[["Effect"], Any]]]


def _columns(sweep: Sweep, top: Sequence[Effect]) -> Cells:
    """Name -> column, and what stands in it."""
    from residuum.figures import Column

    digits = digits_for(max((abs(each.effect) for each in top), default=0.0))
    columns: Cells = {
        "cell": (Column("cell"), lambda each: each.at),
        "effect": (Column("effect", sweep.unit, digits=digits), lambda each: each.effect),
        "interval": (Column("95 %", align="right"), lambda each: ends(each.interval, digits)),
        "control": (Column("control", digits=digits), lambda each: each.control),
        "share": (Column("share", "%", digits=0), lambda each: 100 * each.recovered_frac),
        "p": (Column("p", align="right"), lambda each: short(each.p)),
        "verdict": (Column("verdict"), lambda each: each.verdict),
    }
    if sweep.control is None:
        del columns["control"]
    if sweep.approximation is not None:
        effect, verdict = columns["effect"], columns["verdict"]
        columns["effect"] = (replace(effect[0], name="predicted"), effect[1])
        columns["verdict"] = (verdict[0], lambda each: _of_prediction(each.verdict))
    return columns


def _of_prediction(verdict: str) -> str:
    """The verdict on an effect that was not measured: nothing is shown by it."""
    return "predicted" if verdict == "shown" else verdict


def digits_for(largest: float) -> int:
    """Decimals that show two figures of the largest value, two at least and six at most."""
    return 2 if not largest else min(6, max(2, 1 - math.floor(math.log10(largest))))


def ends(interval: tuple[float, float], digits: int) -> str | None:
    """An interval in words; None where there is none."""
    if math.isnan(interval[0]):
        return None
    return " to ".join(f"{round(end, digits) + 0.0:.{digits}f}" for end in interval)


def short(p: float) -> str | None:
    """A p with two figures; None where there is none."""
    return None if math.isnan(p) else f"{p:.2g}"


def _wide(table: Table) -> int:
    """Columns of the terminal that the table takes."""
    widths = [
        max([len(head.heading), *(len(table.shown(row, at)) for row in range(len(table.rows)))])
        for at, head in enumerate(table.heads)
    ]
    return sum(widths) + 3 * (len(widths) - 1)


def caption_of(found: Sweep | PathTable, kind: str) -> Callable[[bool], str]:
    """What stands below a table, with the share explained where it has one.

    Args:
        kind: what was written; with ``denoise`` the share is what comes back.
    """
    from residuum.runs import METRICS

    known = METRICS.get(found.metric)
    sign = 1 if known is None or known.larger_is_better else -1
    distance = f"{sign * (found.clean.mean() - found.corrupt.mean()):.2f} {found.unit}"
    pairs = f"{len(found.clean)} pair" + ("" if len(found.clean) == 1 else "s")
    share = "of the distance" if kind == "denoise" else "what is left of the distance"
    cost = f"cost {found.passes:.{int(found.passes < 100)}f} forward passes"
    if found.engine == "forked" and getattr(found, "control", None) is None:
        cost += f" ({found.passes + found.passes_saved:.0f} without forks)"
    approximation = getattr(found, "approximation", None)
    more = "" if approximation is None else f" Not exact: {approximation}."

    def told(with_share: bool) -> str:
        first = f"Share: {share}" if with_share else "Distance"
        return f"{first} from corrupt to clean{',' if with_share else ':'} {distance} " + (
            f"({found.metric}); {pairs}; {cost}.{more}"
        )

    return told


def fitted(figure: HeatMap | Panel) -> HeatMap:
    """What a terminal can show of a figure: of many maps the one with the largest effect."""
    import numpy as np

    from residuum.figures import HeatMap

    if isinstance(figure, HeatMap):
        return _cut(figure)
    maps = [each for each in figure.figures if isinstance(each, HeatMap)]
    best = max(maps, key=lambda each: float(np.abs(np.nan_to_num(each.matrix)).max()))
    title = f"{figure.title}: {best.title}, the largest of {len(maps)} maps"
    return _cut(replace(best, title=title))


def _cut(figure: HeatMap) -> HeatMap:
    """The rows and columns with the largest effects, where not all of them fit."""
    from residuum.figures.terminal import columns_that_fit

    figure = _keep(figure, 0, MOST_ROWS)
    if figure.cell_text is not None:
        return _first(figure, columns_that_fit(figure, width()))
    return _keep(figure, 1, columns_that_fit(figure, width()))


def _first(figure: HeatMap, most: int) -> HeatMap:
    """The first columns of a map of ranks."""
    texts = figure.cell_text or ()
    return replace(
        figure,
        values=figure.matrix[:, :most],
        col_labels=(figure.col_labels or ())[:most],
        cell_text=[line[:most] for line in texts],
        title=f"{figure.title} (the {min(most, figure.matrix.shape[1])} strongest of each row)",
    )


def _keep(figure: HeatMap, axis: int, most: int) -> HeatMap:
    """At most so many rows (0) or columns (1), those with the largest effects, in their order."""
    import numpy as np

    count, what = figure.matrix.shape[axis], ("rows", "columns")[axis]
    if count <= most:
        return figure
    size = np.abs(np.nan_to_num(figure.matrix)).max(axis=1 - axis)
    kept = np.sort(np.argsort(-size, kind="stable")[:most])
    labels = (figure.row_labels, figure.col_labels)[axis] or [str(i) for i in range(count)]
    texts = figure.cell_text
    changed: dict[str, Any] = {
        "values": figure.matrix.take(kept, axis),
        ("row_labels", "col_labels")[axis]: [labels[i] for i in kept],
        "cell_text": None if texts is None else np.take(np.array(texts), kept, axis).tolist(),
        "title": f"{figure.title} (the {most} of {count} {what} with the largest effects)",
    }
    return replace(figure, **changed)
