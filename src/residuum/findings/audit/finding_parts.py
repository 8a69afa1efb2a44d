"""Investigations on a review's page: one line each."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.figures import Fold, Paragraph, Part, Table
from residuum.findings.finding import Finding
from residuum.findings.record.rules import share
from residuum.findings.record.words import short


def finding_parts(findings: Sequence[Finding]) -> list[Part]:
    """A table of the findings, and their claims."""
    rows = []
    for each in findings:
        joint = each.parts.together if each.parts else None
        rows.append([
            each.task["name"],
            each.status,
            ", ".join(short(at) for at in each.components) or "none",
            "–" if joint is None else share(joint.recovered),
            "–" if joint is None else share(joint.swap_drop),
            share(each.behaviour.choice),
        ])  # fmt: skip
    claims = [Paragraph(f"**{each.task['name']}**: {each.claim} {each.falsifier}")
              for each in findings]  # fmt: skip
    return [
        Table(
            ["behaviour", "status", "parts", "regained", "lost", "prefers the answer"],
            rows,
            title="Investigations made for this answer",
            caption="**Regained**: by a corrupt run that is given the parts' clean values. "
            "**Lost**: by a clean run that is given their corrupt ones. Each has its own report, "
            "`findings/…/report.html` beside this page.",
        ),
        Fold("The claims, and what would refute them", claims),
    ]
