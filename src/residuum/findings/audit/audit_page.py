"""A review as one self-contained page: what was found, what was not tested, and the evidence."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from residuum.core import Provenance, package_version
from residuum.figures import (
    Bullets,
    Callout,
    Code,
    Contents,
    Figure,
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
from residuum.figures.page import Tone
from residuum.findings.audit.answer import Answer, Try
from residuum.findings.audit.checks import Check
from residuum.findings.audit.direction_parts import direction_parts
from residuum.findings.audit.finding_parts import finding_parts
from residuum.findings.audit.monitor_parts import monitor_parts
from residuum.findings.audit.reviewed import Reviewed
from residuum.findings.audit.suite import shipped_suites
from residuum.findings.audit.twin_parts import twin_parts
from residuum.findings.record.words import model_name

MARKS = {"holds": "✓ holds", "fails": "✗ fails", "unclear": "? unclear"}
_LONG = 260
_ABOUT = {"behaviour": "is it there", "question": "decides", "beside": "beside"}


def audit_html(review: Reviewed) -> str:
    """The whole page; it needs nothing but itself."""
    name = model_name(review.provenance.model_id)
    parts: list[Part] = [*_top(review), Contents(), *_untested(review)]
    for answer in review.answers:
        parts += _answered(answer)
    parts += _origin(review)
    twin = "" if review.against is None else f", beside {model_name(review.against.model_id)}"
    return page(
        f"Safety review of {name}",
        parts,
        subtitle=f"Suite {review.suite.name}, budget {review.suite.budget}{twin}",
        footer=f"residuum {package_version()} · audit {review.hash[:12]}",
    )


def _top(review: Reviewed) -> list[Part]:
    concerns = len(review.concerns)
    verdicts = [each.verdict for each in review.answers]
    open_ = sum(each in ("undecided", "not testable", "behaviour absent") for each in verdicts)
    return [
        Callout(
            review.summary,
            title="Cause for concern" if concerns else "No cause for concern was found",
            tone="bad" if concerns else "note",
        ),
        Stats(
            [
                Stat("Questions", str(len(verdicts)), detail=f"suite {review.suite.name}"),
                Stat("Cause for concern", str(concerns), tone="bad" if concerns else "note"),
                Stat(
                    "Without an answer",
                    str(open_),
                    detail="undecided, absent, or not testable",
                    tone="warning" if open_ else "note",
                ),
            ]
        ),
        Heading("The questions, and what came of them"),
        *(
            Callout(_first(each.says), title=each.asks, tone=_tone(each), badge=_title(each))
            for each in review.answers
        ),
        Paragraph(f"{_MEANING} **None of them says** that the model is safe."),
    ]


_MEANING = (
    "**Shown**: every deciding check holds. **Not shown**: one fails, which is no proof of the "
    "opposite. **Undecided**: unclear, or the seeds differ. **Behaviour absent**: there was "
    "nothing to ask about. **Not testable**: the question does not fit this model."
)


def answer_table(review: Reviewed) -> Table:
    """The questions with their answers."""
    rows = [[each.asks, _title(each), _first(each.says)] for each in review.answers]
    return Table(
        ["question", "verdict", "in short"],
        rows,
        title="The questions, and what came of them",
        caption=_MEANING,
        does_not_show="that the model is safe.",
    )


def _first(text: str) -> str:
    """The first sentence, or the first of its parts where it is long.

    >>> _first("It fails on “a” (AUROC 0.67, false alarms 23 %). It holds as fitted.")
    'It fails on “a” (AUROC 0.67, false alarms 23 %).'
    """
    head, dot, _ = text.partition(". ")
    head = f"{head}." if dot else head
    if len(head) < _LONG:
        return head
    first, *others = head.rstrip(".").split("; ")
    return f"{first}; and {len(others)} more, below." if others else head


def _untested(review: Reviewed) -> list[Part]:
    return [
        Heading("What was not tested"),
        Paragraph("Nothing on this page speaks for these:"),
        Bullets(review.not_tested),
    ]


def _answered(answer: Answer) -> list[Part]:
    parts: list[Part] = [
        Heading(answer.asks),
        Callout(answer.says, title=_title(answer), tone=_tone(answer)),
    ]
    for each in answer.tries:
        parts += _tried(each, several=len(answer.tries) > 1)
    return parts


def _title(answer: Answer) -> str:
    verdict = answer.verdict.capitalize()
    return f"{verdict}: cause for concern" if answer.concern else verdict


def _tone(answer: Answer) -> Tone:
    if answer.concern:
        return "bad"
    return "warning" if answer.verdict == "undecided" else "note"


def _tried(each: Try, several: bool) -> list[Part]:
    parts: list[Part] = []
    if several:
        parts.append(Heading(f"Seed {each.seed}: {each.verdict}", level=3))
    if each.checks:
        demands = [f"**{check.name}**: {check.demands}." for check in each.checks]
        demanded = Fold("What each check demands", [Bullets(demands)], printed=False)
        parts += [check_table(each.checks), demanded]
    if each.twins is not None:
        parts += _brief(
            twin_parts(each.twins), "How the words were found, and where the twins differ"
        )
    if each.direction is not None:
        parts += _brief(direction_parts(each.direction), "Beside random directions")
    if each.monitor is not None:
        parts += _brief(monitor_parts(each.monitor), "Each set of statements, in numbers")
    if each.findings:
        parts += _brief(finding_parts(each.findings), "")
    if each.unseen:
        parts.append(Fold("What this answer could not have seen", [Bullets(each.unseen)]))
    return parts


def _brief(parts: Sequence[Part], title: str) -> list[Part]:
    """Up to the first figure; the rest folded, and left out on paper."""
    figures = [i for i, part in enumerate(parts) if isinstance(part, Figure)]
    cut = figures[0] + 1 if figures else len(parts)
    kept, rest = list(parts[:cut]), parts[cut:]
    if len(rest) == 1 and isinstance(rest[0], Fold):
        return [*kept, replace(rest[0], printed=False)]
    return [*kept, Fold(title, rest, printed=False)] if rest else kept


def check_table(checks: Sequence[Check]) -> Table:
    """What a verdict rests on."""
    rows = [[MARKS[each.outcome], each.name, _ABOUT[each.about], each.found] for each in checks]
    return Table(["outcome", "check", "role", "found"], rows, title="Checks")


def _origin(review: Reviewed) -> list[Part]:
    parts: list[Part] = [
        Heading("Where it comes from"),
        Paragraph(review.suite.about),
        Code(_again(review), title="Shell"),
        KeyValues(_facts(review.provenance), title="Model"),
    ]
    if review.against is not None:
        parts.append(KeyValues(_facts(review.against), title="Twin"))
    asked = [
        f"`{each.name}` ({each.kind}): "
        + (
            ", ".join(f"{key} = {value}" for key, value in vars(each.options).items())
            or "no options"
        )
        for each in review.suite.questions
    ]
    return [*parts, Fold("The suite as it was asked", [Bullets(asked)], printed=False)]


def _again(review: Reviewed) -> str:
    """The command that asks the same questions again."""
    name = review.suite.name
    suite = name if name in shipped_suites() else "suite.toml"
    words = ["residuum", "audit", review.provenance.model_id, "--suite", suite]
    if review.against is not None:
        words += ["--against", review.against.model_id]
    return shlex.join([*words, "--out", "review"])


def _facts(origin: Provenance) -> dict[str, object]:
    return {
        "name": f"`{origin.model_id}`",
        "weights (SHA-256)": f"`{origin.weight_hash}`",
        "tokenizer (SHA-256)": f"`{origin.tokenizer_hash}`",
        "suite (SHA-256)": f"`{origin.task_hash}`",
        "dtype, device": f"{origin.dtype}, {origin.device}",
        "seed": origin.seed,
        "software": ", ".join(f"{name} {version}" for name, version in origin.software.items()),
    }
