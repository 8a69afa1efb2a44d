"""A finding as one self-contained page: the claim on top, then what it stands on."""

from __future__ import annotations

import shlex

from residuum.core import package_version
from residuum.figures import (
    Bullets,
    Callout,
    Code,
    Fold,
    Heading,
    KeyValues,
    Paragraph,
    Part,
    Stat,
    Stats,
    Table,
    page,
)
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.found import Found
from residuum.findings.record.rules import ENOUGH, number, percent, share
from residuum.findings.record.words import metric_words, model_name
from residuum.findings.report.circuit_report import circuit_parts
from residuum.findings.report.composition_report import composition_parts
from residuum.findings.report.controls_report import controls_parts
from residuum.findings.report.head_report import (
    chosen_heads,
    controls,
    found_lines,
    half,
    written_by,
)
from residuum.findings.report.pictures import (
    head_map,
    lens_lines,
    lens_map,
    part_map,
    sample_table,
    stream_map,
)
from residuum.findings.report.specificity_report import specificity_parts
from residuum.findings.report.whole_report import whole_parts

_TONES = {"supported": "good", "not supported": "bad", "undecided": "warning"}
_MARKS = {"holds": "✓ holds", "fails": "✗ fails", "unclear": "? unclear"}


def report_html(finding: Found, replay_path: str = "finding.json") -> str:
    """The whole page; it needs nothing but itself.

    Args:
        finding: what to report.
        replay_path: path of the JSON file for the replay command.
    """
    name = model_name(finding.provenance.model_id)
    parts: list[Part] = [*_top(finding), *_behaviour(finding)]
    if finding.where is not None:
        parts += _where(finding)
    if finding.parts is not None:
        parts += [*chosen_heads(finding), *controls(finding)]
    if finding.whole is not None:
        parts += whole_parts(finding.whole)
    if finding.roles is not None:
        parts += written_by(finding)
    if finding.circuit is not None:
        parts += circuit_parts(finding.circuit, finding.unit)
    if finding.composition is not None:
        parts += composition_parts(finding.composition)
    if finding.specificity is not None:
        parts += specificity_parts(finding.specificity, finding.task["name"])
    if finding.controls is not None:
        parts += controls_parts(finding.controls, finding.unit)
    parts += [*_decision(finding), *_data(finding), *_origin(finding, replay_path)]
    return page(
        f"{finding.task['name']} in {name}",
        parts,
        subtitle=f"A finding of residuum investigate, budget {finding.budget.name}",
        footer=f"residuum {package_version()} · finding {finding.hash[:12]}",
    )


def _top(finding: Found) -> list[Part]:
    return [
        Callout(finding.claim, title=_badge(finding), tone=_TONES[finding.status]),  # type: ignore[arg-type]
        Stats(_stats(finding)),
        *found_lines(finding),
        Paragraph(f"**What would refute it.** {finding.falsifier}"),
        Fold("What it is about, and what it does not say", [
            Paragraph("**It is about**"), Bullets(finding.scope),
            Paragraph("**It does not say**"), Bullets(finding.limits),
        ], opened=True),
    ]  # fmt: skip


def _badge(finding: Found) -> str:
    return {"supported": "Supported", "not supported": "Not supported"}.get(
        finding.status, "Undecided"
    )


def _stats(finding: Found) -> list[Stat]:
    seen = finding.behaviour
    corrupt = number(seen.metric_corrupt)
    stats = [
        _stat("Accuracy", seen.accuracy, percentage=True),
        _stat(
            metric_words(finding.metric).capitalize(),
            seen.metric_clean,
            unit=finding.unit,
            more=f"after corrupt prompts {corrupt}",
        ),
    ]
    if finding.parts is not None:
        joint = finding.parts.together
        stats += [
            _stat(
                "With their clean values",
                joint.recovered,
                percentage=True,
                more="of the answer regained by a corrupt run",
            ),
            _stat(
                "With their corrupt values",
                joint.swap_drop,
                percentage=True,
                more="of the answer lost by a clean run",
            ),
        ]
    return stats


def _stat(
    label: str, estimate: Estimate, *, unit: str = "", percentage: bool = False, more: str = ""
) -> Stat:
    scale, digits = (100.0, 0) if percentage else (1.0, 2)
    low, high = (f"{scale * end:.{digits}f}" for end in (estimate.low, estimate.high))
    interval = f"95 % interval {low} to {high}" if estimate.low == estimate.low else ""
    return Stat(
        label,
        f"{scale * estimate.value:.{digits}f}",
        unit="%" if percentage else unit,
        detail="; ".join(part for part in (more, interval) if part),
    )


