"""Which side of a pair has the concept: pairs turned so that every clean prompt has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from residuum.core import TaskError
from residuum.directions.orientation import exchanged

if TYPE_CHECKING:
    from residuum.runs import Model, Task


def oriented(task: Task, model: Model, towards: Sequence[str]) -> Task:
    """The task with clean and corrupt exchanged where the answer is none of some words.

    A contrast such as ``sentiment`` has good words on the clean side of some pairs and bad ones on
    that of others: no one direction leads from corrupt to clean until the pairs are turned.

    Args:
        task: pairs whose right and wrong answers are on the two sides of the contrast.
        towards: words that are answers on the side with the concept.

    Raises:
        TaskError: a pair that has the words on neither side, or on both.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> task = oriented(rz.task("sentiment", model, n=6), model, ["happy", "glad"])
    >>> (task.answers == model.to_single_token("happy")).any(dim=1).all().item()
    True
    """
    ids = torch.tensor([model.to_single_token(word) for word in towards])
    right, wrong = (torch.isin(part, ids).any(1) for part in (task.answers, task.wrong))
    if bool((right == wrong).any()):
        raise TaskError(
            f"{int((right == wrong).sum())} pairs have none of {', '.join(towards)} on one side",
            mend="name the words that are answered on the side with the concept, and only those",
        )
    return exchanged(task, right)


def by_template(task: Task, held_out: Iterable[str]) -> tuple[Task, Task]:
    """The pairs of all other templates, and those of the templates to hold out.

    Raises:
        TaskError: one part would be empty.
    """
    names = set(held_out)
    out = [at for at, template in enumerate(task.templates) if template in names]
    rest = [at for at in range(len(task)) if at not in set(out)]
    if not out or not rest:
        raise TaskError(
            f"templates {', '.join(sorted(names))} leave one part empty",
            mend=f"hold out some of: {', '.join(sorted(set(task.templates)))}",
        )
    return task.subset(rest), task.subset(out)
