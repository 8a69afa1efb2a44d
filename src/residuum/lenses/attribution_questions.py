"""What a direct logit attribution is asked: prompts, answers, wrong answers, a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError, TokenError
from residuum.lenses.prompts import prompts_of, token_id
from residuum.models import Batch
from residuum.runs import Model, Task, shown


@dataclass(frozen=True)
class Questions:
    """Prompts, and the tokens whose logits are asked for.

    Attributes:
        answers, wrong: ``[batch n]`` ids padded with -1; ``wrong`` may have no column.
        clusters: template of each prompt, or none.
        task_hash: of the task, or empty.
    """

    batch: Batch
    answers: Tensor
    wrong: Tensor
    clusters: tuple[str, ...] = ()
    task_hash: str = ""


def questions_of(model: Model, given: Any, answers: Any, wrong: Any, side: str) -> Questions:
    """Prompts and answers, from a task or from what stands beside prompts."""
    if isinstance(given, Task):
        if answers is not None or wrong is not None:
            raise OptionError(
                "a task brings its own answers", mend="leave answers= and wrong= out, or give ids"
            )
        if side not in ("clean", "corrupt"):
            raise OptionError(f"side={shown(side)}", mend="use 'clean' or 'corrupt'")
        given.check_fits(model)
        batch = Batch(getattr(given, side), given.attention_mask)
        has_wrong = bool((given.wrong >= 0).any())
        none = given.wrong[:, :0]
        return Questions(
            batch, given.answers, given.wrong if has_wrong else none, given.templates,
            given.task_hash,
        )  # fmt: skip
    if answers is None:
        raise OptionError(
            "prompts need the token whose logit is split",
            mend="give answers=, and wrong= for a difference; or give a task",
        )
    if side != "clean":
        raise OptionError("side= goes with a task", mend="leave it out for prompts")
    batch = prompts_of(model, given)
    rows = len(batch.ids)
    right = _ids(model, answers, rows, "answers")
    none = torch.zeros(rows, 0, dtype=torch.long)
    return Questions(batch, right, none if wrong is None else _ids(model, wrong, rows, "wrong"))


def refuse_same(model: Model, asked: Questions) -> None:
    """Refuse a token that is both an answer and a wrong one: their difference is always zero.

    Raises:
        OptionError: there is one.
    """
    both = (asked.answers[:, :, None] == asked.wrong[:, None]) & (asked.answers >= 0)[:, :, None]
    if not bool(both.any()):
        return
    row, column = both.any(-1).nonzero()[0].tolist()
    name = model.to_str_tokens(asked.answers[row, column : column + 1])[0]
    of = f" of prompt {row}" if len(asked.answers) > 1 else ""
    raise OptionError(
        f"the answer{of} is also its wrong answer: {name!r}, id {int(asked.answers[row, column])}",
        mend="give two different tokens, or leave wrong= out to split the answer's logit alone",
    )


def _ids(model: Model, given: Any, rows: int, name: str) -> Tensor:
    """One id for each prompt, ``[batch 1]``."""
    values = given.tolist() if isinstance(given, (Tensor, np.ndarray)) else given
    if isinstance(values, (str, int, np.integer)):
        values = [values] * rows
    if not isinstance(values, Sequence) or len(values) != rows:
        raise OptionError(
            f"{name} for {rows} prompts: {shown(given)}", mend="give one token, or one a prompt"
        )
    return torch.tensor([[token_id(model, each)] for each in values])


def position_in(pos: Any, batch: Batch) -> int:
    """The position, if every prompt has it.

    Raises:
        TokenError: one has not.
    """
    shortest = int(batch.lengths.min())
    if type(pos) is not int or not -shortest <= pos < shortest:
        raise TokenError(
            f"pos={shown(pos)} is out of range", mend=f"use {-shortest} to {shortest - 1}"
        )
    return pos
