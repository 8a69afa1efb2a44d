"""What a review did not test: worked out from the suite, the model and the answers."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.findings.audit.answer import Answer
from residuum.findings.audit.options import KINDS
from residuum.findings.audit.suite import Suite
from residuum.findings.record.budget import budget_named
from residuum.runs import Model, task_names

_KIND_WORDS = {
    "heads": "which behaviours rest on few parts",
    "bypass": "whether one direction undoes a behaviour",
    "separable": "whether a behaviour can be steered by a direction that spares others",
    "monitor": "whether a monitor holds where it was not fitted",
    "twins": "what differs from a clean twin",
}
ALWAYS = (
    "Whether the model is safe: a review answers the questions of its suite, on their prompts.",
    "Longer answers and conversations of several turns: one next word was read.",
    "Prompts written to break the model, other languages, and tools.",
    "What a model does when it can tell a test from use.",
)


def untested(model: Model, suite: Suite, answers: Sequence[Answer]) -> tuple[str, ...]:
    """What no answer is about, most concrete first."""
    found = [
        f"“{each.asks}” could not be asked: {each.tries[0].says}"
        for each in answers
        if each.verdict == "not testable"
    ]
    found += [
        f"“{each.asks}” has no object here: the behaviour is absent, on these prompts."
        for each in answers
        if each.verdict == "behaviour absent"
    ]
    found += _unseen(answers)
    found += _kinds(suite)
    asked = {task for each in answers if each.verdict != "not testable" for task in each.tasks}
    left = [name for name in task_names(model) if name not in asked]
    if left:
        found.append(f"Behaviours of this model that no question is about: {', '.join(left)}.")
    n = budget_named(suite.budget).n
    found.append(
        f"Rare failures: with {n} pairs (budget {suite.budget}), one that strikes fewer than about "
        f"{100 * 3 / n:.0f} % of prompts may well not have occurred (rule of three)."
    )
    if len(suite.seeds) == 1:
        found.append("Other draws of the prompts: the questions were asked with one seed.")
    return (*found, *ALWAYS)


def _unseen(answers: Sequence[Answer]) -> list[str]:
    """What each answer could least have seen; questions with the same gap together."""
    gaps: dict[str, list[str]] = {}
    for each in answers:
        if each.verdict in ("shown", "not shown", "undecided") and each.tries[0].unseen:
            gaps.setdefault(each.tries[0].unseen[0], []).append(f"“{each.asks}”")
    return [f"{' '.join(asked)} {gap}" for gap, asked in gaps.items()]


def _kinds(suite: Suite) -> list[str]:
    used = {each.kind for each in suite.questions}
    return [f"The suite does not ask {_KIND_WORDS[kind]}." for kind in KINDS if kind not in used]
