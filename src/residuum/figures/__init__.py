"""Figures as plain data, drawn as interactive HTML, SVG, PNG or text.

A figure is a frozen record; ``save`` picks the medium by suffix; ``page`` sets figures and
text as one self-contained HTML page.

>>> from residuum.figures import HeatMap, Heading, page
>>> effects = HeatMap([[0.1, 2.0]], row_labels=["L0"], col_labels=["H0", "H1"], unit="logits")
>>> html = page("Report", [Heading("Which heads matter"), effects])
"""

from residuum.figures.bars import Bars
from residuum.figures.figure import Figure
from residuum.figures.heatmap import HeatMap
from residuum.figures.layered import Box, LayeredGraph, Link, Measured
from residuum.figures.lines import Guide, Lines, Moment, Series
from residuum.figures.page import (
    Bullets,
    Callout,
    Code,
    Columns,
    Contents,
    Fold,
    Heading,
    KeyValues,
    Paragraph,
    Part,
    Stat,
    Stats,
    page,
)
from residuum.figures.panel import Panel
from residuum.figures.reading import figure_from_json, load_figure
from residuum.figures.table import Column, Table
from residuum.figures.terminal import terminal_heatmap, terminal_table
from residuum.figures.tokens import TokenStrip

__all__ = [
    "Bars",
    "Box",
    "Bullets",
    "Callout",
    "Code",
    "Column",
    "Columns",
    "Contents",
    "Figure",
    "Fold",
    "Guide",
    "Heading",
    "HeatMap",
    "KeyValues",
    "LayeredGraph",
    "Lines",
    "Link",
    "Measured",
    "Moment",
    "Panel",
    "Paragraph",
    "Part",
    "Series",
    "Stat",
    "Stats",
    "Table",
    "TokenStrip",
    "figure_from_json",
    "load_figure",
    "page",
    "terminal_heatmap",
    "terminal_table",
]
