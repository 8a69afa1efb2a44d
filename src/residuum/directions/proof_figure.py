"""The figure of a proof: what the three edits close of the gap, beside random directions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from residuum.figures import Bars

if TYPE_CHECKING:
    from residuum.directions.proof import Proof

NAMES = {"add": "adding", "erase": "erasing", "swap": "swapping"}


def proof_figure(proof: Proof) -> Bars:
    """Bars of the three effects and of random directions' 95th percentiles, as shares of the gap.

    Intervals are those of the effects, clustered by template; bars of off-target tasks show the
    share of their own gap that they move by.
    """
    names, values, lo, hi = [], [], [], []
    gap = proof.clean - proof.corrupt
    for test in proof.tests:
        names += [NAMES[test.kind], f"{NAMES[test.kind]}, random (95th percentile)"]
        values += [test.effect / gap, test.random_high / gap]
        lo += [test.interval[0] / gap, math.nan]
        hi += [test.interval[1] / gap, math.nan]
    for other in proof.off_target:
        names.append(f"{other.task}: {NAMES[other.kind]}")
        values.append(other.moved_frac)
        lo.append(other.interval[0])
        hi.append(other.interval[1])
    said = {True: "yes", False: "no", None: "not tested"}
    verdict = ", ".join(f"{name}: {said[is_so]}" for name, is_so in proof.verdict.items())
    return Bars(
        names,
        values,
        lo=lo,
        hi=hi,
        x="share of the gap between clean and corrupt answers",
        order="given",
        title=f"{proof.at} on {proof.task}",
        caption=f"{verdict}. {proof.n_pairs} pairs of {proof.n_templates} templates, "
        f"{proof.n_random} random directions with the activations' covariance.",
        does_not_show="That this is the only such direction, or other prompts.",
    )
