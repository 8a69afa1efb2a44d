"""Prompts for detectors: repeats of random tokens with random periods, and one's own texts.

At a fixed distance between a token and its repeat, a head that looks back by that distance scores
as an induction head by position alone. So each prompt has a period and a start of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError, TokenError
from residuum.heads.exchanged import without_repeats
from residuum.runs import Model, Task, need_model, shown, whole_number

LENGTH = 49
"""Tokens of a random repeat, where the context allows: one first token and 48."""
LEAST_LENGTH = 6
_LEAST_TOKENS = 8
_TINY = 24


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts of one width and the token that follows each.

    Attributes:
        source: ``"repeats"`` or ``"text"``.
        ids: ``[prompt pos]``.
        answers: ``[prompt]`` the token after the last; -1 where it is not known.
        periods: ``[prompt]`` distance from a token to its repeat; empty for texts.
        exchanged: ``[prompt pos]`` the same without their repeats, for nulls.
        notes: what a reader must know.
    """

    source: str
    ids: Tensor
    answers: Tensor
    periods: Tensor
    exchanged: Tensor
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def task(self, n: int) -> Task:
        """The first ``n`` prompts as a task whose metric is the loss on the token that follows."""
        ids = self.ids[:n]
        return Task.from_pairs(
            clean=ids, corrupt=ids, answers=self.answers[:n], name=self.source, metric="loss_nats"
        )


def random_repeats(model: Model, n: int = 50, length: int | None = None, seed: int = 0) -> Prompts:
    """Blocks of random tokens that begin at random places and repeat to the end of the prompt.

    Position 0 holds the beginning-of-sequence token, or a random one where there is none. The
    tokens of a block, and those before it, all differ. Periods are drawn from a sixth to half of
    the prompt (8 to 24 of 48 tokens); in contexts below 24 tokens from half of it up.

    Args:
        length: tokens of a prompt; 49 by default, or the model's context if that is shorter.

    Raises:
        OptionError: no model, a length outside the context, or a context or vocabulary too small.
    """
    need_model(model, "random_repeats")
    whole_number(n, "n", 2)
    whole_number(seed, "seed", 0)
    length = _length(model, length)
    pool = _pool(model)
    low, high = _periods(length, len(pool))
    generator = np.random.default_rng(seed)
    rows, periods = np.empty((n, length + 1), dtype=np.int64), np.empty(n, dtype=np.int64)
    for row in range(n):
        period = int(generator.integers(low, high + 1))
        room = min(length - 1 - 2 * period if length >= _TINY else length - 2 - period, low)
        before = int(generator.integers(0, max(room, 0) + 1))
        before = min(before, len(pool) - period - 1)
        drawn = generator.choice(pool, size=1 + before + period, replace=False)
        block = drawn[1 + before :]
        rows[row, : 1 + before] = drawn[: 1 + before]
        rows[row, 1 + before :] = np.resize(block, length - before)
        periods[row] = period
    if model.bos_token_id is not None:
        rows[:, 0] = model.bos_token_id
    ids = torch.from_numpy(rows)
    kept, answers = ids[:, :-1], ids[:, -1].clone()
    exchanged = without_repeats(kept, pool, seed)
    return Prompts("repeats", kept, answers, torch.from_numpy(periods), exchanged)


def text_prompts(model: Model, prompts: Any, n: int, length: int | None, seed: int = 0) -> Prompts:
    """One's own texts or token ids, cut to one width.

    Raises:
        TokenError: no prompts, prompts that are too short, or what is no text and no ids in range.
    """
    rows = _rows(model, prompts)
    if not rows:
        raise TokenError(
            "the list of prompts is empty",
            mend="give at least two prompts, or leave prompts out: random repeats are always used",
            where="prompts",
        )
    rows = rows[:n]
    limit = min(length or 128, model.n_ctx or 2**31)
    width = min(min(map(len, rows), default=0) - 1, limit)
    if len(rows) < 2 or width < LEAST_LENGTH:
        raise TokenError(
            f"{len(rows)} prompts, the shortest of {min(map(len, rows))} tokens",
            mend=f"give at least two prompts of {LEAST_LENGTH + 1} tokens or more",
            where="prompts",
        )
    longest = max(map(len, rows))
    note = f"texts were cut to {width} tokens (the longest has {longest})"
    ids = torch.tensor([row[: width + 1] for row in rows])
    notes = (note,) if longest > width + 1 else ()
    kept, answers = ids[:, :width], ids[:, width].clone()
    exchanged = without_repeats(kept, _pool(model), seed)
    return Prompts("text", kept, answers, torch.empty(0), exchanged, notes)


