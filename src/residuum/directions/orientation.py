"""Which side of a pair is which: a task whose clean prompts all have the same class."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from residuum.core import TaskError
from residuum.runs import Task


def oriented(task: Task) -> Task:
    """The same pairs, exchanged where needed so that all clean prompts share one set of answers.

    In tasks such as agreement a clean prompt is singular in one pair and plural in another; "clean"
    then names no concept. Where all answers fall into two sets that never meet (is, was | are,
    were), pairs are exchanged, answers with them, until clean means the set with the lowest id.

    Raises:
        TaskError: answers do not fall into two sets (then clean means what the task says).

    >>> task = Task.from_pairs(clean=[[1], [2]], corrupt=[[2], [1]], answers=[5, 6], wrong=[6, 5])
    >>> oriented(task).clean.tolist(), oriented(task).answers.tolist()
    ([[1], [1]], [[5], [5]])
    """
    first = _one_side([*map(_real, task.answers), *map(_real, task.wrong)])
    clean = [_real(row) <= first for row in task.answers]
    corrupt = [_real(row) <= first for row in task.wrong]
    one_each = all(a != b for a, b in zip(clean, corrupt, strict=True))
    if not one_each or any(_real(row) & first for row in _outside(task, clean, corrupt)):
        raise TaskError(
            "the answers do not fall into two sets, one for each side of every pair",
            mend="use the task as it is; its clean and corrupt sides are the classes",
            where=task.name,
        )
    return exchanged(task, torch.tensor(clean))


def exchanged(task: Task, stays: Tensor) -> Task:
    """The pairs with clean and corrupt, and their answers, exchanged where not ``stays [pair]``."""
    keep = stays[:, None]
    width = max(task.answers.shape[1], task.wrong.shape[1])
    right, wrong = (_widened(ids, width) for ids in (task.answers, task.wrong))
    return replace(
        task,
        clean=torch.where(keep, task.clean, task.corrupt),
        corrupt=torch.where(keep, task.corrupt, task.clean),
        answers=torch.where(keep, right, wrong),
        wrong=torch.where(keep, wrong, right),
    )


def _real(row: Tensor) -> set[int]:
    return {int(each) for each in row if int(each) >= 0}


def _one_side(sets: list[set[int]]) -> set[int]:
    """The answers that are linked, through sets they share, to the lowest of all."""
    found = {min(min(each) for each in sets if each)}
    while True:
        more = set().union(*(each for each in sets if each & found))
        if more <= found:
            return found
        found |= more


def _outside(task: Task, clean: list[bool], corrupt: list[bool]) -> list[Tensor]:
    sides = [*zip(task.answers, clean, strict=True), *zip(task.wrong, corrupt, strict=True)]
    return [row for row, inside in sides if not inside]


def _widened(ids: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(ids, (0, width - ids.shape[1]), value=-1)
