"""Stage: is it this behaviour, or does removing the mechanism break much else?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from residuum.core import SILENT, Progress, TaskError, TokenError, track
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.plain_text import text_loss, texts_of
from residuum.findings.chain.replacement import ablated, lost, random_parts, share_of
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.part_evidence import MEAN, RESAMPLE
from residuum.findings.record.rules import behaviour_rules, present
from residuum.findings.record.specificity_evidence import (
    Loss,
    OtherTask,
    Spared,
    SpecificityEvidence,
)
from residuum.findings.record.specificity_rules import SPARED
from residuum.patching import MeanAblation, ResampleAblation
from residuum.patching.ablations import Ablation
from residuum.runs import Task, make_task, task_names

SETS = 5
"""Random sets removed for comparison on each task."""
SHUFFLES = 200
_FEWEST = 8


def specificity(
    bench: Bench,
    parts: Sequence[str],
    spend: Budget,
    progress: Progress = SILENT,
    others: Sequence[Task] | None = None,
) -> SpecificityEvidence:
    """Remove the parts on every other task of the model, and on plain text.

    Args:
        bench: the measuring half of the behaviour's own pairs.
        parts: what the claim names: heads and MLPs.
        spend: what may be spent; as many pairs of each task as of the behaviour. Some 8 forward
            passes for each task, 13 for one that is harmed, and 8 for plain text.
        progress: told of every task.
        others: tasks to take instead of the model's named ones.
    """
    tasks, left_out = (list(others), ()) if others is not None else other_tasks(bench, spend)
    own = losses(bench, parts)
    found = [
        _other(Bench(bench.model, task, bench.seed), parts, own)
        for task in track(tasks, progress, "other tasks", len(tasks))
    ]
    texts = texts_of(bench, tasks, 2 * spend.n)
    if texts is None:
        left_out = (*left_out, "plain text: the model has no tokenizer and no other task")
    return SpecificityEvidence(
        own=own,
        others=tuple(found),
        text=text_loss(bench, parts, texts, SETS, progress) if texts else None,
        left_out=left_out,
    )


def other_tasks(bench: Bench, spend: Budget) -> tuple[list[Task], tuple[str, ...]]:
    """Every other named task that the model's tokenizer holds, and why others are missing."""
    model = bench.model
    if model.tokenizer is None:
        return [], ("other tasks: the model has no tokenizer, so none can be asked of it",)
    found, left_out = [], []
    for name in task_names(model):
        if name == bench.task.name:
            continue
        try:
            task = make_task(name, model, n=spend.n, seed=bench.seed, skip_misfits=True)
        except (TaskError, TokenError) as error:
            left_out.append(f"{name}: {error.what}")
            continue
        if len(task) < _FEWEST:
            left_out.append(f"{name}: {len(task)} pairs fit the model's tokens")
        else:
            found.append(task)
    return found, tuple(left_out)


def losses(
    bench: Bench, parts: Sequence[str], bounds: Mapping[str, float] | None = None
) -> tuple[Loss, ...]:
    """What removing the parts costs, by each way that the pairs allow.

    Args:
        bench: model and pairs.
        parts: what is removed.
        bounds: way -> what may be lost; where it is more, random sets are removed as well.
    """
    ways: dict[str, Ablation] = {
        MEAN: MeanAblation(), RESAMPLE: ResampleAblation(seed=bench.seed)
    }  # fmt: skip
    found = []
    for name, how in ways.items():
        try:
            cost = _cost(bench, parts, how)
        except TaskError:  # no other prompt as long as one of these
            continue
        harmed = bounds is not None and ends(cost)[0] > bounds.get(name, 0.0)
        drawn = random_parts(bench.model, parts, SETS, bench.seed) if harmed else ()
        found.append(Loss(name, cost, tuple(_cost(bench, each, how).value for each in drawn)))
    return tuple(found)


def _cost(bench: Bench, parts: Sequence[str], how: Ablation) -> Estimate:
    return share_of(bench, lost(bench, ablated(bench, parts, how)))


def _other(bench: Bench, parts: Sequence[str], own: Sequence[Loss]) -> OtherTask:
    """One other task."""
    there = present(behaviour_rules(behaviour(bench, SHUFFLES), bench.metric.unit))
    bounds = {each.how: SPARED * max(each.lost.value, 0.0) for each in own}
    found = losses(bench, parts, bounds) if there else ()
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

    A change for the better counts as one, too: a task that is spared moves neither way.

    >>> small = Loss("mean", Estimate(0.1, 0.0, 0.2, 8), ())
    >>> large = Loss("mean", Estimate(0.5, 0.4, 0.6, 8), (0.1, 0.2))
    >>> verdict_of([small], {"mean": 0.25}), verdict_of([large], {"mean": 0.25})
    ('spared', 'needed')
    """
    judged = [(each, *ends(each.lost), bounds[each.how]) for each in found if each.how in bounds]
    harms = [each for each, low, _, bound in judged if low > bound]
    if harms:
        beyond = [each for each in harms if each.lost.value > max(each.random, default=-math.inf)]
        return "needed" if beyond else "as random"
    if judged and all(low >= -bound and high <= bound for _, low, high, bound in judged):
        return "spared"
    return "unclear"


def ends(estimate: Estimate) -> tuple[float, float]:
    """The interval's ends; the value twice where there is no interval."""
    if estimate.low != estimate.low:
        return estimate.value, estimate.value
    return estimate.low, estimate.high
