"""Pairs of the same source that had no part in anything before, and what a mechanism does there."""

from __future__ import annotations

from residuum.core import AddressError, TaskError
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.joining import joined, unseen
from residuum.findings.chain.lever import Lever
from residuum.findings.chain.replacement import share_of
from residuum.findings.record.robustness_evidence import NewPairs
from residuum.runs import Model, Task, make_task, task_names

_NEW_SEEDS = 2


def new_pairs(
    whole: Bench, lever: Lever, n: int, fewest: int
) -> tuple[tuple[NewPairs, ...], tuple[str, ...]]:
    """What the mechanism does on pairs of other seeds, those that were used before left out.

    Args:
        whole: all pairs that were used.
        lever: the mechanism.
        n: pairs of each seed.
        fewest: pairs below which nothing is measured.

    Returns:
        The measurements, and what was not done, and why.
    """
    if not made_here(whole.model, whole.task):
        return (), ("new pairs: the task's source is not known to the package",)
    found, seen = [], whole.task
    for seed in range(whole.seed + 1, whole.seed + 1 + _NEW_SEEDS):
        task = unseen(_drawn(whole.model, whole.task, n, seed), seen)
        try:
            allowed = None if task is None else lever.allowed(task)
            if task is None or allowed is None or len(allowed) < fewest:
                few = f"new pairs: fewer than {fewest} of seed {seed} that were not used before"
                return tuple(found), (few,)
            pairs = Bench(whole.model, allowed, whole.seed)
            recovered, loss = (share_of(pairs, each) for each in lever.moves(pairs))
        except (TaskError, AddressError) as error:
            return tuple(found), (f"new pairs: {error.what}",)
        found.append(NewPairs(seed, len(pairs.task), recovered, loss))
        seen = joined(seen, task)
    return tuple(found), ()


def made_here(model: Model, task: Task) -> bool:
    """Whether the package makes pairs of this task."""
    made = task.source.startswith((f"microworld:{task.name} ", f"english:{task.name} "))
    return made and task.name in task_names(model)


def _drawn(model: Model, task: Task, n: int, seed: int) -> Task:
    split = "train" if "split=train" in task.source else "test"
    return make_task(
        task.name, model, n=n, seed=seed, split=split, metric=task.metric, skip_misfits=True
    )
