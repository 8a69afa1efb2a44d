"""A proof: what adding, erasing and swapping a direction does, and the three verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import Provenance, StoreError
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.causal_test import CausalTest
from residuum.directions.decodability import NO_INTERVAL, Decodability
from residuum.directions.neutral_effect import MOST_UP_FRAC, NeutralEffect
from residuum.directions.proof_figure import proof_figure
from residuum.directions.specificity import MOST, OffTarget

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

LEAST = 0.1
"""A direction is causal only if swapping and LEACE each close at least this share of the gap."""


@dataclass(frozen=True, repr=False)
class Proof:
    """What was shown about a direction, and what was not.

    Attributes:
        at: address of the direction.
        method: how it was found.
        task: name of the task it was proven on.
        metric, unit: what the effects are measured in.
        clean, corrupt: mean metric without edits, signed so that more is better.
        tests: the four edits.
        decodability: held-out accuracy with its controls.
        off_target: side effects on other tasks; empty if none were given.
        neutral: side effects on plain text; None if there was none.
        on_target_frac: mean share by which each edit moves the task itself, adding at its dose.
        dose_frac: share of the vector that side effects of adding are judged at: the smallest, in
            tenths, that flips nine in ten answers; 1 if none does.
        n_pairs, n_templates: what it was proven on.
        n_random: random directions of each kind.
        alpha: bound on the probability of the verdict ``causal`` for a direction without meaning.
        strength_typical: length of the vector added, in mean norms of the site's activations.
        split: what was done so that no pair served for finding and for proving.
        provenance: model, task, strategy, seed.

    Shows: whether the label can be read along the direction (decodable), whether the answers follow
    it more than they follow directions drawn like the activations (causal), and whether other tasks
    stay (specific). Does not show: that it is the only such direction; that the model computes the
    concept as one direction; anything about prompts unlike the task's.
    """

    at: str
    method: str
    task: str
    metric: str
    unit: str
    clean: float
    corrupt: float
    tests: tuple[CausalTest, ...]
    decodability: Decodability
    off_target: tuple[OffTarget, ...]
    neutral: NeutralEffect | None
    on_target_frac: Mapping[str, float]
    dose_frac: float
    n_pairs: int
    n_templates: int
    n_random: int
    alpha: float
    strength_typical: float
    split: str
    provenance: Provenance

    def __getitem__(self, kind: str) -> CausalTest:
        """The test of one edit: ``proof["swap"]``."""
        found = {test.kind: test for test in self.tests}
        if kind not in found:
            raise KeyError(f"no test {kind!r}; there are {', '.join(found)}")
        return found[kind]

    @property
    def verdict(self) -> dict[str, bool | None]:
        """``decodable``, ``causal`` and ``specific``.

        None: not decided, where pairs of a single template give no interval that the rule could ask
        for; the last also without off-target tasks.
        """
        causal = self._causal
        plain = self.neutral is None or self.neutral.spared
        spared = plain and all(each.spared for each in self.off_target)
        return {
            "decodable": self.decodability.holds,
            "causal": causal,
            "specific": (spared and causal) if self.off_target else None,
        }

    @property
    def _causal(self) -> bool | None:
        """None where all else holds, but a single template gives no interval."""
        beyond = all(test.p_adjusted <= self.alpha for test in self.tests if test.decides)
        large = [_large(self[kind]) for kind in ("swap", "leace")]
        if not beyond or False in large:
            return False
        return None if None in large else True

    @property
    def rules(self) -> dict[str, str]:
        """The rule that decided each verdict, with its numbers."""
        tested = [test for test in self.tests if test.decides]
        ps = ", ".join(f"{test.kind} p = {test.p_adjusted:.3f}" for test in tested)
        closed = " and ".join(_closed(self[kind]) for kind in ("swap", "leace"))
        causal = (
            f"all must be beyond {self.n_random} random directions at p <= {self.alpha:g} "
            f"({ps}), and swapping and LEACE close {LEAST:g} of the gap, their intervals above 0 "
            f"({closed})" + (NO_INTERVAL if self._causal is None else "") + self._floor
        )
        worst = max(self.off_target, key=lambda each: each.ratio, default=None)
        specific = (
            "no off-target tasks were given"
            if worst is None
            else f"it must be causal, and no other task move by more than {MOST:g} of what its "
            f"own task does; moved most: {worst.task} ({worst.kind}), {worst.ratio:.2f}"
            + self._plain_rule
        )
        return {"decodable": self.decodability.rule, "causal": causal, "specific": specific}

    @property
    def _floor(self) -> str:
        """A word on draws so few that the smallest p there can be is the bound itself."""
        least = 1 / (self.n_random + 1)
        if least < self.alpha * (1 - 1e-9):
            return ""
        return (
            f"; with {self.n_random} draws p = {least:.3f} is the smallest there can be, reached "
            "only if none does as well: give n_random=50 or more"
        )

    @property
    def _plain_rule(self) -> str:
        plain = self.neutral
        if plain is None:
            return "; no plain text was given"
        return (
            f"; the perplexity of plain text rise by less than {MOST_UP_FRAC:.0%}; it rises by "
            f"{plain.perplexity_up_frac:.1%} ({plain.kind}, up to {plain.interval[1]:.1%})"
        )

    def __repr__(self) -> str:
        said = {True: "yes", False: "no", None: "not decided"}
        verdict = self.verdict
        lines = [
            f"Proof({self.at} on {self.task}: {self.n_pairs} pairs, {self.n_templates} templates)"
        ]
        lines += [f"  {name}: {said[verdict[name]]}; {self.rules[name]}" for name in verdict]
        return "\n".join([*lines, f"  {self.split}"])

    def figure(self) -> Bars:
        """The effects beside random directions', as shares of the gap."""
        said = {True: "yes", False: "no", None: "not decided"}
        verdict = ", ".join(f"{name}: {said[is_so]}" for name, is_so in self.verdict.items())
        return proof_figure(
            self.tests,
            self.off_target,
            title=f"{self.at} on {self.task}",
            caption=f"{verdict}. {self.n_pairs} pairs of {self.n_templates} templates, "
            f"{self.n_random} random directions with the activations' covariance (the variance "
            "between the sides counts as no more than the largest within them).",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each edit."""
        import pandas as pd

        return pd.DataFrame([asdict(test) for test in self.tests])

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN as None."""
        data = {each.name: getattr(self, each.name) for each in fields(self)}
        data["tests"] = [asdict(test) for test in self.tests]
        data["decodability"] = asdict(self.decodability)
        data["off_target"] = [asdict(each) for each in self.off_target]
        data["neutral"] = None if self.neutral is None else asdict(self.neutral)
        data["provenance"] = self.provenance.to_json()
        return _plain(data) | {"verdict": self.verdict, "rules": self.rules}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Proof:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys are missing or unknown.
        """
        known = {each.name for each in fields(Proof)}
        if not isinstance(data, Mapping) or set(data) != known | {"verdict", "rules"}:
            raise StoreError("not a proof", mend="give what Proof.to_json wrote")
        own = {name: data[name] for name in known}
        own["tests"] = tuple(CausalTest(**_numbers(each)) for each in data["tests"])
        own["decodability"] = Decodability(**_numbers(data["decodability"]))
        own["off_target"] = tuple(OffTarget(**_numbers(each)) for each in data["off_target"])
        plain = data["neutral"]
        own["neutral"] = None if plain is None else NeutralEffect(**_numbers(plain))
        own["provenance"] = Provenance.from_json(dict(data["provenance"]))
        return Proof(**own)

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv`` (the three edits), or the figure as HTML, SVG or PNG."""
        save_result(self, path, "a proof")


def _large(test: CausalTest) -> bool | None:
    if test.recovered_frac < LEAST:
        return False
    return None if math.isnan(test.interval[0]) else test.interval[0] > 0


def _closed(test: CausalTest) -> str:
    """Share of the gap and its interval, both as shares."""
    unit = test.effect / test.recovered_frac if test.recovered_frac else math.nan
    low, high = (end / unit for end in test.interval)
    return f"{test.kind} {test.recovered_frac:.2f}, [{low:.2f}, {high:.2f}]"


def _plain(value: Any) -> Any:
    """The same without NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(record: Mapping[str, Any]) -> dict[str, Any]:
    """A saved record with NaN where None was written, and its interval as a pair."""
    out: dict[str, Any] = {
        key: math.nan if value is None else value for key, value in record.items()
    }
    if "interval" in out:
        low, high = (math.nan if end is None else end for end in out["interval"])
        out["interval"] = (low, high)
    if "ratio" in out and math.isnan(out["ratio"]):
        out["ratio"] = math.inf
    return out
