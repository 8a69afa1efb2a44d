"""p-values from draws, several of them judged together, and how many draws that takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from residuum.core import OptionError

_TIE = 1e-9


def p_value(found: float, drawn: Any, tolerance: float = 0.0) -> float:
    """Share of draws, the found one among them, that are at least as large: (b + 1) / (n + 1).

    Args:
        found: the value in question; large is what counts as found.
        drawn: ``[draw]`` values under the null.
        tolerance: draws smaller than ``found`` by no more than this count as equal to it.

    Raises:
        OptionError: no draws.

    Source: Phipson & Smyth 2010, "Permutation p-values should never be zero".

    >>> p_value(3.0, [1.0, 2.0, 3.0])
    0.5
    """
    values = np.asarray(drawn, dtype=np.float64)
    if not values.size:
        raise OptionError("no draws to compare with", mend="draw at least 19")
    return (int((values >= found - tolerance).sum()) + 1) / (values.size + 1)


def holm(p: Any) -> np.ndarray:
    """Holm's adjusted p-values, ``[test]``: any error among them at most alpha; NaN stay out.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    found = np.full(values.shape, np.nan)
    order = [i for i in np.argsort(values, kind="stable") if not math.isnan(values[i])]
    least = 0.0
    for place, i in enumerate(order):
        least = max(least, min(1.0, (len(order) - place) * float(values[i])))
        found[i] = least
    return found


def benjamini_hochberg(p: Any) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values, ``[test]``: share of false finds at most alpha.

    Source: Benjamini & Hochberg 1995, "Controlling the false discovery rate".

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    n = len(values)
    raised = values[order] * n / np.arange(1, n + 1)
    found = np.empty(n)
    found[order] = np.minimum(1.0, np.minimum.accumulate(raised[::-1])[::-1])
    return found


def at_least(p: Any, least: int) -> float:
    """p-value of "fewer than ``least`` of these nulls are false": Simes over the largest others.

    Raises:
        OptionError: ``least`` is not from 1 to the number of p-values.

    Source: Benjamini & Heller 2008, "Screening for partial conjunction hypotheses".

    >>> at_least([0.01, 0.02, 0.9], 2), at_least([0.01, 0.02, 0.9], 3)
    (0.04, 0.9)
    """
    values = np.sort(np.asarray(p, dtype=np.float64))
    if not 1 <= least <= len(values):
        raise OptionError(f"least={least} of {len(values)}", mend=f"use 1 to {len(values)}")
    rest = values[least - 1 :]
    return float(min(1.0, (rest * len(rest) / np.arange(1, len(rest) + 1)).min()))


def draws_needed(tests: int, alpha: float) -> int:
    """Fewest draws whose smallest p, 1 / (n + 1), lies below alpha / tests.

    >>> draws_needed(8, 0.05), draws_needed(1, 0.05)
    (160, 20)
    """
    return math.floor(tests / alpha * (1 + _TIE))


def pairs_needed(tests: int, alpha: float) -> int:
    """Fewest pairs whose smallest one-sided sign-flip p, 1 / 2ⁿ, reaches alpha / tests.

    >>> pairs_needed(8, 0.05)
    8
    """
    return max(2, math.ceil(math.log2(tests / alpha) * (1 - _TIE)))
