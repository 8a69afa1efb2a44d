"""A finding as one self-contained page: the claim on top, then what it stands on."""

from __future__ import annotations

from residuum.core import package_version
from residuum.figures import page
from residuum.findings.record.found import Found
from residuum.findings.record.words import model_name
from residuum.findings.report.named import given
from residuum.findings.report.sections import report_parts


def report_html(finding: Found, replay_path: str = "finding.json") -> str:
    """The whole page; it needs nothing but itself.

    Args:
        finding: what to report.
        replay_path: path of the JSON file for the replay command.
    """
    return page(
        title(finding),
        report_parts(finding, replay_path),
        subtitle=subtitle(finding),
        footer=f"residuum {package_version()} · finding {finding.hash[:12]}",
    )


def title(finding: Found) -> str:
    """Behaviour and model."""
    return f"{finding.task['name']} in {model_name(finding.provenance.model_id)}"


def subtitle(finding: Found) -> str:
    """Which verb made it, at which budget."""
    verb = "examine" if given(finding) else "investigate"
    return f"A finding of residuum {verb}, budget {finding.budget.name}"
