"""A finding on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_facts, put_table, put_text

if TYPE_CHECKING:
    from residuum.findings import Finding

_ABSENT = (
    "look at the pairs in the report; give prompts in the form that the model was trained on, "
    "another task, or a model that does this one"
)


def tell(finding: Finding, written: Path | None) -> None:
    """Claim, parts, rules, and where the report is.

    Args:
        finding: what was found.
        written: its file; None where nothing was written.
    """
    put_text(f"{finding.status.upper()}: {finding.claim}")
    if finding.where is None:
        put_text(f"    mend: {_ABSENT}")
    print()
    if finding.parts is not None:
        _tell_parts(finding)
    put_table(_rules(finding))
    print()
    put_text(finding.falsifier)
    tell_written(written)


def tell_written(written: Path | None) -> None:
    """Where the finding is, and how it is run again; nothing where it was not saved."""
    if written is None:
        return
    print()
    put_facts(
        [
            ("report", str(written.with_name("report.html"))),
            ("finding", str(written)),
            ("again", f"residuum replay {written}"),
        ]
    )


def _rules(finding: Finding) -> Any:
    from residuum.figures import Table

    rows = [
        [rule.outcome, rule.name, "yes" if rule.decides else "", rule.found]
        for rule in finding.rules
    ]
    return Table(["outcome", "rule", "decides", "found"], rows, title="How the status was decided")


def _tell_parts(finding: Finding) -> None:
    from residuum.findings.report.head_pictures import (
        control_table,
        head_table,
        removal_table,
        role_table,
    )
    from residuum.findings.report.sentences import control, movers, together

    assert finding.parts is not None
    for table in (head_table, control_table, removal_table):
        put_table(table(finding))
        print()
    main = finding.parts.main
    put_text(f"{together(main, finding.unit)} {control(main, finding.unit)}")
    print()
    if finding.roles is not None and finding.roles.heads:
        put_table(role_table(finding))
        print()
        put_text(movers(finding.roles, finding.unit))
        print()
