"""The figure of a proof: what the three edits close of the gap, beside random directions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from residuum.directions.causal_test import CausalTest
from residuum.directions.specificity import OffTarget
from residuum.figures import Bars

NAMES = {"add": "adding", "erase": "erasing", "leace": "erasing (LEACE)", "swap": "swapping"}


def proof_figure(
    tests: Sequence[CausalTest], off_target: Sequence[OffTarget], title: str, caption: str
) -> Bars:
    """Bars of the effects and of random directions' 95th percentiles, as shares of the gap.

    Intervals are those of the effects, clustered by template; bars of off-target tasks show the
    share of their own gap that they move by.
    """
    names, values, lo, hi = [], [], [], []
    for test in tests:
        gap = test.effect / test.recovered_frac if test.recovered_frac else math.nan
        names += [NAMES[test.kind], f"{NAMES[test.kind]}, random (95th percentile)"]
        values += [test.recovered_frac, test.random_high / gap]
        lo += [test.interval[0] / gap, math.nan]
        hi += [test.interval[1] / gap, math.nan]
    for other in off_target:
        names.append(f"{other.task}: {NAMES[other.kind]}")
        values.append(other.moved_frac)
        lo.append(other.interval[0])
        hi.append(other.interval[1])
    return Bars(
        names,
        values,
        lo=lo,
        hi=hi,
        x="share of the gap between clean and corrupt answers",
        order="given",
        title=title,
        caption=caption,
        does_not_show="That this is the only such direction, or other prompts.",
    )
