"""How often a label's answers are right: balanced accuracy with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from residuum.runs import wilson_interval

CHANCE = 0.5
"""What answers that do not look at the context score."""
Answers = Sequence[bool | None]
"""An answer for each question; None where there was none that could be read."""


@dataclass(frozen=True)
class Score:
    """Balanced accuracy of some answers: the mean of the shares of right yes and right no.

    Attributes:
        value: 1 all right, 0.5 chance; NaN if one kind of question was never answered.
        low, high: ends of the interval.
        right_yes, n_yes: right answers to questions whose answer is yes, of how many answered.
        right_no, n_no: the same of those whose answer is no.
        unread: questions without an answer that could be read; they count for nothing.
    """

    value: float
    low: float
    high: float
    right_yes: int
    n_yes: int
    right_no: int
    n_no: int
    unread: int = 0

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN is null."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v
                for k, v in asdict(self).items()}  # fmt: skip

    @staticmethod
    def from_json(data: dict[str, Any]) -> Score:
        """Read what :meth:`to_json` wrote."""
        told: dict[str, Any] = {k: math.nan if v is None else v for k, v in data.items()}
        return Score(**told)


def balanced_accuracy(truth: np.ndarray, answers: Answers, level: float = 0.95) -> Score:
    """Score some answers.

    The interval joins Wilson's for the two shares; questions are from different documents.

    Source: Newcombe, Stat. Med. 17 (1998), method 10, for the mean of two shares.

    >>> str(balanced_accuracy(np.array([True, True, False, False]), [True, True, False, True]))
    '0.75 [0.36, 0.95]'
    """
    told = [(bool(t), a) for t, a in zip(truth, answers, strict=True) if a is not None]
    n_yes, n_no = sum(t for t, _ in told), sum(not t for t, _ in told)
    yes, no = sum(t and a for t, a in told), sum(not t and not a for t, a in told)
    unread = len(truth) - len(told)
    if not n_yes or not n_no:
        return Score(math.nan, math.nan, math.nan, yes, n_yes, no, n_no, unread)
    shares = (yes / n_yes, no / n_no)
    ends = (wilson_interval(yes, n_yes, level), wilson_interval(no, n_no, level))
    value = sum(shares) / 2
    below = math.hypot(*(p - e[0] for p, e in zip(shares, ends, strict=True))) / 2
    above = math.hypot(*(e[1] - p for p, e in zip(shares, ends, strict=True))) / 2
    return Score(value, max(0.0, value - below), min(1.0, value + above),
                 yes, n_yes, no, n_no, unread)  # fmt: skip
