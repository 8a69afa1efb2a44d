"""A circuit's curve over sizes, and the two areas that sum it up."""

from __future__ import annotations

from typing import Any

import numpy as np

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.selection import ordered
from residuum.core import OptionError
from residuum.runs import shown

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the graph's edges at which faithfulness is read; those of the MIB benchmark."""


def check_sizes(sizes: Any, circuit: Circuit) -> tuple[float, ...]:
    """Shares of the edges, ascending; none where the circuit has no scores to choose by.

    Raises:
        OptionError: they are no shares above 0, or asked for where there are no scores.
    """
    if sizes is None:
        return () if circuit.scores is None else SIZES
    try:
        found = tuple(sorted({float(each) for each in sizes}))
    except (TypeError, ValueError):
        found = (np.nan,)
    if not all(0 < each <= 1 for each in found):
        raise OptionError(
            f"sizes={shown(sizes)} are no shares of the edges",
            mend="give shares above 0 and up to 1, such as (0.01, 0.1, 1)",
        )
    if found and circuit.scores is None:
        raise OptionError(
            "a circuit without scores has one size",
            mend="leave sizes out, or find the circuit with rz.discover(...), which keeps scores",
        )
    return found


def of_sizes(circuit: Circuit, sizes: tuple[float, ...], by: str) -> np.ndarray:
    """Circuits of these sizes from the circuit's scores, bool ``[size edge]``.

    Args:
        by: ``"signed"`` or ``"absolute"``; greedy or top as the circuit itself was chosen.
    """
    graph, scores = circuit.graph, circuit.scores
    assert scores is not None
    how = str(circuit.selection.get("how", "greedy"))
    order = ordered(
        graph, np.asarray(scores.values, dtype=np.float64), graph.n_edges, how=how, by=by
    )
    found = np.zeros((len(sizes), graph.n_edges), dtype=bool)
    for row, share in enumerate(sizes):
        found[row, order[: round(share * graph.n_edges)]] = True
    return found


def area(sizes: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    """Trapezoid area under ``[size ...]`` from no edges to all.

    No edge gives 0 and all give 1 by definition; both ends are put in where they are missing, so
    the whole width is 1.
    """
    xs, ys = _whole(sizes, values)
    return np.trapezoid(ys, xs, axis=0)


def distance_area(sizes: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    """Trapezoid area between ``[size ...]`` and 1, over the same width."""
    xs, ys = _whole(sizes, values)
    return np.trapezoid(np.abs(1 - ys), xs, axis=0)


def _whole(sizes: tuple[float, ...], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve from no edges to all."""
    xs, ys = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    xs, ys = np.r_[0.0, xs], np.concatenate([np.zeros_like(ys[:1]), ys])
    if xs[-1] == 1:
        return xs, ys
    return np.r_[xs, 1.0], np.concatenate([ys, np.ones_like(ys[:1])])
