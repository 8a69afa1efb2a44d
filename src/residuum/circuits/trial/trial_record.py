"""A trial: every test's verdict on a circuit, and the one that follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.circuits.graph.circuit_saving import read_json
from residuum.circuits.graph.fitting import check_weights
from residuum.circuits.judging.sealed import is_unsealed, sealed, unsealed
from residuum.circuits.trial.trial_figure import trial_figure
from residuum.circuits.trial.verdict import Verdict, or_nan
from residuum.core import OptionError, Provenance, StoreError
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.runs import Model

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars, Panel

_KIND, _NOUN = "circuit_trial", "a trial of a circuit"
_AGAIN = "try the circuit again: rz.trial(circuit, model, task).save(...)"


@dataclass(frozen=True)
class TrialLevels:
    """Mean metric under one reference, more being better.

    Attributes:
        reference: what edges outside the circuit carried.
        full, empty: of the whole model, and with no edge kept.
        circuit, rest: of the circuit alone, and of all but the circuit.
        random, random_rest: of each random circuit alone, and without it.
    """

    reference: str
    full: float
    empty: float
    circuit: float
    rest: float
    random: tuple[float, ...]
    random_rest: tuple[float, ...]

    def frac(self, value: float) -> float:
        """A metric value as a share of the way from empty (0) to full (1); NaN without a way."""
        gap = self.full - self.empty
        return (value - self.empty) / gap if gap else math.nan


@dataclass(frozen=True)
class EdgeVerdict:
    """One edge of the circuit in the minimality test.

    Attributes:
        edge: its name.
        reference: what edges outside the circuit carried.
        effect: metric of the circuit - metric of the circuit without the edge.
        p: against edges added at random, by absolute effect.
        p_adjusted: Benjamini and Hochberg's over the circuit's edges.
        matters: whether that is at most alpha.
    """

    edge: str
    reference: str
    effect: float
    p: float
    p_adjusted: float
    matters: bool


@dataclass(frozen=True, repr=False)
class Trial:
    """What five tests say of a circuit, under each reference.

    Attributes:
        verdicts: one for each test and reference.
        required: tests that had to hold.
        held_out: whether the prompts are others than those it was found on; None: not known.
        held_out_why: how that is known.
        levels: means under each reference.
        edges: each edge's verdict, under each reference.
        task: name of the task.
        metric, unit: what was measured.
        n_edges, graph_edges: of the circuit and of its graph.
        n_pairs, n_units: prompts, and independent units among them.
        margin: share of full - empty that counted as a difference.
        alpha: bound on the probability of any wrong rejection.
        matter_frac: share of edges that had to matter.
        n_random: random circuits.
        floor: smallest p that they can give, 1 / (n + 1).
        tests: tests that share alpha; the floor lies below alpha / tests.
        circuit_hash: of the circuit.
        warnings: what a reader must know before quoting a verdict.
        provenance: of model, task and options.

    Shows: whether the circuit alone does as well as the model within a margin, what is left knows
    nothing of what the model says, its edges matter, and keeping or removing it does more than
    keeping or removing random connected circuits of its size; on these prompts, under each
    reference. Does not show: that it is the only such circuit (see ``rz.rival_circuits``) or would
    be found again (``rz.circuit_stability``); what it does on other tasks; other templates than the
    task's, unless units are templates; nor that its edges do what they are named for.
    """

    verdicts: tuple[Verdict, ...]
    required: tuple[str, ...]
    held_out: bool | None
    held_out_why: str
    levels: tuple[TrialLevels, ...]
    edges: tuple[EdgeVerdict, ...]
    task: str
    metric: str
    unit: str
    n_edges: int
    graph_edges: int
    n_pairs: int
    n_units: int
    margin: float
    alpha: float
    matter_frac: float
    n_random: int
    floor: float
    tests: int
    circuit_hash: str
    warnings: tuple[str, ...]
    provenance: Provenance

    def __getitem__(self, key: str | tuple[str, str]) -> Verdict:
        """``trial["sufficiency", "mean"]``; of a test alone, its verdict under the first reference.

        Raises:
            OptionError: no such verdict.
        """
        test, reference = key if isinstance(key, tuple) else (key, self.levels[0].reference)
        for each in self.verdicts:
            if (each.test, each.reference) == (test, reference):
                return each
        known = ", ".join(f"{each.test} ({each.reference})" for each in self.verdicts)
        raise OptionError(f"no verdict {test} ({reference})", mend=f"there are: {known}")

    @property
    def verdict(self) -> str:
        """``"passes"``, ``"fails"``, ``"undecided"``; or it passes, and was not held out.

        ``"fails"``: a test that had to hold does not, under some reference. ``"undecided"``: none
        fails, but some could not be tested. ``"passes"``: all hold, on prompts that it was not
        found on. ``"passes, not held out"``: all hold, on prompts that it was found on; ``"passes,
        held out not known"``: nothing says on which it was found.
        """
        holds = [each.holds for each in self.verdicts if each.test in self.required]
        if False in holds:
            return "fails"
        if None in holds:
            return "undecided"
        said = {True: "", False: ", not held out", None: ", held out not known"}
        return "passes" + said[self.held_out]

    @property
    def passes(self) -> bool:
        """Whether every required test holds, on prompts that it was not found on."""
        return self.verdict == "passes"

    @property
    def rule(self) -> str:
        """How the verdict follows from the tests, in one line."""
        references = ", ".join(each.reference for each in self.levels)
        return (
            f"{', '.join(self.required)} must hold under {references}, on prompts that the circuit "
            f"was not found on; alpha = {self.alpha:g} over {self.tests} tests (Holm), smallest p "
            f"of {self.n_random} random circuits {self.floor:.2g} < {self.alpha:g}/{self.tests}"
        )

    def __repr__(self) -> str:
        head = (
            f"Trial({self.verdict}: {self.n_edges:,} of {self.graph_edges:,} edges on {self.task}, "
            f"{self.n_pairs} pairs)"
        )
        lines = [f"  {each}" for each in self.verdicts]
        lines += [f"  warning: {each}" for each in self.warnings]
        return "\n".join([head, *lines, f"  {self.held_out_why}", f"  rule: {self.rule}"])

    def figure(self) -> Bars | Panel:
        """Circuit, rest and random circuits as shares of the way from empty to full."""
        return trial_figure(self.levels, f"{self.task}: {self.verdict}", self.rule)

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each test and reference."""
        import pandas as pd

        return pd.DataFrame([asdict(each) for each in self.verdicts])

    def edges_to_dataframe(self) -> pd.DataFrame:
        """One row for each edge and reference: ``edge, reference, effect, p, p_adjusted, matters``.

        Smallest p first, of equal ones the largest absolute effect.
        """
        import pandas as pd

        names = [each.name for each in fields(EdgeVerdict)]
        order = sorted(self.edges, key=lambda each: (each.p, -abs(each.effect)))
        return pd.DataFrame([asdict(each) for each in order], columns=names)

    def to_json(self) -> dict[str, Any]:
        """Plain data, with a hash over all of it; NaN as None."""
        data = {each.name: getattr(self, each.name) for each in fields(self)}
        data |= {
            "verdict": self.verdict,
            "rule": self.rule,
            "verdicts": [each.to_json() for each in self.verdicts],
            "required": list(self.required),
            "warnings": list(self.warnings),
            "levels": [_lists(asdict(each)) for each in self.levels],
            "edges": [asdict(each) for each in self.edges],
            "provenance": self.provenance.to_json(),
        }
        return sealed(data, _KIND)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Trial:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: another kind or format, a content that was changed after it was written,
                no hash (written by an older version), keys missing or unknown, or a verdict that
                does not follow from the tests.
        """
        if is_unsealed(data, _KIND):
            raise StoreError(
                f"{_NOUN} without a hash, as older versions wrote it: whether it was changed "
                "cannot be told",
                mend=_AGAIN,
            )
        data, mend = unsealed(data, _KIND, _NOUN), "give what a trial's save() wrote as .json"
        names = {each.name for each in fields(Trial)}
        if set(data) != names | {"verdict", "rule"}:
            raise StoreError(f"{_NOUN} with keys missing or unknown", mend=mend)
        own = {name: data[name] for name in names}
        try:
            own["verdicts"] = tuple(Verdict.from_json(each) for each in data["verdicts"])
            own["levels"] = tuple(TrialLevels(**_tuples(each)) for each in data["levels"])
            own["edges"] = tuple(EdgeVerdict(**each) for each in data["edges"])
            own["required"], own["warnings"] = tuple(data["required"]), tuple(data["warnings"])
            own["provenance"] = Provenance.from_json(dict(data["provenance"]))
        except TypeError as error:
            raise StoreError(f"a trial that does not hold: {error}", mend=mend) from error
        found = Trial(**own)
        if (found.verdict, found.rule) != (data["verdict"], data["rule"]):
            raise StoreError("a trial whose verdict does not follow from its tests", mend=mend)
        return found

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv`` (the verdicts), or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: a path that cannot be written to.
        """
        save_result(self, path, "a trial")


def load_trial(path: str | Path, model: Model | None = None) -> Trial:
    """Read what a trial's ``save`` wrote as ``.json``.

    Args:
        path: the file.
        model: refused where the circuit is another model's.

    Raises:
        StoreError: no such file, no trial, or one that was changed or has no hash.
        LoadError: another model's.
    """
    found = Trial.from_json(read_json(path, _NOUN))
    if model is not None:
        check_weights(found.provenance, model, "circuit on trial", _AGAIN)
    return found


def _lists(data: dict[str, Any]) -> dict[str, Any]:
    return {key: list(each) if isinstance(each, tuple) else each for key, each in data.items()}


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(map(or_nan, each)) if isinstance(each, list) else each
        for key, each in data.items()
    }
