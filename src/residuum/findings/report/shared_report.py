"""The part of a report on heads that are needed on both prompts alike."""

from __future__ import annotations

from residuum.figures import Column, Fold, Heading, Paragraph, Part, Table
from residuum.findings.record.rules import percent, share
from residuum.findings.record.shared_evidence import SharedEvidence
from residuum.findings.record.shared_rules import shared_words
from residuum.findings.record.words import short

_WHY = (
    "Patching sees only what the prompts of a pair differ in. So every head that is not named is "
    "also held at its mean over all prompts, where one that does the same on both is missed too."
)


def shared_parts(evidence: SharedEvidence) -> list[Part]:
    """Heading, one sentence, and the heads that cost most."""
    heading = Heading("What else does the answer need?")
    if evidence.left_out:
        untold = f"{_WHY} Not testable: {'; '.join(evidence.left_out)}."
        return [heading, Paragraph(untold)]
    said = shared_words(evidence) or f"None of {evidence.tested} other heads is needed"
    shown: list[Part] = [heading, Paragraph(f"{_WHY} **{said}.**")]
    if evidence.heads:
        rows = [
            [short(head.at), share(head.lost), percent(head.recovered), f"{head.p:.2g}",
             "needed" if head.needed else "not shown"]
            for head in evidence.heads
        ]  # fmt: skip
        table = Table(
            [
                Column("head"),
                Column("at its mean: lost", align="right"),
                Column("patched: recovers", align="right"),
                Column("joint p", align="right"),
                Column("verdict"),
            ],
            rows,
            title="Other heads held at their mean, with 95 % intervals",
            caption="Shares of the distance between corrupt and clean; chosen on the half set "
            "apart for choosing.",
            does_not_show="heads that others can stand in for.",
        )
        needed = any(head.needed for head in evidence.heads)
        fold = Fold("The heads that cost most, in numbers", [table], printed=False)
        shown.append(table if needed else fold)
    return shown
