"""What follows for specificity: it narrows the claim, and leaves open what everything needs."""

from __future__ import annotations

from residuum.findings.record.rules import Outcome, Rule, number, percent
from residuum.findings.record.specificity_evidence import (
    OtherTask,
    SpecificityEvidence,
    TextLoss,
)
from residuum.findings.record.words import listed, object_words, plural

SPARED = 0.25
"""A task is spared if it loses at most this share of what the behaviour itself loses."""
COUNTS = 0.1
"""Share of its own distance that a task may lose in any case: less is no harm that counts."""
TEXT_UP = 0.1
"""Plain text is spared if its loss rises by at most this share."""
FEWEST_TASKS = 3
"""Other tasks below which nothing is said about specificity."""
MOST_NAMED = 3
"""Tasks that a claim names."""
NOT_REMOVED = "this behaviour's own prompts, "
"""What a note on a way of removal that they do not allow begins with."""
UNTESTED = "Whether other behaviours need it too was not tested"
"""What a claim ends with where this stage was not run."""
_DOUBLE = 2.0
"""Loss on plain text, over that of the intact model, from which a factor says more than a share."""


def most_lost(own: float) -> float:
    """What a spared task may lose, where the behaviour itself loses ``own``.

    >>> most_lost(0.8), most_lost(0.02)
    (0.2, 0.1)
    """
    return max(SPARED * own, COUNTS)


def specificity_rules(evidence: SpecificityEvidence) -> tuple[Rule, ...]:
    """Whether other behaviours are spared, and whether plain text is.

    Neither decides: a mechanism that other behaviours share is still this behaviour's mechanism.
    One that nearly everything goes through is nobody's, and leaves the finding undecided.
    """
    if evidence.text is None:
        return (_tasks(evidence),)
    found = (_tasks(evidence), _text(evidence, evidence.text))
    if len(evidence.tested) < FEWEST_TASKS:
        return found
    return (*found, _everything(evidence, evidence.text))


def _everything(evidence: SpecificityEvidence, text: TextLoss) -> Rule:
    needed, tested = evidence.judged("needed"), evidence.tested
    return Rule(
        "Not what everything goes through",
        f"plain text costs less than {_DOUBLE:g} times as much without "
        f"{object_words(evidence.kind, evidence.parts)}, or fewer than two thirds of the other "
        "tasks need it",
        f"plain text {text.factor:.1f} times; {len(needed)} of {len(tested)} other tasks need "
        f"{_them(evidence)}",
        "fails" if goes_through(evidence) else "holds",
        "specificity",
        decides=True,
    )


def goes_through(evidence: SpecificityEvidence) -> bool:
    """Whether nearly everything that the model does goes through the mechanism."""
    needed, tested = evidence.judged("needed"), evidence.tested
    text = evidence.text
    if text is None or text.verdict != "needed" or len(tested) < FEWEST_TASKS:
        return False
    return text.factor >= _DOUBLE and 3 * len(needed) >= 2 * len(tested)


def _tasks(evidence: SpecificityEvidence) -> Rule:
    outcome: Outcome = "unclear"
    if len(evidence.tested) >= FEWEST_TASKS:
        outcome = "fails" if evidence.judged("needed") else outcome
        outcome = "holds" if len(evidence.judged("spared")) == len(evidence.tested) else outcome
    return Rule(
        "This behaviour alone",
        f"on at least {FEWEST_TASKS} other tasks that the model does, removing "
        f"{object_words(evidence.kind, evidence.parts)} costs at most {percent(SPARED)} of what it "
        f"costs this behaviour, or {percent(COUNTS)} of the task's own distance if that is more, "
        "interval and all (narrows the claim, decides no status)",
        _each_task(evidence),
        outcome,
        "specificity",
        decides=False,
    )


def _each_task(evidence: SpecificityEvidence) -> str:
    """Every task with what it loses."""
    if len(evidence.tested) < FEWEST_TASKS:
        return f"not testable: {_why(evidence)}"
    spared, harmed = evidence.judged("spared"), "harmed, but no more than by random ones"
    judged = {
        "also needed": evidence.judged("needed"),
        harmed: evidence.judged("as random"),
        "unclear": evidence.judged("unclear"),
    }
    said = [f"{words}: {_costs(tasks)}" for words, tasks in judged.items() if tasks]
    said += [f"spared: {listed([each.task for each in spared])}"] if spared else []
    return "; ".join(said)