def _rows(model: Model, prompts: Any) -> list[list[int]]:
    if isinstance(prompts, Tensor):
        if prompts.ndim != 2 or prompts.is_floating_point() or prompts.dtype == torch.bool:
            raise TokenError(
                f"prompts of shape {list(prompts.shape)} are no token ids [prompt pos]",
                mend="give texts, lists of ids, or an integer tensor of two axes",
            )
        return [_row(model, row, number) for number, row in enumerate(prompts)]
    if isinstance(prompts, (str, bytes, dict)) or not hasattr(prompts, "__iter__"):
        raise TokenError(
            f"prompts={shown(prompts)} is one prompt or none",
            mend="give a list of at least two texts; for one text see model.run(capture='pattern')",
        )
    return [_row(model, each, number) for number, each in enumerate(prompts)]


def _row(model: Model, prompt: Any, number: int) -> list[int]:
    """The ids of one prompt: those of a text, or given ones, checked."""
    if isinstance(prompt, str):
        return model.to_tokens(prompt)[0].tolist()
    try:
        given = prompt.tolist() if hasattr(prompt, "tolist") else list(prompt)
        whole = all(isinstance(each, Integral) and not isinstance(each, bool) for each in given)
    except TypeError:
        whole, given = False, []
    if not whole:
        raise TokenError(
            f"prompt {number} is no text and no row of token ids: {shown(prompt)}",
            mend="give a list of texts or of lists of ids, such as [[1, 2, …], [3, 4, …]]",
            where="prompts",
        )
    wrong = next((each for each in given if not 0 <= each < model.d_vocab), None)
    if wrong is not None:
        raise TokenError(
            f"token id {wrong} of prompt {number} is out of range",
            mend=f"ids go from 0 to {model.d_vocab - 1}; is this the model's own tokenizer?",
            where="prompts",
        )
    return [int(each) for each in given]


def _length(model: Model, length: int | None) -> int:
    limit = model.n_ctx or 2**31
    if limit < LEAST_LENGTH:
        raise OptionError(
            f"a context of {limit} tokens holds no repeat of random tokens",
            mend=f"detect_heads needs a context of {LEAST_LENGTH} tokens or more",
        )
    if length is None:
        return min(LENGTH, limit)
    whole_number(length, "length", LEAST_LENGTH)
    if length > limit:
        raise OptionError(
            f"length={length} is longer than the model's context of {limit}",
            mend=f"give at most {limit}",
        )
    return length


def _pool(model: Model) -> np.ndarray:
    """Tokens to draw from: all but the special ones."""
    special = set(getattr(model.tokenizer, "all_special_ids", ()) or ())
    size = model.d_vocab if model.tokenizer is None else min(model.d_vocab, len(model.tokenizer))
    pool = np.array([each for each in range(size) if each not in special])
    if len(pool) < _LEAST_TOKENS:
        raise OptionError(
            f"a vocabulary of {len(pool)} tokens holds no repeat of different random tokens",
            mend=f"detect_heads needs {_LEAST_TOKENS} tokens or more that are not special",
        )
    return pool


def _periods(length: int, tokens: int) -> tuple[int, int]:
    """Shortest and longest period."""
    if length >= _TINY:
        low, high = length // 6, (length - 1) // 2
    else:
        low, high = max(2, (length - 1) // 2), length - 2
    high = min(high, tokens - 1)
    return min(low, high), high
