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
    """The pairs neither of whose prompts is a prompt of the seen ones; None where there is none."""
    rows = unshared(task, seen)
    return task.subset(rows) if rows else None


def unshared(task: Task, other: Task) -> list[int]:
    """Rows of a task neither of whose prompts is a prompt of another task, on either side."""
    seen = {each for pair in prompts(other) for each in pair}
    return [row for row, pair in enumerate(prompts(task)) if not seen & set(pair)]


def prompts(task: Task) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each pair's clean and corrupt prompt as token ids, without padding."""
    sides = zip(task.clean.tolist(), task.corrupt.tolist(), task.lengths.tolist(), strict=True)
    return [(tuple(clean[:n]), tuple(corrupt[:n])) for clean, corrupt, n in sides]
