"""What an audit's page says in short: the reason of a verdict first, and no sentence cut off."""

from __future__ import annotations

import math

from residuum.findings.audit.audit_page import _first
from residuum.findings.audit.evidence import MonitorEvidence, MonitorTrial
from residuum.findings.audit.monitor_question import AS_FITTED, says_monitor
from residuum.findings.record.evidence import Estimate


def about(value: float, spread: float = 0.02) -> Estimate:
    return Estimate(value, value - spread, value + spread, 100)


def trial(name: str, auroc: Estimate) -> MonitorTrial:
    return MonitorTrial(name, "an example", about(0.4), auroc, about(0.5), about(0.1))


def says(*trials: MonitorTrial) -> str:
    found = MonitorEvidence("L1.resid_post", 0.5, 0.7, about(0.9), about(0.5), trials, ())
    return says_monitor(found, 0.9)


def test_where_a_monitor_fails_comes_before_where_it_holds() -> None:
    said = says(trial(AS_FITTED, about(0.97)), trial("other wording", about(0.6)))
    first = _first(said)
    assert first.startswith(
        "A monitor at L1.resid_post does not hold on “other wording” (AUROC 0.6"
    )
    assert first.endswith(").") and "as fitted" not in first
    assert "It holds as fitted (AUROC 0.97" in said


def test_a_monitor_that_holds_everywhere_says_so_first() -> None:
    said = says(trial(AS_FITTED, about(0.97)), trial("behind a day", about(0.95)))
    assert said.startswith("A monitor at L1.resid_post holds as fitted") and "not hold" not in said


def test_open_and_unjudged_statements_are_told() -> None:
    nothing = Estimate(math.nan, math.nan, math.nan, 100)
    said = says(trial(AS_FITTED, about(0.9, 0.05)), trial("behind a day", nothing))
    assert "may or may not hold as fitted" in said
    assert "Not judged on “behind a day”: 40 of 100 answers depart, and at least 5 must" in said


def test_a_long_answer_in_short_says_that_more_follows() -> None:
    parts = [f"task {i} rests on many parts of the model, named one by one" for i in range(9)]
    short = _first(f"{'; '.join(parts)}. And more.")
    assert short == f"{parts[0]}; and 8 more, below."
    assert _first("Short. And more.") == "Short."