def specificity_words(evidence: SpecificityEvidence) -> str:
    """What is said of specificity in a claim, without a full stop.

    >>> none = SpecificityEvidence("components", (), (), (), None, ("other tasks: no tokenizer",))
    >>> specificity_words(none)
    'Specificity: not testable: other tasks: no tokenizer'
    """
    tested, needed = evidence.tested, evidence.judged("needed")
    text = _text_words(evidence)
    if len(tested) < FEWEST_TASKS:
        said = f"Specificity: not testable: {_why(evidence)}"
        return f"{said}; {text}" if text else said
    if not needed and not text:
        return _nothing_needed(evidence)
    counted = f"{_named(needed)} needs" if len(needed) == 1 else f"{_named(needed)} need"
    too = f"{counted} {_them(evidence)} too" if needed else ""
    begins = "Not for this behaviour alone"
    if goes_through(evidence):
        begins = f"Nearly everything that the model does goes through {_them(evidence)}"
    return f"{begins}: {'; '.join(each for each in (text, too, _spared(evidence)) if each)}"


def _nothing_needed(evidence: SpecificityEvidence) -> str:
    """Where neither another task nor plain text is shown to need it."""
    said = _spared(evidence)
    text = evidence.text
    if text is not None and text.verdict == "spared":
        said += "; plain text is spared"
    return f"Specificity: {said}"


def _spared(evidence: SpecificityEvidence) -> str:
    """How many tasks are spared, and of the others that need nothing, what is known."""
    tested, spared = len(evidence.tested), len(evidence.judged("spared"))
    if spared == tested:
        return f"all {tested} other tasks are spared"
    said = [f"{spared or 'none'} of {tested} other tasks spared"]
    random, unclear = len(evidence.judged("as random")), len(evidence.judged("unclear"))
    said += [f"{random} harmed no more than by random ones"] if random else []
    said += [f"{unclear} unclear"] if unclear else []
    return ", ".join(said)


def _text_words(evidence: SpecificityEvidence) -> str:
    """That plain text suffers, more than without random ones; empty where that is not shown."""
    text = evidence.text
    if text is None or text.verdict != "needed":
        return ""
    random = text.random_factor
    if text.factor >= _DOUBLE:
        beside = f" (random ones {random:.1f})" if random == random else ""
        cost = f"costs {text.factor:.1f} times as much"
    else:
        beside = f" (random ones {percent(max(random - 1, 0.0))})" if random == random else ""
        cost = f"costs {percent(text.factor - 1)} more"
    return f"plain text {cost} without {_them(evidence)}{beside}"


def _them(evidence: SpecificityEvidence) -> str:
    return "them" if plural(evidence.kind, evidence.parts) else "it"


def _why(evidence: SpecificityEvidence) -> str:
    """Why too few tasks could be tested."""
    said = [each for each in evidence.left_out if not each.startswith(NOT_REMOVED)]
    if evidence.others:
        absent = [each.task for each in evidence.judged("absent")]
        said.append(
            f"of {len(evidence.others)} other tasks the model does {len(evidence.tested)}"
            + (f" (not {listed(absent)})" if absent else "")
        )
    return "; ".join(said) or "there is no other task"


def _named(tasks: tuple[OtherTask, ...]) -> str:
    """The costliest tasks by name, and how many more there are."""
    ordered = sorted(tasks, key=lambda each: -_worst(each))
    names = [f"{each.task} (loses {percent(_worst(each))})" for each in ordered[:MOST_NAMED]]
    left = len(ordered) - len(names)
    return listed([*names, f"{left} more"] if left else names)


def _costs(tasks: tuple[OtherTask, ...]) -> str:
    ordered = sorted(tasks, key=lambda each: -_worst(each))
    return listed([f"{each.task} ({_cost(each)})" for each in ordered])


def _cost(task: OtherTask) -> str:
    return f"{percent(_worst(task))} lost, {task.worst.how}" if task.worst else ""


def _worst(task: OtherTask) -> float:
    return task.worst.lost.value if task.worst else 0.0


def _text(evidence: SpecificityEvidence, text: TextLoss) -> Rule:
    outcomes: dict[str, Outcome] = {"spared": "holds", "needed": "fails"}
    most = max(text.random_up, default=float("nan"))
    beside = f"; random ones up to {most:.3f}" if text.random_up else ""
    them = object_words(evidence.kind, evidence.parts)
    return Rule(
        "Plain text is spared",
        f"with {them} at the mean, the loss on plain text rises by at most {percent(TEXT_UP)}, "
        "interval and all (decides no status)",
        f"{text.before.value:.2f} nats per token, up {number(text.up, 3)} "
        f"({percent(text.factor - 1)}){beside}",
        outcomes.get(text.verdict, "unclear"),
        "specificity",
        decides=False,
    )