def _behaviour(finding: Found) -> list[Part]:
    seen, task = finding.behaviour, finding.task["name"]
    shown = [
        Heading("Does the model do it?"),
        Paragraph(
            f"Each pair has a clean prompt and a corrupt one, as long, that differs where it "
            f"matters. The same answer counts on both: a model that does `{task}` prefers it after "
            "the clean prompt and not after the corrupt one."
        ),
        Table(
            ["", "clean prompts", "corrupt prompts"],
            [
                ["most likely next word is the answer", share(seen.accuracy),
                 share(seen.accuracy_corrupt)],
                ["answer ranked above wrong answer", share(seen.choice),
                 share(seen.choice_corrupt)],
                [f"{metric_words(finding.metric)} ({finding.unit})",
                 number(seen.metric_clean), number(seen.metric_corrupt)],
            ],
            title="Behaviour, with 95 % intervals",
            caption=f"{seen.choice.n} pairs. With labels handed out at random ({seen.shuffles} "
            f"times), the answer is ranked above the wrong one on {percent(seen.shuffled.value)} "
            f"of the clean prompts (95 % of the times between {percent(seen.shuffled.low)} and "
            f"{percent(seen.shuffled.high)}).",
        ),
        Heading("Where does the answer become readable?"),
        lens_lines(finding),
        Fold("One prompt, layer by layer", [lens_map(finding)]),
    ]  # fmt: skip
    return shown


def _where(finding: Found) -> list[Part]:
    shown: list[Part] = [
        Heading("Where can the answer be moved from?"),
        Paragraph(
            "Each cell is one experiment: run the corrupt prompts, but give this one place the "
            "value that it has on the clean prompt, and see how far the answer moves towards "
            "clean. A place that restores the answer by itself carries what the prompts differ in."
        ),
    ]
    stream = stream_map(finding)
    if stream is not None:
        shown.append(stream)
    warnings = finding.where.heads.warnings if finding.where else ()
    shown.append(head_map(finding))
    if warnings:
        shown.append(Paragraph(f"Note: {'; '.join(warnings)}."))
    return [*shown, part_map(finding)]


def _decision(finding: Found) -> list[Part]:
    rows = [[_MARKS[rule.outcome], rule.name, rule.demands, rule.found] for rule in finding.rules]
    return [
        Heading("How the status was decided"),
        Paragraph(
            "By these rules, and by nobody's opinion. A rule about the behaviour that fails, heads "
            f"that recover less than {percent(ENOUGH)}, or heads no better than random ones make "
            "it **not supported**; all rules holding makes it **supported**; anything between is "
            "**undecided**. The rule about each head by itself decides no status: the claim is "
            "about the heads together; a head that it does not show is named as such in the "
            "claim. Intervals of heads are drawn by template where there are several, those of "
            "the behaviour by pair; p-values are joint over all cells of a sweep (sign flips of "
            "whole templates, largest t)."
        ),
        Table(["outcome", "rule", "demands", "found"], rows),
    ]


def _data(finding: Found) -> list[Part]:
    total = len(finding.task["clean"])
    return [
        Heading("The data"),
        Paragraph(
            f"{total} pairs, from {finding.task['source'] or 'the caller'}: "
            f"{half(finding)} to choose heads, {finding.behaviour.contrast.n} to measure. The "
            f"first {len(finding.samples)} of those measured on:"
        ),
        sample_table(finding),
    ]


def _origin(finding: Found, replay_path: str) -> list[Part]:
    origin = finding.provenance
    return [
        Heading("Run it again"),
        Code(f"residuum replay {shlex.quote(replay_path)}", title="Shell"),
        Paragraph(
            "It loads the model, refuses other weights, repeats every stage with the token ids "
            "kept in the file, and compares every number."
        ),
        KeyValues(
            {
                "model": f"`{origin.model_id}`",
                "weights (SHA-256)": f"`{origin.weight_hash}`",
                "tokenizer (SHA-256)": f"`{origin.tokenizer_hash}`",
                "pairs (SHA-256)": f"`{origin.task_hash}`",
                "dtype, device": f"{origin.dtype}, {origin.device}",
                "seed": origin.seed,
                "intervention": finding.intervention,
                "software": ", ".join(f"{name} {v}" for name, v in origin.software.items()),
            },
            title="Where it comes from",
        ),
    ]
