"""Where on a prompt each kind of head looks: masks of tokens, and what uniform attention gives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from residuum.runs import Task

MATCHES = ("previous", "duplicate", "induction", "first")
"""Kinds that are looked at from any token."""

ANSWERS = ("answer", "wrong again")
"""Kinds that are looked at from the last token alone."""


def places_of(task: Task, rows: Sequence[int], named: Sequence[str]) -> dict[str, Tensor]:
    """Kind of place -> bool ``[example q_pos k_pos]``; padding is nowhere.

    A place that two kinds would look at says nothing about which of them a head is, so it counts
    for neither: a token that is the previous one and also followed the last occurrence. An answer
    that stands where induction looks counts for induction alone.

    Args:
        task: its clean prompts.
        rows: numbers of examples.
        named: positions of the task to look for besides, as ``@NAME``.
    """
    index = list(rows)
    ids, lengths = task.clean[index], task.lengths[index]
    tokens = torch.arange(ids.shape[1])
    real = tokens < lengths[:, None]
    seen = (tokens[:, None] >= tokens) & real[:, :, None] & real[:, None, :]
    earlier = seen & (tokens[:, None] > tokens)
    previous = earlier & (tokens[:, None] - 1 == tokens) & (tokens > 0)
    same = ids[:, :, None] == ids[:, None, :]
    followed = torch.zeros_like(same)
    followed[:, :, 1:] = same[:, :, :-1] & (tokens[:, None] > tokens[:-1])
    induction = earlier & followed
    duplicate = earlier & same
    last = (tokens == lengths[:, None] - 1)[:, :, None]
    answer = last & seen & _holds(ids, task.answers[index])[:, None] & ~induction
    wrong = _holds(ids, task.wrong[index])
    again = last & seen & (wrong & (wrong.cumsum(1) > 1))[:, None] & ~induction
    single = {
        "previous": previous, "duplicate": duplicate, "induction": induction,
        "answer": answer, "wrong again": again,
    }  # fmt: skip
    shared = sum(each.int() for each in single.values()) > 1
    found = {name: each & ~shared for name, each in single.items()}
    found["first"] = seen & (tokens == 0)
    for name in named:
        at = torch.as_tensor(task.positions[name])[index]
        found[f"@{name}"] = seen & (tokens == at[:, None])[:, None]
    return found


def _holds(ids: Tensor, wanted: Tensor) -> Tensor:
    """``[example pos]`` where a prompt holds one of its wanted ids; -1 is none."""
    if not wanted.shape[1]:
        return torch.zeros_like(ids, dtype=torch.bool)
    return ((ids[:, :, None] == wanted[:, None, :]) & (wanted >= 0)[:, None]).any(2)
