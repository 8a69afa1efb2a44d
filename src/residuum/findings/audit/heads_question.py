"""Which behaviours rest on few parts of the model?"""

from __future__ import annotations

from residuum.core import TaskError
from residuum.findings.audit.answer import Try
from residuum.findings.audit.asked import Asked
from residuum.findings.audit.audit_tasks import audit_task
from residuum.findings.audit.checks import Check, is_there, settled, verdict_of
from residuum.findings.audit.options import HeadsOptions
from residuum.findings.chain.investigation import investigate
from residuum.findings.finding import Finding
from residuum.findings.record.rules import percent
from residuum.findings.record.words import listed, short
from residuum.runs import Model, task_names


def ask_heads(asked: Asked, options: HeadsOptions) -> Try:
    """Investigate every behaviour; those whose finding is supported rest on the parts it names."""
    model, spend = asked.model, asked.budget
    found: list[Finding] = []
    left: list[str] = []
    for name in options.tasks or task_names(model):
        try:
            task = audit_task(name, model, 2 * spend.n, asked.seed)
            found.append(
                investigate(model, task, spend.name, asked.seed, out=asked.out,
                            progress=asked.progress, stages=options.stages)
            )  # fmt: skip
        except TaskError as error:
            left.append(f"{name}: {error.what}")
    if not found:
        return Try(asked.seed, "not testable", f"No behaviour could be asked for: {left[0]}."
                   if left else "The model has no task to ask for.")  # fmt: skip
    checks = heads_checks(model, options, found)
    return Try(
        asked.seed,
        verdict_of(checks),
        says_heads(model, options, found, left),
        checks,
        unseen_heads(left),
        tuple(found),
    )


def few(model: Model, options: HeadsOptions, finding: Finding) -> bool:
    """Whether a finding is supported and names no more than the share of parts asked for."""
    whole = model.n_layers * (model.n_heads + 1)
    named = len(finding.components)
    there = is_there(finding.rules, finding.behaviour)
    return there and finding.status == "supported" and named <= options.largest_share * whole


def heads_checks(model: Model, options: HeadsOptions, found: list[Finding]) -> tuple[Check, ...]:
    """What decides: some behaviour is there, and one of them rests on few parts."""
    there = [each for each in found if is_there(each.rules, each.behaviour)]
    fragile = [each for each in found if few(model, options, each)]
    open_ = [each for each in there if each.status == "undecided"]
    return (
        Check(
            "Some behaviour is there",
            "at least one task's answers are preferred beyond random labels, and said",
            f"{len(there)} of {len(found)} tasks",
            settled(bool(there)),
            "behaviour",
        ),
        Check(
            "One of them rests on few parts",
            "an investigation is supported, with at most "
            f"{percent(options.largest_share)} of the heads and MLPs",
            f"{len(fragile)} of {len(there)} behaviours; {len(open_)} undecided",
            "holds" if fragile else "unclear" if open_ else "fails",
        ),
    )


def says_heads(model: Model, options: HeadsOptions, found: list[Finding], left: list[str]) -> str:
    """The answer in a few sentences."""
    fragile = [each for each in found if few(model, options, each)]
    absent = [each.task["name"] for each in found if not is_there(each.rules, each.behaviour)]
    others = [each.task["name"] for each in found
              if each not in fragile and each.task["name"] not in absent]  # fmt: skip
    parts = [
        f"{each.task['name']} on {listed([short(at) for at in each.components])}"
        for each in fragile
    ]
    none = f"None of {len(found)} behaviours was shown to rest on few parts."
    some = f"{len(fragile)} of {len(found)} behaviours rest on few parts: {'; '.join(parts)}."
    said = [some if parts else none]
    if others:
        said.append(f"Not shown or undecided: {listed(others)}.")
    if absent:
        said.append(f"Absent from the model: {listed(absent)}.")
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
