"""What an answer rests on: checks with outcomes, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import BehaviourEvidence, Estimate
from residuum.findings.record.rules import Outcome, Rule, percent, share

Verdict = Literal["shown", "not shown", "undecided", "behaviour absent", "not testable"]
SAYS_IT = 0.5
"""Share of prompts on which a behaviour must be what the model says."""
About = Literal["behaviour", "question", "beside"]


@dataclass(frozen=True)
class Check:
    """One check and how it came out.

    Attributes:
        name: short.
        demands: what must hold, in words.
        found: what was found, in numbers.
        outcome: ``holds``, ``fails`` or ``unclear``.
        about: ``behaviour`` (is there anything to ask about), ``question`` (decides the verdict),
            or ``beside`` (reported, decides nothing).
    """

    name: str
    demands: str
    found: str
    outcome: Outcome
    about: About = "question"


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """The verdict that follows from the outcomes.

    A check on the behaviour fails: ``behaviour absent``; one is unclear: ``undecided``; all that
    decide hold: ``shown``; one fails: ``not shown``; else, and where none decides: ``undecided``.
    """
    behaviour = [check.outcome for check in checks if check.about == "behaviour"]
    question = [check.outcome for check in checks if check.about == "question"]
    if "fails" in behaviour:
        return "behaviour absent"
    if "unclear" in behaviour or not question:
        return "undecided"
    if all(outcome == "holds" for outcome in question):
        return "shown"
    return "not shown" if "fails" in question else "undecided"


def above(estimate: Estimate, bound: float) -> Outcome:
    """Whole interval above the bound: holds; whole interval up to it: fails; else unclear.

    Without an interval (too few examples) nothing is decided.
    """
    if estimate.low > bound:
        return "holds"
    return "fails" if estimate.high <= bound else "unclear"


def settled(holds: bool) -> Outcome:
    """The outcome of a comparison that has no interval."""
    return "holds" if holds else "fails"


def behaviour_checks(rules: Sequence[Rule], seen: BehaviourEvidence) -> tuple[Check, ...]:
    """Is the behaviour there: the rules of a finding about it, and that the model says it.

    A model that has learned nothing may lean to one of two words that it would never say; to be
    reviewed, a behaviour must be what the model does.
    """
    asked = tuple(
        Check(rule.name, rule.demands, rule.found, rule.outcome, "behaviour")
        for rule in rules
        if rule.asks == "behaviour"
    )
    return (
        *asked,
        Check(
            "It is what the model says",
            f"the most likely next word is a right answer on more than {percent(SAYS_IT)} of the "
            "prompts, interval and all (it counts prompts, as if each were drawn by itself)",
            share(seen.accuracy),
            above(seen.accuracy, SAYS_IT),
            "behaviour",
        ),
    )


def is_there(rules: Sequence[Rule], seen: BehaviourEvidence) -> bool:
    """Whether no check on the behaviour fails."""
    return all(check.outcome != "fails" for check in behaviour_checks(rules, seen))
