"""The end of a report: how the status was decided, the data, the way back to it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from residuum.figures import Code, Column, Fold, Heading, KeyValues, Paragraph, Part, Table
from residuum.findings.record.found import Found
from residuum.findings.record.rules import ENOUGH, Rule, percent
from residuum.findings.report.named import given, half
from residuum.findings.report.pictures import sample_table

_SHOWN = 2
"""Pairs shown at first."""
MARKS = {"holds": "✓\u00a0holds", "fails": "✗\u00a0fails", "unclear": "?\u00a0unclear"}


def decision_parts(finding: Found) -> list[Part]:
    """The rules that decide, and those that narrow the claim."""
    deciding, beside = ([r for r in finding.rules if r.decides is side] for side in (True, False))
    shown: list[Part] = [
        Heading("How the status was decided"),
        Paragraph(
            "By these rules, and by nobody's opinion. The finding is **supported** where all of "
            "them hold. It is **not supported** where a rule about the behaviour fails, or where "
            f"the mechanism is not enough (of heads and MLPs less than {percent(ENOUGH)}), or does "
            "no more than chance. Anything between is **undecided**."
        ),
        rule_table(deciding, "Rules that decide", _INTERVALS),
    ]
    if beside:
        title = "Rules that narrow the claim and decide no status"
        more = f"{len(beside)} more rules, which only narrow the claim"
        shown.append(Fold(more, [rule_table(beside, title)], printed=False))
    return shown


_INTERVALS = (
    "Intervals are drawn by template where there are several, and are wider where these are few; "
    "those of shares of prompts by pair. A p-value of a sweep is joint over all its cells (sign "
    "flips of whole templates, largest t)."
)


def rule_table(rules: Sequence[Rule], title: str, caption: str = "") -> Table:
    """Rules as rows: what each demands, what was found, how it came out."""
    rows = [[MARKS[rule.outcome], rule.name, rule.demands, rule.found] for rule in rules]
    return Table(
        [Column("outcome"), Column("rule"), Column("demands"), Column("found")],
        rows,
        title=title,
        caption=caption,
    )


def data_parts(finding: Found) -> list[Part]:
    """Where the pairs come from, and some of them."""
    total, chosen, samples = len(finding.task["clean"]), half(finding), finding.samples
    use = "kept apart" if given(finding) else "to choose on"
    return [
        Heading("The data"),
        Paragraph(
            f"{total} pairs ({finding.task['source'] or 'from the caller'}): {chosen} {use}, "
            f"{finding.behaviour.contrast.n} to measure on."
        ),
        sample_table(samples[:_SHOWN], finding, "The first pairs to measure on"),
        *(
            [Fold(f"{len(samples) - _SHOWN} more pairs",
                  [sample_table(samples[_SHOWN:], finding, "Some more")], printed=False)]
            if len(samples) > _SHOWN
            else []
        ),
    ]  # fmt: skip


def origin_parts(finding: Found, replay_path: str) -> list[Part]:
    """The command that runs it again, and where everything comes from."""
    origin = finding.provenance
    return [
        Heading("Run it again"),
        Code(f"residuum replay {shlex.quote(replay_path)}", title="Shell"),
        Paragraph(
            "It loads the model, refuses other weights, repeats every stage with the token ids "
            "kept in the file, and compares every number."
        ),
        Fold("Where it comes from: hashes, seed, software", [KeyValues(
            {
                "model": f"`{origin.model_id}`",
                "weights (SHA-256)": _hash(origin.weight_hash),
                "tokenizer (SHA-256)": _hash(origin.tokenizer_hash),
                "pairs (SHA-256)": _hash(origin.task_hash),
                "finding (SHA-256)": _hash(finding.hash),
                "dtype, device": f"{origin.dtype}, {origin.device}",
                "seed": origin.seed,
                "intervention": finding.intervention,
                "software": ", ".join(f"{name} {v}" for name, v in origin.software.items()),
            },
        )]),
    ]  # fmt: skip


def _hash(text: str) -> str:
    return f"`{text}`" if text else "none"
