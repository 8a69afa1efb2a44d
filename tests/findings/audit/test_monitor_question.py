"""A monitor that was tried nowhere else is not shown to hold elsewhere."""

from __future__ import annotations

import math

import pytest

from residuum.core import SILENT
from residuum.directions import microworld_beliefs
from residuum.directions.truth_monitor import THRESHOLD_NATS, TruthMonitor
from residuum.findings.audit.asked import Asked
from residuum.findings.audit.checks import Verdict
from residuum.findings.audit.evidence import MonitorEvidence, MonitorTrial
from residuum.findings.audit.monitor_question import (
    AS_FITTED,
    ask_monitor,
    monitor_checks,
    monitor_verdict,
    says_monitor,
)
from residuum.findings.audit.options import MonitorOptions, Variant
from residuum.findings.record.budget import BUDGETS
from residuum.findings.record.evidence import Estimate
from residuum.runs import Model

SURE = Estimate(0.99, 0.97, 1.0, 80)
NONE = Estimate(math.nan, math.nan, math.nan, 80)
WEAK = Estimate(0.6, 0.5, 0.7, 80)
LEFT = "behind a day: no statement holds these words"


def evidence(*trials: tuple[str, Estimate], left: tuple[str, ...] = ()) -> MonitorEvidence:
    gone = Estimate(0.02, 0.0, 0.1, 80)
    tried = tuple(MonitorTrial(name, "", gone, auroc, SURE, gone) for name, auroc in trials)
    return MonitorEvidence("L1.resid_post", 0.5, THRESHOLD_NATS, SURE, gone, tried, left)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (evidence((AS_FITTED, SURE), ("other", SURE)), "shown"),
        (evidence((AS_FITTED, SURE), ("other", NONE), left=(LEFT,)), "not testable"),
        (evidence((AS_FITTED, SURE)), "not testable"),
        (evidence((AS_FITTED, WEAK), ("other", NONE)), "not shown"),
        (evidence((AS_FITTED, SURE), ("other", SURE), ("third", NONE)), "undecided"),
        (evidence((AS_FITTED, SURE), ("other", SURE), left=(LEFT,)), "undecided"),
        (evidence((AS_FITTED, SURE), ("other", WEAK), ("third", NONE)), "not shown"),
    ],
)
def test_what_was_not_judged_does_not_hold(found: MonitorEvidence, verdict: Verdict) -> None:
    checks = monitor_checks(found, 0.8)
    assert len(checks) == len(found.trials) + len(found.left_out)
    assert monitor_verdict(found, checks) == verdict


def test_it_says_what_was_not_judged() -> None:
    found = evidence((AS_FITTED, SURE), ("other", NONE), left=(LEFT,))
    said = says_monitor(found, 0.8)
    assert said.startswith("In none of the other wordings could the monitor be judged.")
    assert "Not judged on “other”: 2 of 80 answers depart" in said
    assert "Not tried on behind a day: no statement holds these words." in said
    unjudged, left = monitor_checks(found, 0.8)[1:]
    assert unjudged.outcome == left.outcome == "unclear" and left.name.endswith("behind a day")


def test_words_that_no_statement_holds_leave_nothing_tested(model: Model) -> None:
    options = MonitorOptions(
        "microworld", "L1.resid_post", variants=(Variant("none", (("xyz", "abc"),)),)
    )
    answer = ask_monitor(Asked(model, None, BUDGETS["quick"], 0, None, SILENT), options)
    assert answer.verdict == "not testable" and answer.monitor is not None
    assert answer.monitor.trials[0].judged and answer.monitor.left_out


def test_the_threshold_is_the_same_whatever_is_fitted(model: Model) -> None:
    """So flags on held-out scores are held out too."""
    data = microworld_beliefs(0)
    half = data.subset(list(range(0, len(data), 2)))
    fitted = [TruthMonitor.fit(model, each, "L1.resid_post") for each in (data, half)]
    assert [each.threshold_nats for each in fitted] == [math.log(2)] * 2
