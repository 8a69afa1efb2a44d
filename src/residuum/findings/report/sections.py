"""What a report says, in order; the page, the Markdown and the LaTeX are made of the same parts."""

from __future__ import annotations

from collections.abc import Iterator

from residuum.figures import Part
from residuum.findings.record.found import Found
from residuum.findings.report.behaviour_report import behaviour_parts, where_parts
from residuum.findings.report.circuit_report import circuit_parts
from residuum.findings.report.closing_report import data_parts, decision_parts, origin_parts
from residuum.findings.report.composition_report import composition_parts
from residuum.findings.report.controls_report import controls_parts
from residuum.findings.report.direction_report import direction_parts
from residuum.findings.report.head_report import chosen_heads, controls, written_by
from residuum.findings.report.robustness_report import robustness_parts
from residuum.findings.report.shared_report import shared_parts
from residuum.findings.report.specificity_report import specificity_parts
from residuum.findings.report.top_report import top_parts
from residuum.findings.report.transfer_report import transfer_parts
from residuum.findings.report.whole_report import whole_parts


def report_parts(finding: Found, replay_path: str) -> list[Part]:
    """All parts of a report.

    Args:
        finding: what to report.
        replay_path: path of the JSON file for the replay command.
    """
    return [
        *top_parts(finding),
        *_tried(finding),
        *behaviour_parts(finding),
        *where_parts(finding),
        *_mechanism(finding),
        *_doubts(finding),
        *decision_parts(finding),
        *data_parts(finding),
        *origin_parts(finding, replay_path),
    ]


def _tried(finding: Found) -> Iterator[Part]:
    """What another model's finding claims, where it was tried on this one."""
    if finding.transfer is not None:
        yield from transfer_parts(finding.transfer, finding.provenance.model_id)


def _mechanism(finding: Found) -> Iterator[Part]:
    """Which parts, in which circuit, in which roles, and how they work together."""
    if finding.parts is not None:
        yield from chosen_heads(finding)
    if finding.whole is not None:
        yield from whole_parts(finding.whole, finding.given)
    if finding.circuit is not None:
        yield from circuit_parts(finding.circuit, finding.unit)
    if finding.roles is not None:
        yield from written_by(finding)
    if finding.shared is not None:
        yield from shared_parts(finding.shared)
    if finding.composition is not None:
        yield from composition_parts(finding.composition)
    if finding.direction is not None:
        yield from direction_parts(finding.direction)


def _doubts(finding: Found) -> Iterator[Part]:
    """Would anything else do, is it this behaviour, does it hold."""
    if finding.parts is not None:
        yield from controls(finding)
    if finding.controls is not None:
        yield from controls_parts(finding.controls, finding.unit)
    if finding.specificity is not None:
        yield from specificity_parts(finding.specificity, finding.task["name"])
    if finding.robustness is not None:
        yield from robustness_parts(finding.robustness, finding.unit)
