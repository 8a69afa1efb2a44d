"""Which side of a pair is which: pairs turned so that every clean prompt is of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from residuum.core import OptionError, TaskError
from residuum.runs import Model, Task, need_model, need_task


def oriented(task: Task, model: Model | None = None, towards: Sequence[str] = ()) -> Task:
    """The same pairs, exchanged where needed so that every clean prompt is on the same side.

    In tasks such as ``agreement`` a clean prompt is singular in one pair and plural in another, in
    ``sentiment`` good or bad; "clean" then names no concept, and no one direction leads from
    corrupt to clean. Which pairs to exchange is told by words, or else by the answers: where these
    fall into two sets that never meet (is, was | are, were), clean comes to mean the set with the
    lowest id.

    Args:
        task: pairs whose right and wrong answers are on the two sides of the contrast.
        model: whose tokenizer reads the words; needed with ``towards``.
        towards: words that are answers on the side that is to be clean.

    Raises:
        OptionError: words without a model to read them, or a model without words.
        TaskError: a pair with the words on neither side, or on both; without words, answers that do
            not fall into two sets (then clean means what the task says).

    >>> task = Task.from_pairs(clean=[[1], [2]], corrupt=[[2], [1]], answers=[5, 6], wrong=[6, 5])
    >>> oriented(task).clean.tolist(), oriented(task).answers.tolist()
    ([[1], [1]], [[5], [5]])
    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> task = oriented(rz.task("sentiment", model, n=6), model, ["happy", "glad"])
    >>> (task.answers == model.to_single_token("happy")).any(dim=1).all().item()
    True
    """
    need_task(task, "oriented")
    if isinstance(towards, str) or (model is None) != (not towards):
        raise OptionError(
            "words need the model that reads them, and a list of their own",
            mend='oriented(task, model, ["happy", "glad"]), or oriented(task) alone',
        )
    if model is None:
        return exchanged(task, _by_answers(task))
    need_model(model, "oriented")
    return exchanged(task, _by_words(task, model, towards))


def _by_words(task: Task, model: Model, towards: Sequence[str]) -> Tensor:
    """Pairs whose right answers hold one of the words, ``[pair]``."""
    ids = torch.tensor([model.to_single_token(word) for word in towards])
    right, wrong = (torch.isin(part, ids).any(1) for part in (task.answers, task.wrong))
    if bool((right == wrong).any()):
        raise TaskError(
            f"{int((right == wrong).sum())} pairs have none of {', '.join(towards)} on one side",
            mend="name the words that are answered on the side with the concept, and only those",
            where=task.name,
        )
    return right


def _by_answers(task: Task) -> Tensor:
    """Pairs whose right answers are in the set with the lowest id, ``[pair]``."""
    first = _one_side([*map(_real, task.answers), *map(_real, task.wrong)])
    clean = [_real(row) <= first for row in task.answers]
    corrupt = [_real(row) <= first for row in task.wrong]
    one_each = all(a != b for a, b in zip(clean, corrupt, strict=True))
    if not one_each or any(_real(row) & first for row in _outside(task, clean, corrupt)):
        raise TaskError(
            "the answers do not fall into two sets, one for each side of every pair",
            mend="name the words of one side, oriented(task, model, [...]); or use the task as it "
            "is: its clean and corrupt sides are the classes",
            where=task.name,
        )
    return torch.tensor(clean)


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
