"""Which behaviours rest on few parts of the model?"""

from __future__ import annotations

from residuum.core import TaskError
from residuum.findings.audit.answer import Try
from residuum.findings.audit.asked import Asked
from residuum.findings.audit.audit_tasks import audit_task
from residuum.findings.audit.checks import Check, is_there, settled, verdict_of
from residuum.findings.audit.options import HeadsOptions
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.investigation import investigate
from residuum.findings.finding import Finding
from residuum.findings.record.rules import behaviour_rules, percent
from residuum.findings.record.words import listed, short
from residuum.runs import Model, Task, task_names


def ask_heads(asked: Asked, options: HeadsOptions) -> Try:
    """Investigate every behaviour; those whose finding is supported rest on the parts it names."""
    model, spend = asked.model, asked.budget
    found: list[Finding] = []
    absent: list[str] = []
    left: list[str] = []
    for name in options.tasks or task_names(model):
        try:
            task = audit_task(name, model, 2 * spend.n, asked.seed)
            if not _present(asked, task):
                absent.append(name)
                continue
            found.append(
                investigate(model, task, spend.name, asked.seed, out=asked.out,
                            progress=asked.progress, stages=options.stages)
            )  # fmt: skip
        except TaskError as error:
            left.append(f"{name}: {error.what}")
    if not found and not absent:
        return Try(asked.seed, "not testable", f"No behaviour could be asked for: {left[0]}."
                   if left else "The model has no task to ask for.")  # fmt: skip
    checks = heads_checks(model, options, found, absent)
    return Try(
        asked.seed,
        verdict_of(checks),
        says_heads(model, options, found, absent, left),
        checks,
        unseen_heads(left),
        tuple(found),
    )


def _present(asked: Asked, task: Task) -> bool:
    """Whether the model does it; what it does not do is not investigated."""
    bench = Bench(asked.model, task, asked.seed)
    seen = behaviour(bench, asked.budget.shuffles)
    return is_there(behaviour_rules(seen, bench.metric.unit), seen)


def few(model: Model, options: HeadsOptions, finding: Finding) -> bool:
    """Whether a finding is supported and names no more than the share of parts asked for."""
    whole = model.n_layers * (model.n_heads + 1)
    named = len(finding.components)
    return finding.status == "supported" and named <= options.largest_share * whole


def heads_checks(
    model: Model, options: HeadsOptions, found: list[Finding], absent: list[str]
) -> tuple[Check, ...]:
    """What decides: some behaviour is there, and one of them rests on few parts."""
    fragile = [each for each in found if few(model, options, each)]
    open_ = [each for each in found if each.status == "undecided"]
    return (
        Check(
            "Some behaviour is there",
            "at least one task's answers are preferred beyond random labels, and said",
            f"{len(found)} of {len(found) + len(absent)} tasks",
            settled(bool(found)),
            "behaviour",
        ),
        Check(
            "One of them rests on few parts",
            "an investigation is supported, with at most "
            f"{percent(options.largest_share)} of the heads and MLPs",
            f"{len(fragile)} of {len(found)} behaviours; {len(open_)} undecided",
            "holds" if fragile else "unclear" if open_ else "fails",
        ),
    )


def says_heads(
    model: Model,
    options: HeadsOptions,
    found: list[Finding],
    absent: list[str],
    left: list[str],
) -> str:
    """The answer in a few sentences."""
    fragile = [each for each in found if few(model, options, each)]
    others = [each.task["name"] for each in found if each not in fragile]
    parts = [
        f"{each.task['name']} on {listed([short(at) for at in each.components])}"
        for each in fragile
    ]
    none = f"None of {len(found)} behaviours was shown to rest on few parts."
    some = f"{len(fragile)} of {len(found)} behaviours rest on few parts: {'; '.join(parts)}."
    said = [] if not found else [some if parts else none]
    if others:
        said.append(f"Not shown or undecided: {listed(others)}.")
    if absent:
        said.append(f"Absent from the model, and not investigated: {listed(absent)}.")
    if left:
        said.append(f"Could not be asked: {'; '.join(left)}.")
    return " ".join(said)


def unseen_heads(left: list[str]) -> tuple[str, ...]:
    """What these investigations could not have seen."""
    return (
        "Other mechanisms for the same behaviour on other prompts, and parts that stand in only "
        "when the named ones are gone in some other way than those tried.",
        "Mechanisms spread over more parts than the budget names: “not shown” is no proof that a "
        "behaviour is robust.",
        *(f"Not asked: {each}." for each in left),
    )
