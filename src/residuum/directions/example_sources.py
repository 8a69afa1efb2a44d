"""What examples are made of: texts, or the two sides of a task, as the fields of ``Examples``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from residuum.core import OptionError, TaskError
from residuum.directions.example_rows import class_labels, padded, token_numbers, token_rows
from residuum.runs import Model, Task

CLASSES_OF_A_TASK = ("corrupt", "clean")
"""Names of the labels 0 and 1 of examples made from a task."""


def text_fields(
    model: Model,
    texts: Sequence[Any],
    labels: Sequence[Any],
    groups: Sequence[Any] | None,
    position: int | Sequence[int],
) -> dict[str, Any]:
    """Texts (or rows of ids) with a label each; see :meth:`Examples.from_texts`."""
    columns = {"texts": texts, "labels": labels, "groups": groups}
    if any(
        isinstance(each, str) or not hasattr(each, "__len__")
        for each in columns.values()
        if each is not None
    ):
        raise OptionError(
            "examples need one text and one label each, in lists",
            mend='give lists: texts=["...", "..."], labels=[0, 1]',
        )
    sizes = {name: len(each) for name, each in columns.items() if each is not None}
    if len(set(sizes.values())) != 1:
        raise OptionError(
            "examples need one text and one label each: "
            + ", ".join(f"{n} {name}" for name, n in sizes.items()),
            mend="give lists of the same length",
        )
    ids, mask = padded(token_rows(model, texts), model.adapted.tokens.pad_id)
    numbers, classes = class_labels(labels)
    return {
        "ids": ids,
        "mask": mask,
        "labels": numbers,
        "classes": classes,
        "groups": () if groups is None else tuple(map(str, groups)),
        "positions": token_numbers(mask, position),
        "tokenizer_hash": model.adapted.tokens.hash(),
    }


def task_fields(task: Task, position: int | str | None) -> dict[str, Any]:
    """Clean prompts as class 1, corrupt ones as class 0; see :meth:`Examples.from_task`."""
    real = torch.arange(task.clean.shape[1])[None] < task.lengths[:, None]
    at, n = _task_positions(task, real, position), len(task)
    return {
        "ids": torch.cat([task.clean, task.corrupt]),
        "mask": torch.cat([real, real]),
        "labels": torch.arange(2).flip(0).repeat_interleave(n),
        "classes": CLASSES_OF_A_TASK,
        "groups": tuple(task.templates) * 2 if any(task.templates) else (),
        "positions": torch.cat([at, at]),
        "pairs": torch.arange(n).repeat(2),
        "tokenizer_hash": task.tokenizer_hash,
        "source": f"task {task.name} {task.task_hash[:12]}",
    }


def _task_positions(task: Task, real: Tensor, position: int | str | None) -> Tensor:
    if position is None:
        return task.last
    if isinstance(position, str):
        if position not in task.positions:
            raise TaskError(
                f"the task has no position {position!r}",
                mend=f"use a number or one of: {', '.join(task.positions) or '(it names none)'}",
                where=task.name,
            )
        return task.positions[position]
    return token_numbers(real, position)
