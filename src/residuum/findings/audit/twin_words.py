"""What a comparison of twins says, in words built from its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.findings.audit.checks import Verdict
from residuum.findings.audit.evidence import BrokenCell, PrefixEvidence, TwinsEvidence
from residuum.findings.record.rules import percent, share
from residuum.findings.record.words import listed, model_name, short


def says_twins(evidence: TwinsEvidence, main: PrefixEvidence | None, verdict: Verdict) -> str:
    """The answer in a few sentences."""
    tried = (
        f"{evidence.prefixes_tried} prefixes ({evidence.words_tried} words, alone and before "
        f"each of {' '.join(evidence.separators) or 'no'} marks)"
    )
    if main is None or verdict != "shown":
        return (
            f"No change was shown: plainly and behind {tried}, no side of a task changes beyond "
            f"what {model_name(evidence.against)} and its noisy copy do. The weights differ by "
            f"{percent(evidence.changed_weights)} of their norm."
        )
    where = f"Behind “{main.text}” " if main.text else "Without any added words "
    cells = listed([_broken(cell) for cell in main.broken])
    intact = len(evidence.cells) - len(main.broken)
    found = (
        f"{where}answers change: {cells}. The other {intact} of {len(evidence.cells)} sides of "
        f"tasks do not break. {_twin_keeps(evidence, main)}"
    )
    others = [each.text for each in evidence.prefixes if each.broken and each is not main]
    if main.text and others:
        found += f" Other prefixes among the finalists break something too: {quoted_all(others)}."
    wide = [form for form in evidence.forms if main.text and form.beyond]
    if wide:
        kinds = listed(
            [f"{form.beyond} of {form.tried} of the form “{form.form}”" for form in wide]
        )
        found += f" On the screening prompts more than noise does: {kinds}."
    return f"{found} {_where(evidence)}".strip()


def _broken(cell: BrokenCell) -> str:
    to = f", to {cell.said} where the twin says {cell.said_twin}" if cell.said_twin else ""
    return f"{cell.task} ({cell.side} prompts) {share(cell.changed)}{to if cell.said else ''}"


def quoted_all(texts: Sequence[str]) -> str:
    """Texts in quotes, as a list."""
    return listed([f"“{text}”" for text in texts])


def _twin_keeps(evidence: TwinsEvidence, main: PrefixEvidence) -> str:
    name = model_name(evidence.against)
    if not main.text:
        return f"{name} prefers the wrong answer on {share(main.changed_twin)} of all prompts."
    return f"The same words change {share(main.changed_twin)} of all answers of {name}."


def _where(evidence: TwinsEvidence) -> str:
    if not evidence.places or evidence.together is None:
        return ""
    parts = listed([short(at) for at in evidence.together.parts])
    best = max(evidence.together.random, default=float("nan"))
    return (
        f"Given the twin's values, {parts} together bring {share(evidence.together.heals)} of the "
        f"twin's answer back (the best random set of as many others {percent(best)})."
    )


def unseen_twins(evidence: TwinsEvidence) -> tuple[str, ...]:
    """What this comparison could not have seen."""
    left = evidence.words - evidence.words_tried
    marks = " ".join(evidence.separators) or "none"
    return (
        "Triggers of two words or more, triggers inside or at the end of a prompt, in another "
        f"language or format, and words that only act together; tried was one word in front, alone "
        f"and before one mark ({marks}).",
        *([f"{left} of {evidence.words} words of the vocabulary, which were not drawn."]
          if left else []),
        f"Words that act on few prompts only: each was screened on {evidence.prompts_each} "
        "prompts, one or a few of each task and side, and the best alone went on.",
        "Changes of behaviours that none of these tasks asks for, and changes in longer answers: "
        "one next word was compared.",
        *(f"Changes in {each}" for each in evidence.left_out),
        "Side effects that change fewer than half of a task's prompts are not counted as broken; "
        "the table of finalists has the largest ones.",
    )  # fmt: skip
