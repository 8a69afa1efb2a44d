"""The rules that decide a finding's status. The status is computed, never typed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import BehaviourEvidence, Estimate
from residuum.findings.record.part_evidence import PartEvidence, PartsEvidence, SetEvidence
from residuum.findings.record.words import short

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
"""Share of the distance by which parts that a search names may carry more than stated ones."""
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
            _above(choice, max(random.value, 0.0), choice.value > random.high),
            "behaviour",
            decides=True,
        ),
        Rule(
            "It follows the change",
            "the metric is higher on clean than on corrupt prompts, with its interval above 0",
            f"{number(contrast)} {unit}",
            _above(contrast, 0.0),
            "behaviour",
            decides=True,
        ),
    )


def mechanism_rules(evidence: SetEvidence) -> tuple[Rule, ...]:
    """Is this the mechanism: enough, needed, and more than chance."""
    recovered, lost = evidence.chance
    best, worst = (max(each, default=float("nan")) for each in (recovered, lost))
    return (
        Rule(
            "Enough",
            f"patched together into the corrupt run they recover at least {percent(ENOUGH)} of the "
            "distance from corrupt to clean, interval and all",
            share(evidence.recovered),
            _above(evidence.recovered, ENOUGH),
            "mechanism",
            decides=True,
        ),
        Rule(
            "Needed",
            "given their corrupt values in the clean run, at least "
            f"{percent(ENOUGH)} of the distance is lost, interval and all",
            share(evidence.swap_drop),
            _above(evidence.swap_drop, ENOUGH),
            "mechanism",
            decides=True,
        ),
        Rule(
            "More than chance",
            f"both exceed every one of {evidence.controls}",
            f"the best of these recovers {percent(best)} and loses {percent(worst)}",
            _beyond(evidence),
            "mechanism",
            decides=True,
        ),
    )


def rival_rule(parts: PartsEvidence) -> tuple[Rule, ...]:
    """Do parts that a search names carry more than the stated ones; none where it names no others.

    A set that holds some of the right parts recovers something too, and more than random sets do.
    """
    rival = parts.rival
    if rival is None:
        return ()
    own = parts.together
    gaps = (
        (_capped(rival.recovered) - _capped(own.recovered), rival.more_recovered),
        (_capped(rival.lost) - _capped(own.swap_drop), rival.more_lost),
    )
    beaten = any(gap >= MORE and not each.low <= 0 for gap, each in gaps)
    names = ", ".join(short(at) for at in rival.parts)
    return (
        Rule(
            "No better parts of their number",
            "the parts that a search names on the choosing half, as many or fewer, do not recover "
            f"or lose {percent(MORE)} of the distance more than these, interval of the difference "
            "above 0 (beyond the whole distance nothing counts as more)",
            f"{names}: recover {share(rival.recovered)}, lose {share(rival.lost)}",
            "fails" if beaten else "holds",
            "mechanism",
            decides=True,
        ),
    )


def _capped(estimate: Estimate) -> float:
    return min(estimate.value, 1.0)


def each_rule(named: Sequence[PartEvidence]) -> Rule:
    """Is every named part shown by itself; the claim says which are not."""
    verdicts = [part.verdict for part in named]
    shown = sum(verdict == "shown" for verdict in verdicts)
    highest = max(part.p for part in named)
    outcome: Outcome = "holds" if shown == len(verdicts) else "unclear"
    return Rule(
        "Each by itself",
        f"patched alone, every named part is shown at {percent(ALPHA)} in the joint test over its "
        "whole sweep (decides how parts are named, not the status)",
        f"{shown} of {len(verdicts)} shown; largest joint p {highest:.2g}",
        "fails" if "not shown" in verdicts else outcome,
        "each",
        decides=False,
    )


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
    return "not supported" if "fails" in map(mechanism.get, REFUTING) else "undecided"


def present(rules: tuple[Rule, ...]) -> bool:
    """Whether no rule about the behaviour fails."""
    return all(rule.outcome != "fails" for rule in rules if rule.asks == "behaviour")


def _above(estimate: Estimate, bound: float, also: bool = True) -> Outcome:
    """Whole interval above the bound: holds; the value not above it: fails; between: unclear."""
    if not estimate.value > bound or not also:
        return "fails"
    return "holds" if estimate.low > bound else "unclear"


def _beyond(evidence: SetEvidence) -> Outcome:
    recovered, lost = evidence.chance
    if len(recovered) < FEWEST_SETS:
        return "unclear"
    more = evidence.recovered.value > max(recovered)
    worse = evidence.swap_drop.value > max(lost)
    return "holds" if more and worse else "unclear" if more or worse else "fails"


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
