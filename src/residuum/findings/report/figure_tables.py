"""Figures whose values fit a table, as tables, for media that draw nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from residuum.figures import Bars, Column, Columns, Figure, Fold, HeatMap, Lines, Part, Table

WIDEST = 10
"""Columns of a map that is still written as a table."""
LONGEST = 24
"""Rows of lines or of a map that are still written as a table."""


def flat(parts: Iterable[Part]) -> Iterator[Part]:
    """All parts in reading order, those inside folds and columns too; the folds themselves first.

    >>> list(flat(["a", Columns([["b"], ["c"]])]))
    ['a', 'b', 'c']
    """
    for part in parts:
        if isinstance(part, Columns):
            for column in part.columns:
                yield from flat(column)
        elif isinstance(part, Fold):
            yield part
            yield from flat(part.parts)
        else:
            yield part


def as_table(figure: Figure) -> Table | None:
    """The values as a table, or None where there are too many, or none to write down."""
    if isinstance(figure, Table):
        return figure
    if isinstance(figure, Bars):
        return _bars(figure)
    if isinstance(figure, Lines) and len(np.asarray(figure.xs)) <= LONGEST:
        return _lines(figure)
    if isinstance(figure, HeatMap) and figure.categories is None:
        rows, cols = np.asarray(figure.values).shape
        return _map(figure) if rows <= LONGEST and cols <= WIDEST else None
    return None


def _bars(figure: Bars) -> Table:
    rows = []
    for i in figure.ranked():
        low, high = (None if end is None else np.asarray(end)[i] for end in (figure.lo, figure.hi))
        rows.append([figure.names[i], _said(np.asarray(figure.values)[i], low, high)])
    name = figure.x or "value"
    return _table(figure, [Column(""), Column(name, figure.unit, align="right")], rows)


def _lines(figure: Lines) -> Table:
    xs = np.asarray(figure.xs)
    names = figure.x_labels or [_short(float(x)) for x in xs]
    rows = []
    for i, name in enumerate(names):
        row = [name]
        for line in figure.series:
            low, high = (None if end is None else np.asarray(end)[i] for end in (line.lo, line.hi))
            row.append(_said(np.asarray(line.y)[i], low, high))
        rows.append(row)
    heads = [Column(line.name, figure.unit, align="right") for line in figure.series]
    return _table(figure, [Column(figure.x), *heads], rows)


def _map(figure: HeatMap) -> Table:
    values = np.asarray(figure.values, dtype=float)
    names = figure.row_labels or [str(i) for i in range(len(values))]
    heads = figure.col_labels or [str(i) for i in range(values.shape[1])]
    rows = [[name, *map(_short, row)] for name, row in zip(names, values, strict=True)]
    unit = f"{figure.y} ({figure.unit})" if figure.unit else figure.y
    return _table(figure, [Column(unit), *(Column(head, align="right") for head in heads)], rows)


def _table(figure: Figure, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    return Table(
        columns,
        rows,
        title=figure.title,
        caption=figure.caption,
        does_not_show=figure.does_not_show,
    )


def _said(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None or not math.isfinite(low + high):
        return _short(value)
    return f"{_short(value)} [{_short(low)}, {_short(high)}]"


def _short(value: float) -> str:
    """Three digits.

    >>> _short(12.345), _short(-0.0001), _short(float("nan"))
    ('12.3', '-0.0001', '–')
    """
    return f"{value:.3g}" if math.isfinite(value) else "–"
