"""Stage: is it this behaviour, or does removing the mechanism break much else?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from residuum.core import SILENT, AddressError, Progress, TaskError, TokenError, track
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.lever import Lever
from residuum.findings.chain.plain_text import text_loss
from residuum.findings.chain.replacement import share_of
from residuum.findings.chain.texts import texts_of
from residuum.findings.record.budget import Budget
from residuum.findings.record.rules import behaviour_rules, present
from residuum.findings.record.specificity_evidence import (
    Loss,
    OtherTask,
    Spared,
    SpecificityEvidence,
)
from residuum.findings.record.specificity_rules import NOT_REMOVED, most_lost
from residuum.runs import Task, make_task, task_names

SETS = 5
"""Random sets removed for comparison on each task."""
SHUFFLES = 200
_FEWEST = 8


def specificity(
    bench: Bench,
    lever: Lever,
    spend: Budget,
    progress: Progress = SILENT,
    others: Sequence[Task] | None = None,
) -> SpecificityEvidence:
    """Remove the mechanism on every other task of the model, and on plain text.

    Args:
        bench: the measuring half of the behaviour's own pairs.
        lever: the mechanism.
        spend: what may be spent; as many pairs of each task as of the behaviour (of a circuit, half
            as many). Some 8 forward passes for each task, 13 for one that is harmed, and 8 for
            plain text; of a circuit masked runs.
        progress: told of every task.
        others: tasks to take instead of the model's named ones.
    """
    n = spend.n // 2 if lever.kind == "circuit" else spend.n
    tasks, left_out = (list(others), ()) if others is not None else other_tasks(bench, n)
    own, impossible = losses(bench, lever)
    left_out = (*left_out, *(f"{NOT_REMOVED}{each}" for each in impossible))
    found = [
        _other(Bench(bench.model, task, bench.seed), lever, own)
        for task in track(tasks, progress, "other tasks", len(tasks))
    ]
    texts = texts_of(bench, tasks, 2 * spend.n)
    if texts is None:
        left_out = (*left_out, "plain text: the model has no tokenizer and no other task")
    return SpecificityEvidence(
        kind=lever.kind,
        parts=lever.parts,
        own=own,
        others=tuple(found),
        text=text_loss(bench, lever, texts, SETS) if texts else None,
        left_out=left_out,
    )


def other_tasks(bench: Bench, n: int) -> tuple[list[Task], tuple[str, ...]]:
    """Every other named task that the model's tokenizer holds, and why others are missing."""
    model = bench.model
    if model.tokenizer is None:
        return [], ("other tasks: the model has no tokenizer, so none can be asked of it",)
    found, left_out = [], []
    for name in task_names(model):
        if name == bench.task.name:
            continue
        try:
            task = make_task(name, model, n=n, seed=bench.seed, skip_misfits=True)
        except (TaskError, TokenError) as error:
            left_out.append(f"{name}: {error.what}")
            continue
        if len(task) < _FEWEST:
            left_out.append(f"{name}: {len(task)} pairs fit the model's tokens")
        else:
            found.append(task)
    return found, tuple(left_out)


def losses(
    bench: Bench, lever: Lever, bounds: Mapping[str, float] | None = None
) -> tuple[tuple[Loss, ...], tuple[str, ...]]:
    """What removing the mechanism costs, by each way that the pairs allow, and what they do not.

    Args:
        bench: model and pairs.
        lever: what is removed.
        bounds: way -> what may be lost; where it is more, random ones are removed as well.
    """
    found, left_out = [], []
    for how in lever.ways:
        try:
            cost = share_of(bench, lever.cost(bench, how))
        except (TaskError, AddressError) as error:  # no prompt to draw from, no such place
            left_out.append(f"{how}: {error.what}")
            continue
        harmed = bounds is not None and cost.low > bounds.get(how, 0.0)
        drawn = lever.random_costs(bench, how, SETS) if harmed else []
        found.append(Loss(how, cost, tuple(share_of(bench, each).value for each in drawn)))
    return tuple(found), tuple(left_out)


def _other(bench: Bench, lever: Lever, own: Sequence[Loss]) -> OtherTask:
    """One other task."""
    there = present(behaviour_rules(behaviour(bench, SHUFFLES), bench.metric.unit))
    bounds = {each.how: most_lost(each.lost.value) for each in own}
    found = losses(bench, lever, bounds)[0] if there else ()
    return OtherTask(
        task=bench.task.name,
        n=len(bench.task),
        present=there,
        distance=bench.distance,
        unit=bench.metric.unit,
        losses=found,
        verdict=verdict_of(found, bounds) if there else "absent",
    )


def verdict_of(found: Sequence[Loss], bounds: Mapping[str, float]) -> Spared:
    """What follows from what each way of removal costs, and from what it may cost at most.

    A change for the better counts as one, too: a task that is spared moves neither way. Without an
    interval nothing follows, and without random ones no harm counts as a need.

    >>> from residuum.findings.record.evidence import Estimate
    >>> small = Loss("mean", Estimate(0.1, 0.0, 0.2, 8), ())
    >>> large = Loss("mean", Estimate(0.5, 0.4, 0.6, 8), (0.1, 0.2))
    >>> verdict_of([small], {"mean": 0.25}), verdict_of([large], {"mean": 0.25})
    ('spared', 'needed')
    """
    judged = [(each.lost, each, bounds[each.how]) for each in found if each.how in bounds]
    harms = [each for lost, each, bound in judged if lost.low > bound]
    if any(each.lost.value > each.worst_random for each in harms):
        return "needed"
    if harms:
        return "as random" if all(each.random for each in harms) else "unclear"
    if judged and all(lost.low >= -bound and lost.high <= bound for lost, _, bound in judged):
        return "spared"
    return "unclear"
