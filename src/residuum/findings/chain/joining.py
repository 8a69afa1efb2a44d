"""Two halves of a task as one again, some of its rows, and pairs that are new."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from residuum.runs import Task


def joined(first: Task, second: Task) -> Task:
    """The pairs of both, padded on the right.

    >>> import residuum as rz
    >>> task = rz.task("ioi", rz.load("microworld", check=False), n=4)
    >>> joined(task[0::2], task[1::2]).task_hash == task[[0, 2, 1, 3]].task_hash
    True
    """
    return replace(
        first,
        clean=_both(first.clean, second.clean, 0),
        corrupt=_both(first.corrupt, second.corrupt, 0),
        answers=_both(first.answers, second.answers, -1),
        wrong=_both(first.wrong, second.wrong, -1),
        lengths=torch.cat([first.lengths, second.lengths]),
        positions={
            name: torch.cat([at, second.positions[name]])
            for name, at in first.positions.items()
            if name in second.positions
        },
        templates=(*first.templates, *second.templates),
    )


def _both(first: Tensor, second: Tensor, fill: int) -> Tensor:
    width = max(first.shape[1], second.shape[1])
    return torch.cat(
        [pad(each, (0, width - each.shape[1]), value=fill) for each in (first, second)]
    )


def unseen(task: Task, seen: Task) -> Task | None:
    """The pairs whose clean prompt is none of the seen ones; None where there is none."""
    known = {_prompt(seen, row) for row in range(len(seen))}
    rows = [row for row in range(len(task)) if _prompt(task, row) not in known]
    return task.subset(rows) if rows else None


def _prompt(task: Task, row: int) -> tuple[int, ...]:
    return tuple(task.clean[row, : int(task.lengths[row])].tolist())
