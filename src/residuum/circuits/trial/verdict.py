"""The verdict of one test under one reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from residuum.core import StoreError

TESTS = ("equivalence", "independence", "minimality", "sufficiency", "necessity")
"""The tests of a trial, in order."""

REJECTING = ("equivalence", "minimality", "sufficiency", "necessity")
"""Those that a circuit passes by rejecting a null; they share one alpha."""

_SAID = {True: "holds", False: "does not hold", None: "could not be tested"}


@dataclass(frozen=True)
class Verdict:
    """What one test says of a circuit.

    Attributes:
        test: one of :data:`TESTS`.
        reference: what edges outside the circuit carried.
        question: in words.
        statistic: what was measured.
        unit: of the statistic.
        interval: of the statistic; NaN where there is none.
        null: the hypothesis that p is about, in words.
        p: its p-value; NaN where nothing could be tested.
        p_adjusted: Holm's, over all tests and references of the trial that pass by rejecting; of
            independence, which passes by not rejecting, p itself.
        holds: None where it could not be tested.
        why: the rule with its numbers.
    """

    test: str
    reference: str
    question: str
    statistic: float
    unit: str
    interval: tuple[float, float]
    null: str
    p: float
    p_adjusted: float
    holds: bool | None
    why: str

    def __str__(self) -> str:
        p = "" if math.isnan(self.p) else f", p = {self.p_adjusted:.3g}"
        return f"{self.test} ({self.reference}): {_SAID[self.holds]}{p}; {self.why}"

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN as None."""
        data = asdict(self)
        data["interval"] = [_or_none(end) for end in self.interval]
        return data | {name: _or_none(data[name]) for name in ("statistic", "p", "p_adjusted")}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Verdict:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys missing or unknown, or values of another kind.
        """
        mend = "give what a trial's save() wrote as .json"
        names = {each.name for each in fields(Verdict)}
        if not isinstance(data, Mapping) or set(data) != names:
            raise StoreError("not a verdict of a trial", mend=mend)
        own: dict[str, Any] = dict(data)
        try:
            low, high = (or_nan(end) for end in own["interval"])
            own["interval"] = (low, high)
            own |= {name: or_nan(own[name]) for name in ("statistic", "p", "p_adjusted")}
        except (TypeError, ValueError) as error:
            raise StoreError(f"a verdict that does not hold: {error}", mend=mend) from error
        return Verdict(**own)


def _or_none(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def or_nan(number: Any) -> float:
    """NaN where None was written."""
    return math.nan if number is None else float(number)
