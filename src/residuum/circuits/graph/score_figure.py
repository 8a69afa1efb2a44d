"""Scores of edges as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from residuum.figures import Bars


class Edge(Protocol):
    """One scored edge."""

    @property
    def name(self) -> str:
        """Of the edge."""
        ...

    @property
    def score(self) -> float:
        """In the metric's unit."""
        ...

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end."""
        ...


def score_bars(edges: Sequence[Edge], total: int, metric: str, reference: str) -> Bars:
    """The given edges of ``total`` ones, with intervals where there are some."""
    lows, highs = ([edge.interval[end] for edge in edges] for end in (0, 1))
    known = any(low == low for low in lows)
    return Bars(
        [edge.name for edge in edges],
        [edge.score for edge in edges],
        lows if known else None,
        highs if known else None,
        x="score",
        unit=metric,
        order="magnitude",
        title=_title(len(edges), total),
        caption=f"Above 0: the edge supports the clean behaviour. Reference: {reference}."
        + " Whiskers: 95 % bootstrap intervals." * known,
        does_not_show="what several edges do together.",
    )


def _title(n: int, total: int) -> str:
    if n == 1:
        return f"The edge with the largest score, of {total:,}"
    return f"The {n:,} edges with the largest scores, of {total:,}"
