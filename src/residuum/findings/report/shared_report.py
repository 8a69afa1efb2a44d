"""The part of a report on heads that are needed on both prompts alike."""

from __future__ import annotations

from residuum.figures import Column, Heading, Paragraph, Part, Table
from residuum.findings.record.rules import percent, share
from residuum.findings.record.shared_evidence import SharedEvidence
from residuum.findings.record.shared_rules import shared_words
from residuum.findings.record.words import short


def shared_parts(evidence: SharedEvidence) -> list[Part]:
    """Heading, one sentence, and the heads that cost most."""
    shown: list[Part] = [
        Heading("What else does the answer need?"),
        Paragraph(
            "Patching between clean and corrupt prompts sees only what they differ in. Here every "
            "head that is not named is held at its mean over all prompts instead, so that a head "
            "which does the same on both is missed too."
        ),
    ]
    if evidence.left_out:
        return [*shown, Paragraph(f"Not testable: {'; '.join(evidence.left_out)}.")]
    said = shared_words(evidence) or f"None of {evidence.tested} other heads is needed"
    shown.append(Paragraph(f"**{said}.**"))
    if evidence.heads:
        rows = [
            [short(head.at), share(head.lost), percent(head.recovered), f"{head.p:.2g}",
             "needed" if head.needed else "not shown"]
            for head in evidence.heads
        ]  # fmt: skip
        shown.append(
            Table(
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
        )
    return shown
