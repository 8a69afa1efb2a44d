"""The sweep engine: cells of a grid, what is written there, and the metric after each.

A sweep writes at one cell after the other and reads the answer. Forked runs compute only what a
write can change; the naive engine, one whole pass a cell, is the oracle. Rooms above decide what is
written (patching, ablation) and what the numbers mean.
"""

from residuum.runs.sweeping.grid import Cell, Grid, make_grid
from residuum.runs.sweeping.naive import picked, site_of
from residuum.runs.sweeping.outcome import Engine, Means, Outcome, sweep_outcome
from residuum.runs.sweeping.reader import FEW, AnswerReader
from residuum.runs.sweeping.sizing import sizes_of
from residuum.runs.sweeping.work import rows_of
from residuum.runs.sweeping.writing import (
    Constant,
    FromPrompts,
    RandomDirection,
    Without,
    Writing,
    first_differences,
)

__all__ = [
    "FEW",
    "AnswerReader",
    "Cell",
    "Constant",
    "Engine",
    "FromPrompts",
    "Grid",
    "Means",
    "Outcome",
    "RandomDirection",
    "Without",
    "Writing",
    "first_differences",
    "make_grid",
    "picked",
    "rows_of",
    "site_of",
    "sizes_of",
    "sweep_outcome",
]
