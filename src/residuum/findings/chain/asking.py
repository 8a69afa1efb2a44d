"""What was asked for: the pairs of a task, cut to the budget and checked against the model."""

from __future__ import annotations

from residuum.core import OptionError, TaskError
from residuum.findings.record.budget import Budget
from residuum.runs import Model, Task, make_task, metric_named, need_model
from residuum.runs.task_files import is_task_file, task_in

FEWEST_PAIRS = 8


def pairs_for(model: Model, task: Task | str, budget: Budget, seed: int) -> tuple[Task, int]:
    """The pairs to work on, and how many were given.

    A pair that is there twice counts once: as two it would be measured where it chose, and
    intervals would be too narrow.

    Args:
        model: a loaded model.
        task: a task, the name of one, or a CSV or JSONL file of pairs.
        budget: what may be spent.
        seed: of the pairs, where ``task`` is a name.

    Raises:
        TaskError: pairs that do not belong to the model, or fewer than 8 different ones.
        OptionError: a metric that has no direction.
    """
    need_model(model, "investigate")
    given = task_of(model, task, budget, seed)
    used = _once(given).head(2 * budget.n)
    used.check_fits(model)
    if len(used) < FEWEST_PAIRS:
        given_pairs = f"{len(given)} pairs"
        if len(used) < len(given):
            given_pairs += f", {len(used)} of them different,"
        raise TaskError(
            f"{given_pairs} are too few to choose parts on some and measure on others",
            mend=f"give at least {FEWEST_PAIRS} different pairs; 64 are usual",
            where=used.name,
        )
    if metric_named(used.metric).needs_reference:
        raise OptionError(
            f"{used.metric} has no sign towards clean", mend="use logit_diff, prob or prob_diff"
        )
    return used, len(given)


def task_of(model: Model, task: Task | str, budget: Budget, seed: int) -> Task:
    """The task itself, the one of this name, or the one in this file."""
    if isinstance(task, Task):
        return task
    if is_task_file(task):
        return task_in(task, model)
    return make_task(task, model, n=2 * budget.n, seed=seed)


def _once(task: Task) -> Task:
    columns = (task.clean, task.corrupt, task.answers, task.wrong, task.lengths)
    first: dict[tuple[object, ...], int] = {}
    for row, pair in enumerate(zip(*(each.tolist() for each in columns), strict=True)):
        first.setdefault(tuple(map(str, pair)), row)
    return task if len(first) == len(task) else task.subset(list(first.values()))
