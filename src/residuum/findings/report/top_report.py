"""The first screen of a report: the claim with its status, what it rests on, what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from residuum.figures import (
    Bullets,
    Callout,
    Columns,
    Contents,
    Fold,
    Paragraph,
    Part,
    Stat,
    Stats,
)
from residuum.figures.page import Tone
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.found import Found
from residuum.findings.record.rules import Rule, Status, number
from residuum.findings.record.words import listed, metric_words
from residuum.findings.report.head_report import found_lines
from residuum.findings.report.named import given, these

_ABOUT = 4
"""Lines that a scope begins with: model, task, measure, kind of mechanism."""
_LONGEST = 240
"""Characters of an example's prompt."""
TONES: dict[Status, Tone] = {
    "supported": "good",
    "not supported": "bad",
    "undecided": "warning",
}
BADGES: dict[Status, str] = {
    "supported": "✓ Supported",
    "not supported": "✗ Not supported",
    "undecided": "? Undecided",
}


def top_parts(finding: Found) -> list[Part]:
    """Claim, an example, numbers, falsifier beside limits, scope, and the contents."""
    return [
        *_claim(finding),
        *_example(finding),
        Stats(_stats(finding)),
        Columns([
            [Paragraph("**What would refute it**"), Paragraph(finding.falsifier),
             Paragraph("**How the status was decided**"), Paragraph(decided_words(finding.rules))],
            [Paragraph("**What it does not say**"), Bullets(finding.limits)],
        ]),
        *_about(finding),
        Contents(),
    ]  # fmt: skip


def _about(finding: Found) -> list[Part]:
    """Model, data and measure, beside what else was found; every condition folded."""
    lines = finding.scope
    first = next((i for i, line in enumerate(lines) if _is_condition(line, finding.rules)), _ABOUT)
    about, conditions = lines[: min(first, _ABOUT)], lines[min(first, _ABOUT) :]
    columns: list[list[Part]] = [[Paragraph("**What it is about**"), Bullets(about)]]
    more = found_lines(finding)
    if more:
        columns.append([Paragraph("**What else was found**"), Bullets(more)])
    shown: list[Part] = [Columns(columns)]
    if conditions:
        title = f"What was tested beside, and what came of it: {len(conditions)} conditions"
        shown.append(Fold(title, [Bullets(conditions)], printed=False))
    return shown


def _is_condition(line: str, rules: Sequence[Rule]) -> bool:
    """Whether a line of the scope is a rule that narrows the claim."""
    return any(line.startswith(f"{rule.name}: ") for rule in rules)


def _claim(finding: Found) -> list[Part]:
    tone, badge, built = TONES[finding.status], BADGES[finding.status], finding.claim_built
    if built is None:
        return [Callout(_lines(finding.claim), _stated(finding), tone, badge)]
    by_hand = Callout(finding.claim, "This claim was worded by hand")
    title = "As built from the evidence; the status is about this one"
    return [Columns([[by_hand], [Callout(_lines(built), title, tone, badge)]])]


def _example(finding: Found) -> list[Part]:
    """The first measured pair in words, for readers who do not know the task's name."""
    if not finding.samples:
        return []
    pair = finding.samples[0]
    clean, corrupt, says, instead = (
        _quoted(text) for text in (pair.clean, pair.corrupt, pair.says_clean, pair.says_corrupt)
    )
    answer = _quoted(" or ".join(word.strip() for word in pair.answers))
    return [
        Paragraph(
            f"**For example**, the right answer after {clean} is {answer}; the model says {says}. "
            f"After the corrupt prompt {corrupt} it says {instead}."
        )
    ]


def _quoted(text: str) -> str:
    """Words of the data in quotation marks, without marks of their own; long ones lose their start.

    >>> _quoted(" `a` **b** c "), _quoted("x" * 400)[:4]
    ('“a b c”', '“… x')
    """
    plain = re.sub(r"`|\*\*", "", " ".join(text.split()))
    return f"“{plain}”" if len(plain) <= _LONGEST else f"“… {plain[-_LONGEST:]}”"


def _lines(claim: str) -> str:
    """A built claim, a line for each sentence: each comes from another stage.

    >>> _lines("It depends on L0.H1. Specificity: also needed by x. Robustness: holds.")
    'It depends on L0.H1.\\nSpecificity: also needed by x.\\nRobustness: holds.'
    """
    return re.sub(r"(?<=\.) (?=[A-Z][a-z])", "\n", claim)


def _stated(finding: Found) -> str:
    return "The mechanism was stated by the caller, not searched for" if given(finding) else ""


def decided_words(rules: Sequence[Rule]) -> str:
    """How many rules decide, and which of all did not hold.

    >>> decided_words([Rule("Enough", "", "", "holds", "mechanism", True)])
    'By rules, not by opinion: the one rule that decides holds.'
    """
    deciding, beside = ([r for r in rules if r.decides is side] for side in (True, False))
    open_ = [rule for rule in deciding if rule.outcome != "holds"]
    held = f"{len(deciding) - len(open_)} of the {len(deciding)} rules that decide hold"
    if not open_:
        one = "the one rule that decides holds"
        held = f"all {len(deciding)} rules that decide hold" if len(deciding) > 1 else one
    said = [f"By rules, not by opinion: {held}{_named(open_)}."]
    if beside:
        short = [rule for rule in beside if rule.outcome != "holds"]
        said.append(
            f"Of {len(beside)} more, which only narrow the claim, "
            f"{len(beside) - len(short)} hold{_named(short)}."
        )
    return " ".join(said)


def _named(rules: Sequence[Rule]) -> str:
    """Those that did not hold, by name.

    >>> _named([Rule("Enough", "", "", "fails", "each", True)])
    '; “Enough” fails'
    """
    told = []
    for outcome, one, many in (
        ("fails", "fails", "fail"),
        ("unclear", "is unclear", "are unclear"),
    ):
        names = [f"“{rule.name}”" for rule in rules if rule.outcome == outcome]
        if names:
            told.append(f"; {listed(names)} {one if len(names) == 1 else many}")
    return "".join(told)


def _stats(finding: Found) -> list[Stat]:
    seen = finding.behaviour
    stats = [
        _stat("Accuracy", seen.accuracy, percentage=True, more="the answer is the likeliest word"),
        _stat(
            metric_words(finding.metric).capitalize(),
            seen.metric_clean,
            unit=finding.unit,
            more=f"after corrupt prompts {number(seen.metric_corrupt)}",
        ),
    ]
    return [*stats, *_moved(finding)]


def _moved(finding: Found) -> list[Stat]:
    if finding.parts is not None:
        joint, one = finding.parts.together, len(finding.components) == 1
        them = f"{'this' if one else 'these'} {these(finding.components)}"
        regained, lost = joint.recovered, joint.swap_drop
        names = (f"Clean values in {them}", f"Corrupt values in {them}")
        mores = ("of the answer regained by a corrupt run", "of the answer lost by a clean run")
    elif finding.whole is not None:
        regained, lost = finding.whole.recovered, finding.whole.lost
        if finding.whole.kind == "circuit":
            names = ("The circuit alone", "Without the circuit")
            mores = ("of what the model does", "of what the model does is lost")
        else:
            names = ("The direction added", "The direction erased")
            mores = ("of the distance to the other side closed", "of the distance gone")
    else:
        return []
    return [
        _stat(name, value, percentage=True, more=more)
        for name, value, more in zip(names, (regained, lost), mores, strict=True)
    ]


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
