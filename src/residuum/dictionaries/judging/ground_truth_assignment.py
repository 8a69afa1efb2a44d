"""The best one-to-one assignment of rows to columns of a table of scores."""

from __future__ import annotations

import numpy as np

from residuum.core import ShapeError


def best_assignment(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns whose pairs have the greatest sum of scores, each used at most once.

    Args:
        scores: ``[row column]``, finite; the shorter side is assigned in full.

    Returns:
        Row numbers, ascending, and the column of each, ``[min(row, column)]`` both.

    Raises:
        ShapeError: no table of finite numbers.

    Shows: an assignment that no other beats in the sum. Does not show: that it is the only one;
    a pair in it may be poor, where all its rivals were needed elsewhere.
    Source: shortest augmenting paths with potentials, Jonker and Volgenant, Computing 38 (1987),
    without its start-up phases; time grows with the cube of the shorter side.

    >>> best_assignment(np.array([[1.0, 5.0], [4.0, 7.0]]))
    (array([0, 1]), array([1, 0]))
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or 0 in table.shape or not np.isfinite(table).all():
        raise ShapeError(
            f"an assignment needs a table of finite scores, got shape {list(table.shape)}",
            mend="give [row column] without NaN",
        )
    if len(table) > table.shape[1]:
        columns, rows = best_assignment(table.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    return np.arange(len(table)), _columns_of(table.max() - table)


def _columns_of(cost: np.ndarray) -> np.ndarray:
    """The column of each row at the least total cost; there are at least as many columns."""
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)
    column_of = np.full(rows, -1)
    for free in range(rows):
        _augment(cost, free, row_price, column_price, owner, column_of)
    return column_of


def _augment(
    cost: np.ndarray,
    free: int,
    row_price: np.ndarray,
    column_price: np.ndarray,
    owner: np.ndarray,
    column_of: np.ndarray,
) -> None:
    """Give a free row a column, along the cheapest path of re-assignments (Dijkstra)."""
    distance = np.full(cost.shape[1], np.inf)
    parent = np.full(cost.shape[1], -1)
    done = np.zeros(cost.shape[1], dtype=bool)
    row, least = free, 0.0
    while True:
        through = least + cost[row] - row_price[row] - column_price
        nearer = ~done & (through < distance)
        distance[nearer], parent[nearer] = through[nearer], row
        column = int(np.argmin(np.where(done, np.inf, distance)))
        least = distance[column]
        done[column] = True
        if owner[column] < 0:
            break
        row = owner[column]
    settled = done & (owner >= 0)
    row_price[free] += least
    row_price[owner[settled]] += least - distance[settled]
    column_price[done] -= least - distance[done]
    while column >= 0:
        row = parent[column]
        owner[column] = row
        column, column_of[row] = (column_of[row] if row != free else -1), column
