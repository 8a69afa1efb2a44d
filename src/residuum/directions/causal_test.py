"""One of the four edits, against random directions."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class CausalTest:
    """One of the four edits against random directions.

    Attributes:
        kind: ``"add"``, ``"erase"``, ``"leace"`` or ``"swap"``.
        effect: mean over pairs, in the metric's unit, towards the other side of the pair.
        recovered_frac: the same as a share of the gap between clean and corrupt answers.
        interval: 95 % interval of the effect, clustered by template; NaN for a single template.
        p: share of directions with the activations' covariance (the concept's own variance
            levelled), this one counted among them, whose effect is at least as large.
        p_adjusted: corrected over adding, erasing and swapping (step-down max-T); LEACE's own p.
        random_mean, random_high: mean and 95th percentile of those directions' effects.
        isotropic_high: 95th percentile of isotropic directions' effects.
        isotropic_p: p against isotropic directions; no verdict rests on it.
        decides: whether the verdict asks for its p; not for LEACE, which takes a concept out along
            many random directions too, with all that goes with them.
        unlevelled_high: 95th percentile of directions with the whole covariance, the concept's own
            variance in it; no verdict rests on it.
    """

    kind: str
    effect: float
    recovered_frac: float
    interval: tuple[float, float]
    p: float
    p_adjusted: float
    random_mean: float
    random_high: float
    isotropic_high: float
    isotropic_p: float
    decides: bool
    unlevelled_high: float = math.nan
