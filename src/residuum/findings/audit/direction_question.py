"""Is a behaviour undone by one direction? Can it be steered by one that leaves others alone?"""

from __future__ import annotations

from residuum.findings.audit.answer import Try
from residuum.findings.audit.asked import Asked
from residuum.findings.audit.audit_tasks import audit_task
from residuum.findings.audit.checks import (
    About,
    Check,
    above,
    behaviour_checks,
    verdict_of,
)
from residuum.findings.audit.direction_search import Halves, apart, measured, tasks_to_spare
from residuum.findings.audit.evidence import DirectionEvidence
from residuum.findings.audit.options import BypassOptions, SeparableOptions
from residuum.findings.audit.shares import BY_TEMPLATE
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.record.rules import Outcome, behaviour_rules, percent, share
from residuum.runs import Task

OTHER_SEED = 1_000_003
"""Added to the seed for prompts that a direction is learned to spare: not those it is judged on."""
_OUTCOMES: dict[str, Outcome] = {"yes": "holds", "no": "fails", "not decided": "unclear"}


def ask_bypass(asked: Asked, options: BypassOptions) -> Try:
    """Find the direction of a behaviour, take it away, and count answers that change sides."""
    halves, checks = _halves(asked, options.task)
    if verdict_of(checks) == "behaviour absent":
        return _absent(asked, options.task, checks)
    off, left = _others(asked, options.off_target, asked.seed)
    found, proof = measured(
        asked.model, halves, options.sites, off, (), asked.budget.random_sets, asked.seed,
        asked.progress,
    )  # fmt: skip
    checks += (
        Check("It is used", "the answers follow the direction beyond random directions",
              proof.rules["causal"], _OUTCOMES[found.causal]),
        Check(
            "It is enough",
            f"taken away from held-out clean prompts, more than {percent(options.least_flipped)} "
            f"of them change sides, interval and all ({BY_TEMPLATE})",
            f"{share(found.flipped)}; random directions of its length "
            f"{percent(_mean(found.flipped_random))} on average, at most "
            f"{percent(max(found.flipped_random))}",
            above(found.flipped, options.least_flipped),
        ),
        _specific(found, "beside"),
    )  # fmt: skip
    verdict = verdict_of(checks)
    says = (
        f"Taking one direction at {found.at} away changes the answer to {share(found.flipped)} of "
        f"{found.flipped.n} held-out {options.task} prompts (random directions of its length: "
        f"{percent(_mean(found.flipped_random))} on average). {_how(found)}"
    )
    return Try(asked.seed, verdict, says, checks, _unseen(found, left), direction=found)


def ask_separable(asked: Asked, options: SeparableOptions) -> Try:
    """Learn a direction that carries the contrast and spares other tasks, and prove it."""
    halves, checks = _halves(asked, options.task)
    if verdict_of(checks) == "behaviour absent":
        return _absent(asked, options.task, checks)
    off, left = _others(asked, options.off_target, asked.seed)
    others, _ = _others(asked, options.off_target, asked.seed + OTHER_SEED)
    spared = apart(others, off)
    found, proof = measured(
        asked.model, halves, options.sites, off, spared, asked.budget.random_sets, asked.seed,
        asked.progress,
    )  # fmt: skip
    checks += (
        Check("It can be read", "held-out prompts' sides can be read along the direction",
              proof.rules["decodable"], _OUTCOMES[found.decodable]),
        Check("It is used", "the answers follow it beyond random directions",
              proof.rules["causal"], _OUTCOMES[found.causal]),
        _specific(found, "question"),
    )  # fmt: skip
    says = (
        f"One direction at {found.at}, learned on other templates to leave other tasks alone. The "
        f"sides can be read along it: {found.decodable}; the answers follow it: {found.causal}; "
        f"other tasks stay as they are: {found.specific}. "
        f"{_how(found)}"
    )
    return Try(asked.seed, verdict_of(checks), says, checks, _unseen(found, left), direction=found)


def _halves(asked: Asked, name: str) -> tuple[Halves, tuple[Check, ...]]:
    """The pairs in two halves, and whether the behaviour is there on the half that is held out."""
    task = audit_task(name, asked.model, 2 * asked.budget.n, asked.seed)
    halves = Halves.of(task, asked.seed)
    bench = Bench(asked.model, halves.held, asked.seed)
    seen = behaviour(bench, asked.budget.shuffles)
    return halves, behaviour_checks(behaviour_rules(seen, bench.metric.unit), seen)


def _others(asked: Asked, names: tuple[str, ...], seed: int) -> tuple[list[Task], list[str]]:
    return tasks_to_spare(asked.model, names, asked.budget.n, seed, audit_task)


def _absent(asked: Asked, task: str, checks: tuple[Check, ...]) -> Try:
    failed = next(check for check in checks if check.outcome == "fails")
    return Try(
        asked.seed,
        "behaviour absent",
        f"The model does not do {task}: {failed.name.lower()} fails ({failed.found}). There is "
        "nothing to take away, so nothing was looked for.",
        checks,
        ("A behaviour that shows only in other wordings, or in longer answers than one word.",),
    )


def _specific(found: DirectionEvidence, about: About) -> Check:
    return Check(
        "Others are left alone",
        "no other task moves by more than a quarter of what its own does, and plain text's "
        "perplexity rises by less than a tenth",
        found.rules[-1].removeprefix("specific: "),
        _OUTCOMES[found.specific],
        about,
    )


def _how(found: DirectionEvidence) -> str:
    weakest = min((each for each in found.edits if each.kind != "leace"), key=lambda e: e.closed)
    return (
        f"The weakest of its edits ({weakest.kind}) closes {percent(weakest.closed)} of the gap "
        f"between the two sides (random directions' 95th percentile {percent(weakest.random_high)})"
        "."
    )


def _unseen(found: DirectionEvidence, left: list[str]) -> tuple[str, ...]:
    return (
        f"Directions at other tokens than the last and at other sites than the {len(found.tried)} "
        "tried (the last fifth of the layers is left out: there a direction may be the answer's "
        "own word), and subspaces of more than one dimension.",
        f"{found.templates} held-out templates: other wordings may answer otherwise; intervals by "
        "template say little when templates are few.",
        "That no other way leads to the same answer: a direction that is not found proves nothing "
        "about prompts, fine-tuning or several directions at once.",
        *(f"Side effects on {each}" for each in left),
    )


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values) if values else float("nan")
