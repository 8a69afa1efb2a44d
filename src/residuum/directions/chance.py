"""How often chance does as well: permutation p-values with +1, several questions at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from residuum.core import OptionError

_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Chance:
    """What random directions say about the found one.

    Attributes:
        p: ``[question]`` share of directions, the found one among them, that do at least as well.
        adjusted: ``[question]`` the same, corrected over the questions (step-down max-T).
        floor: smallest p that so many random directions can give.
    """

    p: Float[np.ndarray, " question"]
    adjusted: Float[np.ndarray, " question"]
    floor: float


def beaten_by_chance(
    found: Float[np.ndarray, " question"], random: Float[np.ndarray, "draw question"]
) -> Chance:
    """Compare a direction's effects with those of random directions, all questions jointly.

    Effects are standardised over all directions (the found one included, so that under the null
    all are exchangeable). The largest of a direction's standardised effects is what the found one's
    largest is compared with; then, that question left out, its second largest; and so on.

    Returns:
        One-sided p-values: large effects are what counts as found.

    Raises:
        OptionError: no random directions.

    Shows: whether this direction does more than directions drawn alike. Does not show: that the
    effect is large.
    Source: Westfall & Young 1993, *Resampling-Based Multiple Testing*, step-down max-T; Phipson &
    Smyth 2010 for the +1. Why not Holm: with 50 random directions no p is below 1/51, and three
    times that is more than .05, so that nothing could ever be found.

    >>> chance = beaten_by_chance(np.array([9.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]] * 10))
    >>> chance.adjusted.round(3).tolist(), round(chance.floor, 3)
    ([0.048, 1.0], 0.048)
    """
    if not len(random):
        raise OptionError(
            "no random directions to compare with", mend="give n_random of 19 or more"
        )
    every = np.concatenate([found[None], random]).astype(np.float64)
    spread = every.std(axis=0)
    z = (every - every.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    p = (z >= z[0] - _TIE).mean(axis=0)
    adjusted, least = np.ones(len(found)), 0.0
    order = np.argsort(-z[0], kind="stable")
    for step, question in enumerate(order):
        largest = z[:, order[step:]].max(axis=1)
        least = max(least, float((largest >= z[0, question] - _TIE).mean()))
        adjusted[question] = least
    return Chance(p, adjusted, 1 / len(every))
