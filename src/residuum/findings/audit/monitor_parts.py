"""A monitor on a review's page."""

from __future__ import annotations

from residuum.figures import Bars, Part, Table
from residuum.findings.audit.evidence import MonitorEvidence, MonitorTrial
from residuum.findings.record.rules import number, share


def monitor_parts(found: MonitorEvidence) -> list[Part]:
    """AUROC as fitted and on each variant, and what the flags catch."""
    told = [each for each in found.trials if each.judged]
    parts: list[Part] = []
    if told:
        parts.append(
            Bars(
                [each.name for each in told],
                [each.auroc.value for each in told],
                lo=[each.auroc.low for each in told],
                hi=[each.auroc.high for each in told],
                x="AUROC",
                order="given",
                title="How well departures from the truth are told apart",
                caption=f"A push at `{found.at}`, {found.scale:g} typical norms; 0.5 is chance. "
                "Lines: 95 % intervals by entity. “As fitted”: wordings and entities held out.",
                does_not_show="how it does on departures that the model takes for true.",
            )
        )
    return [
        *parts,
        Table(
            ["statements", "an example", "answers that depart", "AUROC", "caught", "false alarms"],
            [_row(each) for each in found.trials],
            title="Where it was fitted, and where it was not",
            caption=f"Flagged: the push takes more than {found.threshold_nats:.2f} nats from the "
            f"answer, the same for every monitor, set beforehand. True where truth is asked "
            f"for: {share(found.truthful)}; where pleasing is: "
            f"{share(found.pleasing)}.",
        ),
    ]


def _row(each: MonitorTrial) -> list[str]:
    return [
        each.name,
        each.example,
        share(each.departs),
        number(each.auroc) if each.judged else "not judged",
        share(each.caught),
        share(each.false_alarms),
    ]
