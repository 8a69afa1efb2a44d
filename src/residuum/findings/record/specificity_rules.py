"""What follows for specificity: it narrows the claim, and decides no status."""

from __future__ import annotations

from residuum.findings.record.rules import Outcome, Rule, number, percent
from residuum.findings.record.specificity_evidence import (
    OtherTask,
    SpecificityEvidence,
    TextLoss,
)
from residuum.findings.record.words import listed

SPARED = 0.25
"""A task is spared if it loses at most this share of what the behaviour itself loses."""
TEXT_UP = 0.1
"""Plain text is spared if its loss rises by at most this share."""
FEWEST_TASKS = 3
"""Other tasks below which nothing is said about specificity."""


def specificity_rules(evidence: SpecificityEvidence) -> tuple[Rule, ...]:
    """Whether other behaviours are spared, and whether plain text is.

    Neither decides: a mechanism that other behaviours share is still this behaviour's mechanism.
    """
    return (_tasks(evidence), *((_text(evidence.text),) if evidence.text else ()))


def _tasks(evidence: SpecificityEvidence) -> Rule:
    outcome: Outcome = "unclear"
    if len(evidence.tested) >= FEWEST_TASKS:
        outcome = "fails" if evidence.judged("needed") else outcome
        outcome = "holds" if len(evidence.judged("spared")) == len(evidence.tested) else outcome
    return Rule(
        "This behaviour alone",
        f"on at least {FEWEST_TASKS} other tasks that the model does, removing the parts costs at "
        f"most {percent(SPARED)} of what it costs this behaviour, interval and all (narrows the "
        "claim, decides no status)",
        specificity_words(evidence),
        outcome,
        "specificity",
        decides=False,
    )


def specificity_words(evidence: SpecificityEvidence) -> str:
    """What is said of specificity in a claim.

    >>> specificity_words(SpecificityEvidence((), (), None, ("other tasks: no tokenizer",)))
    'not testable: other tasks: no tokenizer'
    """
    if len(evidence.tested) < FEWEST_TASKS:
        return f"not testable: {_why(evidence)}"
    needed, unclear = evidence.judged("needed"), evidence.judged("unclear")
    spared = f"spared: {_names(evidence.judged('spared'))}"
    random = evidence.judged("as random")
    said = [f"also needed by {_costs(needed)}"] if needed else []
    said += [f"harmed, but no more than by random parts: {_costs(random)}"] if random else []
    said += [f"unclear: {_costs(unclear)}"] if unclear else []
    said += [spared] if evidence.judged("spared") else []
    return "; ".join(said)


def _why(evidence: SpecificityEvidence) -> str:
    """Why too few tasks could be tested."""
    said = list(evidence.left_out)
    if evidence.others:
        absent = _names(evidence.judged("absent"))
        said.append(
            f"of {len(evidence.others)} other tasks the model does {len(evidence.tested)}"
            + (f" (not {absent})" if absent else "")
        )
    return "; ".join(said) or "there is no other task"


def _names(tasks: tuple[OtherTask, ...]) -> str:
    return listed([each.task for each in tasks]) if tasks else ""


def _costs(tasks: tuple[OtherTask, ...]) -> str:
    ordered = sorted(tasks, key=lambda each: -_worst(each))
    return listed([f"{each.task} ({_cost(each)})" for each in ordered])


def _cost(task: OtherTask) -> str:
    return f"{percent(_worst(task))} lost, {task.worst.how}" if task.worst else ""


def _worst(task: OtherTask) -> float:
    return task.worst.lost.value if task.worst else 0.0


def _text(text: TextLoss) -> Rule:
    outcomes: dict[str, Outcome] = {"spared": "holds", "needed": "fails"}
    rise = text.up.value / text.before.value if text.before.value else 0.0
    most = max(text.random_up, default=float("nan"))
    beside = f"; random parts up to {most:.3f}" if text.random_up else ""
    return Rule(
        "Plain text is spared",
        f"with the parts at their mean, the loss on plain text rises by at most {percent(TEXT_UP)},"
        " interval and all (decides no status)",
        f"{text.before.value:.2f} nats per token, up {number(text.up, 3)} ({percent(rise)})"
        f"{beside}",
        outcomes.get(text.verdict, "unclear"),
        "specificity",
        decides=False,
    )
