"""Prompts of a model's tasks, side by side, and which of two answers a model prefers after each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from residuum.core import TaskError
from residuum.findings.audit.audit_tasks import audit_task
from residuum.models import Batch
from residuum.runs import Model, Task

ROWS_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt with what is right after it and what is wrong.

    Attributes:
        ids: its tokens, BOS included.
        right, wrong: token ids; ``wrong`` are the answers of its partner.
        template: sentence pattern.
    """

    ids: Tensor
    right: tuple[int, ...]
    wrong: tuple[int, ...]
    template: str


@dataclass(frozen=True, eq=False)
class Cell:
    """One side of one task.

    Attributes:
        task: its name.
        side: ``clean`` or ``corrupt``.
        choose, held: prompts to search with, and prompts that no search has seen.
    """

    task: str
    side: str
    choose: tuple[Prompt, ...]
    held: tuple[Prompt, ...]

    @property
    def name(self) -> str:
        """As people say it."""
        return f"{self.task}, {self.side} prompts"


def cells_of(
    model: Model, names: Sequence[str], each: int, seed: int
) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Both sides of the tasks, with ``each`` prompts to choose on and as many held out.

    No prompt to choose on is a held-out prompt of either side. Sides without wrong answers are left
    out.

    Returns:
        The sides, and the tasks that could not be asked with the reason.

    Raises:
        TaskError: no task could be asked.
    """
    found, left = [], []
    for name in names:
        try:
            task = audit_task(name, model, 4 * each, seed)
        except TaskError as error:
            left.append(f"{name}: {error.what}")
            continue
        lists: dict[tuple[int, ...], int] = {}
        for side in ("clean", "corrupt"):
            choose, held = _dealt(_distinct(task, side), lists)
            half = min(each, len(choose), len(held))
            if half:
                found.append(Cell(name, side, choose[:half], held[:half]))
    if not found:
        raise TaskError(
            f"none of the tasks {', '.join(names)} can be asked: {'; '.join(left) or 'no answers'}",
            mend="name tasks whose words the model has, with right and wrong answers",
        )
    return tuple(found), tuple(left)


def _dealt(
    prompts: Sequence[Prompt], lists: dict[tuple[int, ...], int]
) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    """Two lists of prompts, as even as can be; a prompt that was dealt before stays on its list.

    Args:
        prompts: different ones.
        lists: the list of each prompt that was dealt; more are put in.
    """
    found: tuple[list[Prompt], list[Prompt]] = ([], [])
    for prompt in prompts:
        ids = tuple(prompt.ids.tolist())
        which = lists.setdefault(ids, int(len(found[1]) < len(found[0])))
        found[which].append(prompt)
    return tuple(found[0]), tuple(found[1])


def _distinct(task: Task, side: str) -> tuple[Prompt, ...]:
    """The different prompts of one side that have right and wrong answers, templates mixed."""
    ids, right, wrong = (
        (task.clean, task.answers, task.wrong)
        if side == "clean"
        else (task.corrupt, task.wrong, task.answers)
    )
    found: dict[tuple[int, ...], Prompt] = {}
    for row in range(len(task)):
        words = ids[row, : int(task.lengths[row])]
        good, bad = (tuple(int(i) for i in each[row] if i >= 0) for each in (right, wrong))
        if good and bad:
            template = task.templates[row] if task.templates else ""
            found.setdefault(tuple(words.tolist()), Prompt(words, good, bad, template))
    return tuple(found.values())


def sample(prompts: Sequence[Prompt], n: int, seed: int) -> tuple[Prompt, ...]:
    """Some of them, drawn without repetition."""
    return tuple(Random(seed).sample(list(prompts), min(n, len(prompts))))


def prefixed(model: Model, ids: Tensor, prefix: Sequence[int]) -> Tensor:
    """The prompt with tokens in front; a beginning-of-sentence token stays first."""
    if not prefix:
        return ids
    starts = int(len(ids) > 0 and int(ids[0]) == model.bos_token_id)
    more = torch.tensor(list(prefix), dtype=ids.dtype)
    return torch.cat([ids[:starts], more, ids[starts:]])


@dataclass(frozen=True, eq=False)
class Said:
    """What a model says after each of some prompts.

    Attributes:
        margins: the best right answer's logit minus the best wrong answer's, ``[row]``.
        moved: how far the next word's distribution is from a reference (half the sum of absolute
            differences of probability, 0 to 1), ``[row]``; zeros without a reference.
    """

    margins: Tensor
    moved: Tensor


def said_after(
    model: Model,
    rows: Sequence[Tensor],
    prompts: Sequence[Prompt],
    reference: Mapping[Prompt, Tensor] | None = None,
) -> Said:
    """What a model says; rows of one length are run together, without padding.

    Args:
        model: whom to ask.
        rows: token ids of each prompt as it is run.
        prompts: whose answers count, one for each row.
        reference: the distribution ``[d_vocab]`` to compare with, by prompt.
    """
    lengths: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        lengths[len(row)].append(index)
    found = Said(torch.empty(len(rows)), torch.zeros(len(rows)))
    for same in lengths.values():
        for start in range(0, len(same), ROWS_AT_ONCE):
            part = same[start : start + ROWS_AT_ONCE]
            asked = [prompts[index] for index in part]
            last = _last(model, [rows[index] for index in part])
            found.margins[part] = margins(last, asked)
            if reference is not None:
                before = torch.stack([reference[each] for each in asked])
                found.moved[part] = (last.softmax(-1) - before).abs().sum(-1) / 2
    return found


def distributions(model: Model, prompts: Sequence[Prompt]) -> dict[Prompt, Tensor]:
    """The next word's distribution after each prompt as it is."""
    return {each: _last(model, [each.ids])[0].softmax(-1) for each in prompts}


def _last(model: Model, rows: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        return model.run(Batch(torch.stack(list(rows)))).last.float().cpu()


def margins_after(model: Model, rows: Sequence[Tensor], prompts: Sequence[Prompt]) -> Tensor:
    """The margins alone, ``[row]``; see :func:`said_after`."""
    return said_after(model, rows, prompts).margins


def margins(last: Tensor, prompts: Sequence[Prompt]) -> Tensor:
    """The margin read off logits ``[row d_vocab]``, ``[row]``."""
    right, wrong = (
        last.gather(1, _padded([getattr(each, side) for each in prompts])).amax(dim=1)
        for side in ("right", "wrong")
    )
    return right - wrong


def _padded(rows: Sequence[tuple[int, ...]]) -> Tensor:
    """Ids as one table, the first of each row repeated where it is shorter."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *(row[0],) * (longest - len(row))] for row in rows])


def batch_of(rows: Sequence[Tensor]) -> Batch:
    """Rows as one batch, padded on the right."""
    longest = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)], mask[index, : len(row)] = row, True
    return Batch(ids, None if bool(mask.all()) else mask)
