"""Paths and knock-outs on the terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from residuum.apps.cli.console import put_table, put_text
from residuum.apps.cli.sweep_view import (
    LISTED,
    caption_of,
    digits_for,
    ends,
    narrowed,
    put_map,
    put_sure,
    short,
)

if TYPE_CHECKING:
    from residuum.figures import HeatMap, Table
    from residuum.patching import Knockout, PathTable

_HEADING = 6
"""Letters of a column's label that a terminal shows whole."""

_ROW_LABEL = 16
"""Letters of a row's label that a terminal shows whole."""


def show_paths(table: PathTable) -> None:
    """Write the grid of senders and receivers, the largest paths, and what to know."""
    figure, groups = readable(table.figure(whole=True))
    put_map(figure)
    for line in groups:
        put_text(line)
    print()
    put_table(path_rows(table))
    put_sure(table)


def readable(figure: HeatMap) -> tuple[HeatMap, list[str]]:
    """A map whose labels a terminal shows whole, and a line for each label that stands for more.

    Where a receiver's label is wider than a column, receivers go down and senders across; one that
    is too wide even there is called ``group 1``, and a line below says what it holds.
    """
    labels = list(figure.col_labels or ())
    if max(map(len, labels)) <= _HEADING or max(map(len, figure.row_labels or ())) > _HEADING:
        return figure, []
    long = [label for label in labels if len(label) > _ROW_LABEL]
    names = {label: f"group {number}" for number, label in enumerate(long, 1)}
    turned = replace(
        figure,
        values=figure.matrix.T,
        row_labels=[names.get(label, label) for label in labels],
        col_labels=figure.row_labels,
        x=figure.y,
        y=figure.x,
    )
    return turned, [f"{name}: {label}" for label, name in names.items()]


def path_rows(table: PathTable, room: int | None = None) -> Table:
    """The paths with the largest effects; the unit and the share give way where there is no room.

    Args:
        room: columns of the terminal, by default as it says.
    """
    from residuum.figures import Column

    paths = table.top(LISTED)
    digits = digits_for(max((abs(each.effect) for each in paths), default=0.0))
    columns = {
        "sender": Column("from"),
        "receiver": Column("to"),
        "effect": Column("effect", table.unit, digits=digits),
        "interval": Column("95 %", align="right"),
        "share": Column("share", "%", digits=0),
        "p": Column("p", align="right"),
        "verdict": Column("verdict"),
    }
    ticks = table.figure(whole=True).col_labels or ()
    receivers = [str(name) for name in table.effects.coords["receiver"].values]
    names = {
        name: tick if " + " in name else name for name, tick in zip(receivers, ticks, strict=True)
    }
    rows = [
        [
            each.sender,
            names[each.receiver],
            each.effect,
            ends(each.interval, digits),
            100 * each.recovered_frac,
            short(each.p),
            each.verdict,
        ]
        for each in paths
    ]
    told = caption_of(table, table.direction)
    return narrowed(columns, rows, "Largest effects", told, room)


def show_knockout(knockout: Knockout, first_pair: int) -> None:
    """Write what is lost one by one and together, beside random sets.

    Args:
        first_pair: number of the first pair that was knocked out on, counted from 1.
    """
    put_table(knockout_rows(knockout, first_pair))
    for line in knockout_words(knockout):
        put_text(line)


def knockout_rows(knockout: Knockout, first_pair: int, room: int | None = None) -> Table:
    """A component a row: alone, and together with those above it."""
    from residuum.figures import Column

    frame = knockout.to_dataframe()
    digits = digits_for(float(abs(frame[["alone", "together"]]).to_numpy().max()))
    columns = {
        "cell": Column("taken out"),
        "effect": Column("alone", knockout.unit, digits=digits),
        "interval": Column("95 %", align="right"),
        "together": Column("with those above", digits=digits),
        "joint": Column("95 %", align="right"),
    }
    rows = [
        [
            each["cell"],
            each["alone"],
            ends((each["alone_low"], each["alone_high"]), digits),
            each["together"],
            ends((each["together_low"], each["together_high"]), digits),
        ]
        for each in frame.to_dict("records")
    ]
    last = first_pair + len(knockout.clean) - 1
    told = (
        f"Chosen on pairs 1 to {first_pair - 1}, taken out of the clean prompts of pairs "
        f"{first_pair} to {last} ({knockout.kind}). There {knockout.metric} is "
        f"{knockout.clean.mean():.2f} {knockout.unit} on clean and {knockout.corrupt.mean():.2f} "
        "on corrupt prompts."
    )
    return narrowed(columns, rows, "Knocked out", told, room)


def knockout_words(knockout: Knockout) -> list[str]:
    """What is lost together, what backups hide, what random sets lose."""
    unit, digits = knockout.unit, digits_for(abs(knockout.together))
    lines = [
        f"Together {knockout.together:+.{digits}f} {unit}, one by one summed "
        f"{knockout.summed:+.{digits}f}; {_backup(knockout)}"
    ]
    if not knockout.random_sets:
        lines.append("There are no other components to draw random sets from.")
        return lines
    drawn = len(knockout.random_sets)
    others = f"{len(knockout.cells)} other{'s' * (len(knockout.cells) > 1)}"
    where = " of the same layers"
    if not knockout.layers_matched:
        where = " of any layers (their own have too few)"
    low, mean, high = knockout.control_range
    spread = f" on average ({low:+.{digits}f} to {high:+.{digits}f})" if drawn > 1 else ""
    lines.append(
        f"{drawn} random set{'s' * (drawn > 1)} of {others}{where} "
        f"move{'s' * (drawn == 1)} it by {mean:+.{digits}f} {unit}{spread}; {knockout.rank} "
        f"cost{'s' * (knockout.rank == 1)} at least as much: p {knockout.p:.2g} (not below "
        f"{1 / (drawn + 1):.2g})."
    )
    return lines


def _backup(knockout: Knockout) -> str:
    """The sum less the joint effect, and what it says where its interval leaves zero out."""
    digits = digits_for(abs(knockout.backup))
    low, high = knockout.backup_interval
    told = f"backup (summed less together) {knockout.backup:+.{digits}f}"
    interval = ends((low, high), digits)
    told += "" if interval is None else f", 95 % {interval}"
    if low > 0:
        return f"{told}: they stand in for each other."
    return f"{told}: they overlap, or one alone breaks the answer." if high < 0 else f"{told}."
