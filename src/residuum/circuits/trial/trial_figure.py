"""The figure of a trial: the circuit and the rest, beside random circuits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from residuum.figures import Bars


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


def trial_figure(levels: Sequence[Shares], title: str, caption: str) -> Bars:
    """Bars as shares of the way from empty (0) to full (1); whiskers span all random circuits."""
    names, values, low, high = [], [], [], []
    for each in levels:
        for name, own, others in (
            ("circuit alone", each.circuit, each.random),
            ("all but the circuit", each.rest, each.random_rest),
        ):
            shares = sorted(each.frac(other) for other in others)
            names += [f"{name}, {each.reference}", f"{name}, random ones, {each.reference}"]
            values += [each.frac(own), shares[len(shares) // 2]]
            low += [math.nan, shares[0]]
            high += [math.nan, shares[-1]]
    return Bars(
        names,
        values,
        lo=low,
        hi=high,
        x="share of the way from no edge kept (0) to the whole model (1)",
        order="given",
        title=title,
        caption=f"Random ones: the median, whiskers over all of them. {caption}.",
        does_not_show="That this is the only such circuit, or other prompts.",
    )
