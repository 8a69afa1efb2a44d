"""The figure of a trial: the circuit and the rest, beside random circuits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from residuum.figures import Bars, Panel


class Shares(Protocol):
    """Means of a trial under one reference."""

    @property
    def reference(self) -> str:
        """What edges outside the circuit carried."""
        ...

    @property
    def circuit(self) -> float:
        """Of the circuit alone."""
        ...

    @property
    def rest(self) -> float:
        """Of all but the circuit."""
        ...

    @property
    def random(self) -> tuple[float, ...]:
        """Of random circuits alone."""
        ...

    @property
    def random_rest(self) -> tuple[float, ...]:
        """Of all but a random circuit."""
        ...

    def frac(self, value: float) -> float:
        """As a share of the way from empty to full."""
        ...


def trial_figure(levels: Sequence[Shares], title: str, caption: str) -> Bars | Panel:
    """Bars as shares of the way from empty (0) to full (1); whiskers span all random circuits.

    Of several references one below the other, each with its name.
    """
    told = {
        "caption": f"Random: the median, whiskers over all of them. {caption}.",
        "does_not_show": "That this is the only such circuit, or other prompts.",
    }
    if len(levels) == 1:
        return _bars(levels[0], title=f"{title} ({levels[0].reference})", **told)
    several = [_bars(each, title=each.reference) for each in levels]
    return Panel(several, columns=1, thumbnails=False, title=title, **told)


def _bars(found: Shares, **words: str) -> Bars:
    """Four bars: names that are short enough for a telephone."""
    names, values, low, high = [], [], [], []
    for name, own, others in (
        ("circuit", found.circuit, found.random),
        ("all but it", found.rest, found.random_rest),
    ):
        shares = sorted(found.frac(other) for other in others)
        names += [name, "random circuit" if name == "circuit" else "all but random"]
        values += [found.frac(own), shares[len(shares) // 2]]
        low += [math.nan, shares[0]]
        high += [math.nan, shares[-1]]
    return Bars(names, values, lo=low, hi=high, x="0: no edge, 1: all", order="given", **words)
