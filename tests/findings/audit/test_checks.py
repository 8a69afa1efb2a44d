"""A verdict follows from outcomes."""

from __future__ import annotations

import math

import pytest

from residuum.findings.audit.answer import Answer, Try
from residuum.findings.audit.checks import About, Check, above, verdict_of
from residuum.findings.audit.shares import share_of
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import Outcome


def check(outcome: Outcome, about: About = "question") -> Check:
    return Check("name", "demands", "found", outcome, about)


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ([check("holds"), check("holds")], "shown"),
        ([check("holds"), check("fails")], "not shown"),
        ([check("holds"), check("unclear")], "undecided"),
        ([check("fails", "behaviour"), check("holds")], "behaviour absent"),
        ([check("unclear", "behaviour"), check("holds")], "undecided"),
        ([check("holds"), check("fails", "beside")], "shown"),
        ([check("holds", "behaviour")], "undecided"),
        ([], "undecided"),
    ],
)
def test_verdicts(checks: list[Check], verdict: str) -> None:
    assert verdict_of(checks) == verdict


def test_an_interval_decides_and_its_absence_does_not() -> None:
    assert above(Estimate(0.9, 0.8, 1.0, 9), 0.5) == "holds"
    assert above(Estimate(0.6, 0.4, 0.8, 9), 0.5) == "unclear"
    assert above(Estimate(0.3, 0.1, 0.5, 9), 0.5) == "fails"
    assert above(Estimate(0.9, math.nan, math.nan, 1), 0.5) == "unclear"


def test_prompts_of_one_template_are_alike() -> None:
    hits, templates = [1.0] * 12 + [0.0] * 4, [name for name in "abcd" for _ in range(4)]
    counted, drawn = Estimate.of_share(hits), share_of(hits, templates)
    assert above(counted, 0.5) == "holds" and above(drawn, 0.5) == "unclear"
    assert drawn.value == counted.value and drawn.low >= 0 and drawn.high <= 1
    assert share_of(hits, ["a"] * 16) == share_of(hits, ()) == counted
    assert share_of([1.0] * 16, templates) == Estimate.of_share([1.0] * 16)


def test_seeds_that_differ_are_undecided_and_only_some_verdicts_concern() -> None:
    one, other = Try(0, "shown", "yes"), Try(1, "not shown", "no")
    answer = Answer("q", "bypass", "?", (), (one, other))
    assert answer.verdict == "undecided" and not answer.concern
    assert "seed 0: shown, seed 1: not shown" in answer.says
    assert Answer("q", "bypass", "?", (), (one,)).concern
    assert Answer("q", "monitor", "?", (), (other,)).concern
    assert not Answer("q", "heads", "?", (), (one,)).concern
    assert not Answer("q", "bypass", "?", (), (other,)).concern
