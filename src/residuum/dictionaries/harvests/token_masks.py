"""Which tokens of a text are kept: BOS, padding and tokens of extreme norm are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from residuum.core import OptionError
from residuum.runs import Model
from residuum.runs.arguments import shown, whole_number

SKIPPED_BY_DEFAULT = ("bos", "pad", "high_norm")
_BY_ID = ("bos", "eos", "pad")


@dataclass(frozen=True)
class HighNorm:
    """Leave out tokens whose vector is far longer than usual, such as attention sinks.

    A token goes if at any site its norm is above ``times`` the median norm of that site, over the
    first ``tokens`` tokens that nothing else leaves out.

    Attributes:
        times: above 1.
        tokens: how many tokens the median is taken over, 1 or more.

    Raises:
        OptionError: out of range.
    """

    times: float = 10.0
    tokens: int = 4096

    def __post_init__(self) -> None:
        if not isinstance(self.times, (int, float)) or not 1 < self.times < float("inf"):
            raise OptionError(f"times={shown(self.times)} is out of range", mend="give above 1")
        whole_number(self.tokens, "tokens", 1)

    def limits(self, norms: np.ndarray) -> tuple[float, ...]:
        """The longest norm that is kept at each site, from norms ``[token site]``."""
        median = np.median(norms[: self.tokens].astype(np.float64), axis=0)
        return tuple(float(each) * self.times for each in median)


@dataclass(frozen=True)
class Skip:
    """What is left out.

    Attributes:
        names: ``"bos"``, ``"eos"``, ``"pad"``, as asked for.
        ids: of each, the token id; a tokenizer that lacks the token leaves its name out here.
        high_norm: the rule, or None.
    """

    names: tuple[str, ...] = ()
    ids: dict[str, int] = field(default_factory=dict)
    high_norm: HighNorm | None = None

    @staticmethod
    def of(model: Model, given: Any) -> Skip:
        """From names and rules.

        Raises:
            OptionError: one that is not known.
        """
        several = [given] if isinstance(given, (str, HighNorm)) else given
        several = () if several is None else several
        known = (*_BY_ID, "high_norm")
        if not isinstance(several, Sequence):
            several = (given,)
        for each in several:
            if not isinstance(each, HighNorm) and each not in known:
                raise OptionError(
                    f"skip={shown(each)} is not known",
                    mend=f"use some of: {', '.join(known)}, HighNorm(times); () skips nothing",
                )
        rules = [each for each in several if isinstance(each, HighNorm)]
        high = rules[0] if rules else HighNorm() if "high_norm" in several else None
        names = tuple(name for name in _BY_ID if name in several)
        found = {name: getattr(model.tokenizer, f"{name}_token_id", None) for name in names}
        return Skip(names, {n: i for n, i in found.items() if isinstance(i, int)}, high)

    def by_id(self, ids: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
        """Which of some tokens stay, and how many go for each reason (the first that holds)."""
        stay, gone = np.ones(len(ids), bool), {}
        for name in self.names:
            hit = stay & (ids == self.ids[name]) if name in self.ids else np.zeros(len(ids), bool)
            gone[name] = int(hit.sum())
            stay &= ~hit
        return stay, gone

    def to_json(self) -> dict[str, Any]:
        """Plain data, the rule of high norms included."""
        high = self.high_norm
        rule = None if high is None else {"times": high.times, "median_over": high.tokens}
        return {"names": list(self.names), "ids": self.ids, "high_norm": rule}
