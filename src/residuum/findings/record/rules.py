"""The rules that decide a finding's status. The status is computed, never typed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import BehaviourEvidence, Estimate

Status = Literal["supported", "not supported", "undecided"]
Outcome = Literal["holds", "fails", "unclear"]
Topic = Literal[
    "behaviour", "mechanism", "each", "circuit", "shared", "composition", "direction",
    "specificity", "robustness", "controls", "transfer",
]  # fmt: skip
"""What a rule is about."""
ENOUGH = 0.3
"""Share of the clean-corrupt distance that the named heads together must move, both ways."""
MORE = 0.1
"""Share of the distance that counts as more: against chance, and against a search's own parts."""
AT_STAKE = 0.3
"""Share of the metric on clean prompts that must be gone on corrupt ones."""
IDLE = 0.02
"""Share of the distance below which a named part does nothing."""
ALPHA = 0.05
"""Joint p up to which a head is shown by itself."""
FEWEST_SETS = 10
"""Random sets (or, where these are too few, directions) that a comparison with chance needs."""
REFUTING = ("Enough", "More than chance")
"""Rules about a mechanism whose failing refutes it."""


@dataclass(frozen=True)
class Rule:
    """One rule and how it came out.

    Attributes:
        name: short.
        demands: what must hold, in words.
        found: what was found, in numbers.
        outcome: ``holds``, ``fails`` or ``unclear``.
        asks: what it is about: the ``behaviour``, the ``mechanism`` (all that is named,
            together), ``each`` part by itself, or one of the further stages.
        decides: whether the status depends on it. One that does not decide narrows the claim's
            words and its scope.
    """

    name: str
    demands: str
    found: str
    outcome: Outcome
    asks: Topic
    decides: bool


def behaviour_rules(evidence: BehaviourEvidence, unit: str) -> tuple[Rule, ...]:
    """Is the behaviour there: the answer is preferred, beyond random labels, and it follows
    what the pairs differ in."""
    choice, random, contrast = evidence.choice, evidence.shuffled, evidence.contrast
    return (
        Rule(
            "The answer is preferred",
            "the share of prompts that rank the right answer above the wrong one lies above what "
            f"{evidence.shuffles} random labellings give, interval and all",
            f"{share(choice)}; random labels {percent(random.value)}, 95 % of them between "
            f"{percent(random.low)} and {percent(random.high)}",
            _preferred(choice, random),
            "behaviour",
            decides=True,
        ),
        Rule(
            "It follows the change",
            "the metric is higher on clean than on corrupt prompts, with its interval above 0",
            f"{number(contrast)} {unit}",
            above(contrast, 0.0),
            "behaviour",
            decides=True,
        ),
        Rule(
            "The answer is at stake",
            f"of the metric on clean prompts at least {percent(AT_STAKE)} is gone on corrupt ones, "
            "interval and all: else what is restored is a small part of the answer",
            f"{number(evidence.metric_clean)} on clean, {number(evidence.metric_corrupt)} on "
            f"corrupt prompts ({unit})",
            "holds" if contrast.low >= AT_STAKE * abs(evidence.metric_clean.value) else "unclear",
            "behaviour",
            decides=True,
        ),
    )


def _preferred(choice: Estimate, random: Estimate) -> Outcome:
    """All prompts right decide nothing where random labels come to that too: no share is larger."""
    if choice.value >= 1.0 <= random.high:
        return "unclear"
    return above(choice, max(random.value, 0.0), choice.value > random.high)


def decide(rules: tuple[Rule, ...]) -> Status:
    """The status that follows from the outcomes of the rules that decide.

    * a rule about the behaviour fails: ``not supported`` (nothing to explain);
    * one is unclear: ``undecided``;
    * there are no rules about a mechanism: ``undecided``;
    * all others hold: ``supported``;
    * the mechanism is not enough, or no more than chance: ``not supported``;
    * anything else: ``undecided``.

    Rules that do not decide, such as each part by itself, change no status.
    """
    deciding = [rule for rule in rules if rule.decides]
    behaviour = [rule.outcome for rule in deciding if rule.asks == "behaviour"]
    others = [rule for rule in deciding if rule.asks != "behaviour"]
    mechanism = {rule.name: rule.outcome for rule in others if rule.asks == "mechanism"}
    if "fails" in behaviour:
        return "not supported"
    if "unclear" in behaviour or not behaviour or not mechanism:
        return "undecided"
    if all(rule.outcome == "holds" for rule in others):
        return "supported"
    return "not supported" if refuted(rules) else "undecided"


def refuted(rules: tuple[Rule, ...]) -> bool:
    """Whether a deciding rule fails that refutes a mechanism."""
    return any(
        rule.outcome == "fails" and rule.name in REFUTING
        for rule in rules
        if rule.decides and rule.asks == "mechanism"
    )


def present(rules: tuple[Rule, ...]) -> bool:
    """Whether no rule about the behaviour fails."""
    return all(rule.outcome != "fails" for rule in rules if rule.asks == "behaviour")


def above(estimate: Estimate, bound: float, also: bool = True) -> Outcome:
    """Whole interval above the bound: holds; the value not above it: fails; between: unclear."""
    if not estimate.value > bound or not also:
        return "fails"
    return "holds" if estimate.low > bound else "unclear"


def lead(value: float, best: float) -> float:
    """By how much a share exceeds the best by chance; beyond the whole nothing counts as more."""
    return min(value, 1.0) - min(best, 1.0)


def percent(value: float) -> str:
    """A share as text.

    >>> percent(0.615), percent(1.0), percent(float("nan"))
    ('62 %', '100 %', 'not known')
    """
    return "not known" if value != value else f"{_digits(100 * value, 0)} %"


def share(estimate: Estimate) -> str:
    """A share with its interval: ``62 % [51, 70]``."""
    if estimate.low != estimate.low:
        return percent(estimate.value)
    low, high = (_digits(100 * end, 0) for end in (estimate.low, estimate.high))
    return f"{percent(estimate.value)} [{low}, {high}]"


def number(estimate: Estimate, digits: int = 2) -> str:
    """A mean with its interval: ``7.10 [6.80, 7.40]``."""
    value, low, high = (_digits(x, digits) for x in (estimate.value, estimate.low, estimate.high))
    return value if estimate.low != estimate.low else f"{value} [{low}, {high}]"


def _digits(value: float, digits: int) -> str:
    """A number with so many digits after the point, and no minus before a plain zero.

    >>> _digits(-0.001, 2), _digits(-0.2, 1)
    ('0.00', '-0.2')
    """
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.") else text
