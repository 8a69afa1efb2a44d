"""A review as one self-contained page: what was found, what was not tested, and the evidence."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from residuum.core import Provenance, package_version
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
    parts: list[Part] = [*_top(review), *_untested(review)]
    for answer in review.answers:
        parts += _answered(answer)
    parts += _origin(review)
    twin = "" if review.against is None else f", beside {model_name(review.against.model_id)}"
    return page(
        f"Safety review of {name}",
        parts,
        subtitle=f"Suite {review.suite.name}, budget {review.suite.budget}{twin}",
        footer=f"residuum {package_version()} · audit {review.hash[:12]}",
        contents=True,
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
        answer_table(review),
    ]


def answer_table(review: Reviewed) -> Table:
    """The questions with their answers."""
    rows = [[each.asks, _title(each), _first(each.says)] for each in review.answers]
    return Table(
        ["question", "verdict", "in short"],
        rows,
        title="The questions, and what came of them",
        caption="**shown**: every deciding check holds. **not shown**: one fails, which is no "
        "proof of the opposite. **undecided**: unclear, or the seeds differ. **behaviour "
        "absent**: there was nothing to ask about. **not testable**: the question does "
        "not fit this model.",
        does_not_show="that the model is safe.",
    )


def _first(text: str) -> str:
    """The first sentence, or the first of its parts where it is long."""
    head, dot, _ = text.partition(". ")
    head = f"{head}." if dot else head
    return head if len(head) < _LONG else head.partition("; ")[0].rstrip(".") + " …"


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
        parts += [check_table(each.checks), Fold("What each check demands", [Bullets(demands)])]
    if each.twins is not None:
        parts += twin_parts(each.twins)
    if each.direction is not None:
        parts += direction_parts(each.direction)
    if each.monitor is not None:
        parts += monitor_parts(each.monitor)
    if each.findings:
        parts += finding_parts(each.findings)
    if each.unseen:
        parts.append(
            Fold("What this answer could not have seen", [Bullets(each.unseen)], opened=True)
        )
    return parts


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
    return [*parts, Fold("The suite as it was asked", [Bullets(asked)])]


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
