"""The part of a finding's report on specificity: other tasks, and plain text."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.figures import Bars, Column, Fold, Heading, Paragraph, Part, Table
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.part_evidence import MEAN, RESAMPLE, SWAP, ZERO
from residuum.findings.record.rules import number, percent, share
from residuum.findings.record.specificity_evidence import (
    Loss,
    OtherTask,
    SpecificityEvidence,
    TextLoss,
)
from residuum.findings.record.specificity_rules import SPARED, TEXT_UP, specificity_words
from residuum.findings.record.words import object_words, plural

_VERDICTS = {
    "spared": "spared",
    "needed": "also needed",
    "as random": "harmed as by random ones",
    "unclear": "unclear",
    "absent": "the model does not do it",
}
_OF_TEXT = {
    "spared": "spared",
    "needed": "it suffers, more than without random ones",
    "as random": "it suffers, as without random ones",
    "unclear": "unclear",
}


def specificity_parts(evidence: SpecificityEvidence, task: str) -> list[Part]:
    """Headings, tables and pictures.

    Args:
        evidence: what was measured.
        task: name of the finding's own task.
    """
    words, named = specificity_words(evidence), object_words(evidence.kind, evidence.parts)
    needed = "they are needed" if plural(evidence.kind, evidence.parts) else "it is needed"
    if evidence.kind == "circuit":
        needed = "they are needed"  # its edges
    shown: list[Part] = [
        Heading("Is it this behaviour?"),
        Paragraph(
            f"Here the model does something else without {named}. If much else breaks too, "
            f"{needed} for this behaviour, but not for it alone."
        ),
        Paragraph(f"**{words[0].upper()}{words[1:]}.**"),
    ]
    more: list[Part] = []
    if evidence.tested:
        shown.append(_bars(evidence, task))
        more.append(_table(evidence, task))
    if evidence.text is not None:
        if "plain text" not in words:
            shown.append(Paragraph(_of_text(evidence.text)))
        more.append(_text(evidence.text, named))
    if evidence.left_out:
        shown.append(Paragraph(f"Not done: {'; '.join(evidence.left_out)}."))
    if more:
        shown.append(Fold("Every task both ways, and plain text", more, printed=False))
    return shown


def _of_text(text: TextLoss) -> str:
    """What plain text loses, in a sentence."""
    said = f"**Plain text: {_OF_TEXT[text.verdict]}.** Its loss rises by {_rise(text)}"
    if text.random_up:
        said += f", without random ones by {percent(max(text.random_up) / text.before.value)}"
        said += " at most"
    return f"{said}."


def _rise(text: TextLoss) -> str:
    return percent(text.up.value / text.before.value if text.before.value else 0.0)


def _bars(evidence: SpecificityEvidence, task: str) -> Bars:
    """The costliest way of removal, of the behaviour itself and of each other task."""
    own = max(evidence.own, key=lambda each: each.lost.value)
    others = [(each.task, each.worst.lost) for each in evidence.tested if each.worst]
    others.sort(key=lambda each: -each[1].value)
    rows: list[tuple[str, Estimate]] = [(f"{task} (this one)", own.lost), *others]
    return Bars(
        [name for name, _ in rows],
        [100 * each.value for _, each in rows],
        lo=[100 * each.low for _, each in rows],
        hi=[100 * each.high for _, each in rows],
        x="lost, of the task's distance",
        unit="%",
        order="given",
        title=f"What each task loses without {object_words(evidence.kind, evidence.parts)}",
        caption="The distance: between corrupt and clean. The costlier of two ways of removal: "
        f"{' or '.join(_HOW[how] for how in _ways(evidence))}; 95 % intervals. A task is spared if "
        "it loses "
        f"at most {percent(SPARED)} of what this behaviour loses in the same way, interval and "
        "all.",
        does_not_show="tasks that nobody asked of the model.",
    )


def _table(evidence: SpecificityEvidence, task: str) -> Table:
    ways = _ways(evidence)
    rows = [[f"{task} (this one)", *_costs(evidence.own, ways), "", ""]]
    rows += [
        [each.task, *_costs(each.losses, ways), _random(each), _VERDICTS[each.verdict]]
        for each in evidence.others
    ]
    return Table(
        [
            Column("task"),
            *(Column(f"{_HEAD[how]}: loses", align="right") for how in ways),
            Column("random: at most", align="right"),
            Column("verdict"),
        ],
        rows,
        title=f"Other tasks without {object_words(evidence.kind, evidence.parts)}, with 95 % "
        "intervals",
        caption="Shares of each task's own distance. **Random**: the most that as many others of "
        "the same kind cost, in the way of removal that harms; they are removed only where the "
        f"loss without {object_words(evidence.kind, evidence.parts)} is more than a spared task "
        "may lose.",
    )


_HOW = {
    MEAN: "at the mean over that task's prompts",
    RESAMPLE: "at the value on another of them",
    SWAP: "at the corrupt prompt's value",
    ZERO: "at zero",
}
"""Way of removal -> what stands in its place."""
_HEAD = {MEAN: "at its mean", RESAMPLE: "resampled", SWAP: "swapped", ZERO: "silenced"}


def _ways(evidence: SpecificityEvidence) -> list[str]:
    """The ways of removal that were tried, in order."""
    tried = [each for task in evidence.others for each in task.losses]
    return list(dict.fromkeys(each.how for each in [*evidence.own, *tried]))


def _costs(losses: tuple[Loss, ...], ways: Sequence[str]) -> list[str]:
    costs = {each.how: share(each.lost) for each in losses}
    return [costs.get(how, "–") for how in ways]


def _random(task: OtherTask) -> str:
    drawn = [value for each in task.losses for value in each.random]
    return percent(max(drawn)) if drawn else "–"


def _text(text: TextLoss, named: str) -> Table:
    rows = [
        ["intact", number(text.before), ""],
        [f"without {named}", f"+ {number(text.up, 3)}", _rise(text)],
    ]
    if text.random_up:
        most = max(text.random_up)
        rows.append(["without random ones, at most", f"+ {most:.3f}",
                     percent(most / text.before.value)])  # fmt: skip
    return Table(
        [Column(""), Column("loss (nats per token)", align="right"), Column("rise", align="right")],
        rows,
        title=f"Plain text: {_OF_TEXT[text.verdict]}",
        caption=f"{text.texts} texts, {text.tokens} tokens: {text.source}. Removed: held at the "
        f"mean over this text. Spared: the loss rises by at most {percent(TEXT_UP)}, interval and "
        "all. 95 % intervals, by text.",
    )
