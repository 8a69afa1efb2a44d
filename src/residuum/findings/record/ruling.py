"""What follows from evidence: the rules of a finding and its status, put together in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from residuum.core import CheckFailed
from residuum.findings.record.circuit_rules import circuit_rules
from residuum.findings.record.composition_rules import composition_rules
from residuum.findings.record.controls_rules import controls_rules
from residuum.findings.record.direction_rules import direction_rules
from residuum.findings.record.evidence import BehaviourEvidence
from residuum.findings.record.found import Found
from residuum.findings.record.parts_rules import parts_rules
from residuum.findings.record.robustness_rules import robustness_rules
from residuum.findings.record.rules import Rule, behaviour_rules, decide, present
from residuum.findings.record.shared_rules import shared_rules
from residuum.findings.record.specificity_rules import specificity_rules
from residuum.findings.record.transfer_rules import transfer_rules, verdict
from residuum.findings.record.whole_rules import whole_rules

FOLLOWS: dict[str, Callable[[Any], tuple[Rule, ...]]] = {
    "parts": parts_rules,
    "whole": whole_rules,
    "circuit": circuit_rules,
    "shared": shared_rules,
    "composition": composition_rules,
    "direction": direction_rules,
    "specificity": specificity_rules,
    "robustness": robustness_rules,
    "controls": controls_rules,
    "transfer": transfer_rules,
}
"""Field of a finding -> the rules that follow from its evidence, in the order of the rules."""


def ruled(behaviour: BehaviourEvidence, unit: str, held: Mapping[str, Any]) -> tuple[Rule, ...]:
    """All rules of a finding.

    Args:
        behaviour: is it there.
        unit: of the metric.
        held: the other evidence by field of the finding; None where there is none.
    """
    rules = behaviour_rules(behaviour, unit)
    for name, follow in FOLLOWS.items():
        evidence = held.get(name)
        rules += () if evidence is None else follow(evidence)
    return rules


def rules_of(found: Found) -> tuple[Rule, ...]:
    """The rules that follow from the evidence in a finding, whatever it says itself."""
    held = {name: getattr(found, name) for name in FOLLOWS}
    return ruled(found.behaviour, found.unit, held)


def check_ruling(found: Found) -> None:
    """Refuse a finding that says what does not follow from its own evidence.

    Names, outcomes and weight of all rules are computed anew, and the status from these; so is the
    verdict of a transfer. What is named must be what was measured. Words and numbers are not
    looked at here; a replay compares them.

    Raises:
        CheckFailed: something does not follow.
    """
    what = _other_rule(found) or _other_status(found) or _other_parts(found) or _other_end(found)
    if what:
        raise CheckFailed(what, mend="take the file as it was written, or investigate again")


def _other_rule(found: Found) -> str:
    """The first rule that is not as the evidence has it, in words; empty where all are."""
    due = {_key(rule): rule.outcome for rule in rules_of(found)}
    said = {_key(rule): rule.outcome for rule in found.rules}
    for key, outcome in said.items():
        name = f"its rule {key[1]!r} does not follow from its evidence"
        if key not in due:
            return name
        if outcome != due[key]:
            return f"{name}: {outcome!r} in the file, {due[key]!r} by the evidence"
    if list(said) != list(due):
        left = ", ".join(key[1] for key in due if key not in said) or "their order"
        return f"it leaves out what follows from its evidence: {left}"
    return "it holds the same rule twice" if len(found.rules) != len(said) else ""


def _key(rule: Rule) -> tuple[str, str, bool]:
    return rule.asks, rule.name, rule.decides


def _other_status(found: Found) -> str:
    status = decide(found.rules)
    if found.status == status:
        return ""
    return (
        f"its status does not follow from its evidence: {found.status!r} in the file, "
        f"{status!r} by the rules"
    )


def _other_parts(found: Found) -> str:
    """That other parts are named than were measured."""
    if found.parts is not None and found.components != tuple(at.at for at in found.parts.named):
        return "the parts that it names are not those that were measured"
    if found.whole is not None and found.kind != found.whole.kind:
        return f"it names a mechanism of another kind than was measured, a {found.whole.kind}"
    return ""


def _other_end(found: Found) -> str:
    """That a transfer says of itself what is not so."""
    tried = found.transfer
    if tried is None:
        return ""
    due = (found.status, present(found.rules), verdict(transfer_rules(tried)))
    if (tried.status, tried.present, tried.verdict) == due:
        return ""
    return "what it says of the transfer does not follow from its evidence"
