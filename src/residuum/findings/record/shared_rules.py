"""What follows from heads that are needed on both prompts alike; it decides no status."""

from __future__ import annotations

from residuum.findings.record.rules import Outcome, Rule, percent, share
from residuum.findings.record.shared_evidence import LEAST_LOST, SharedEvidence, SharedHead
from residuum.findings.record.words import listed, short

_MOST_SAID = 3


def shared_rules(evidence: SharedEvidence) -> tuple[Rule, ...]:
    """Does the answer need heads that the claim does not name."""
    found = f"none of {evidence.tested} other heads"
    outcome: Outcome = "holds"
    if evidence.left_out:
        found, outcome = f"not testable: {'; '.join(evidence.left_out)}", "unclear"
    elif evidence.needed:
        found, outcome = _costs(evidence.needed), "fails"
    elif evidence.open:
        found, outcome = f"not told from that: {_costs(evidence.open)}", "unclear"
    return (
        Rule(
            "No other head is needed",
            "held at its mean over both sides, no head that is not named costs "
            f"{percent(LEAST_LOST)} of the distance, interval and all",
            found,
            outcome,
            "shared",
            decides=False,
        ),
    )


def _costs(heads: tuple[SharedHead, ...]) -> str:
    return listed([f"{short(head.at)} ({share(head.lost)} lost)" for head in heads])


def shared_words(evidence: SharedEvidence) -> str:
    """What a claim adds, without a full stop; empty where no other head is needed so.

    >>> shared_words(SharedEvidence((), 30, ()))
    ''
    """
    alike = [head for head in evidence.heads if head.alike]
    if not alike:
        return ""
    told = alike[:_MOST_SAID]
    left = len(alike) - len(told)
    more = f" and {left} more" if left else ""
    return (
        "Needed too, on both prompts of a pair alike, and so not seen by patching between them: "
        f"{listed([_told(head) for head in told])}{more}"
    )


def _told(head: SharedHead) -> str:
    return f"{short(head.at)} (held at its mean, {share(head.lost)} is lost)"
