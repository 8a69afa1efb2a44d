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
MOST_SEEDS = 8
"""Seeds that are tried at most for pairs that were not used before."""


def new_pairs(
    whole: Bench, lever: Lever, n: int, fewest: int
) -> tuple[tuple[NewPairs, ...], tuple[str, ...]]:
    """What the mechanism does on pairs of other seeds, those that were used before left out.

    Seeds after the investigation's own are taken until two of them give enough pairs; one that the
    task itself was made with gives none.

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
    found, seen, first = [], whole.task, whole.seed + 1
    for seed in range(first, first + MOST_SEEDS):
        if len(found) == _NEW_SEEDS:
            return tuple(found), ()
        try:
            task = unseen(_drawn(whole.model, whole.task, n, seed), seen)
            allowed = None if task is None else lever.allowed(task)
            if task is None or allowed is None or len(allowed) < fewest:
                continue
            pairs = Bench(whole.model, allowed, whole.seed)
            recovered, loss = (share_of(pairs, each) for each in lever.moves(pairs))
        except (TaskError, AddressError) as error:
            return tuple(found), (f"new pairs: {error.what}",)
        found.append(NewPairs(seed, len(pairs.task), recovered, loss))
        seen = joined(seen, task)
    if len(found) == _NEW_SEEDS:
        return tuple(found), ()
    those = f"{len(found)} of " if found else "none of "
    last = first + MOST_SEEDS - 1
    few = f"new pairs: {those}the seeds {first} to {last} gave {fewest} or more not used before"
    return tuple(found), (few,)


def made_here(model: Model, task: Task) -> bool:
    """Whether the package makes pairs of this task."""
    made = task.source.startswith((f"microworld:{task.name} ", f"english:{task.name} "))
    return made and task.name in task_names(model)


def _drawn(model: Model, task: Task, n: int, seed: int) -> Task:
    split = "train" if "split=train" in task.source else "test"
    return make_task(
        task.name, model, n=n, seed=seed, split=split, metric=task.metric, skip_misfits=True
    )
