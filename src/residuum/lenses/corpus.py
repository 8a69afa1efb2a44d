"""Text for a lens as rows of token ids, cut to a context."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError, TokenError
from residuum.models import Batch
from residuum.runs import Model, shown


@dataclass(frozen=True)
class Corpus:
    """Rows of token ids.

    Attributes:
        rows: one sequence each.
    """

    rows: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def hash(self) -> str:
        """SHA-256 over the ids."""
        text = ";".join(",".join(map(str, row)) for row in self.rows)
        return hashlib.sha256(text.encode()).hexdigest()

    def batch(self, which: Sequence[int]) -> Batch:
        """Some rows, padded on the right."""
        chosen = [self.rows[i] for i in which]
        longest = max(map(len, chosen))
        ids = torch.zeros(len(chosen), longest, dtype=torch.long)
        mask = torch.zeros(len(chosen), longest, dtype=torch.bool)
        for index, row in enumerate(chosen):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = True
        return Batch(ids, None if bool(mask.all()) else mask)


def corpus_of(model: Model, given: Any, context: int | None) -> Corpus:
    """Texts or ids as rows that fit the model's context.

    Args:
        given: texts, rows of ids, or an integer tensor ``[row pos]`` (or ``[pos]``, one stream).
        context: tokens in a row: everything is joined, in order, and cut; what is left at the end
            is dropped. None keeps each text or row by itself, cut where it exceeds the model's
            context.

    Raises:
        TokenError: nothing given; a corpus shorter than the context; a context that the model does
            not have; what is neither text nor ids.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, (Iterable, Tensor)):
        given = [given]
    rows = _rows(model, given)
    if context is not None:
        return Corpus(_cut_stream([token for row in rows for token in row], context, model.n_ctx))
    limit = model.n_ctx or max(map(len, rows))
    return Corpus(tuple(row[i : i + limit] for row in rows for i in range(0, len(row), limit)))


def _rows(model: Model, given: Any) -> list[tuple[int, ...]]:
    if isinstance(given, (Tensor, np.ndarray)):
        table = torch.as_tensor(given)
        if table.is_floating_point() or table.ndim not in (1, 2) or not table.numel():
            raise TokenError(
                f"a corpus of ids is an integer tensor [row pos], got {list(table.shape)} of "
                f"{table.dtype}",
                mend="give texts, rows of ids, or such a tensor",
            )
        given = table[None].tolist() if table.ndim == 1 else table.tolist()
    found = [_row(model, each) for each in given]
    if not found:
        raise TokenError("the corpus is empty", mend="give at least one text")
    return found


def _row(model: Model, given: Any) -> tuple[int, ...]:
    if isinstance(given, str):
        return tuple(model.adapted.tokens.encode(given))
    values = given.tolist() if isinstance(given, (Tensor, np.ndarray)) else given
    fits = isinstance(values, Sequence) and values and all(type(each) is int for each in values)
    if not fits:
        raise TokenError(f"cannot read {shown(given)} as text", mend="give texts or rows of ids")
    if not all(0 <= each < model.d_vocab for each in values):
        raise TokenError(
            "a token id of the corpus is out of range",
            mend=f"ids go from 0 to {model.d_vocab - 1}; is this the model's own tokenizer?",
        )
    return tuple(values)


def _cut_stream(stream: list[int], context: Any, limit: int | None) -> tuple[tuple[int, ...], ...]:
    if type(context) is not int or context < 1:
        raise OptionError(f"context={shown(context)} is out of range", mend="give 1 or more")
    if limit is not None and context > limit:
        raise TokenError(
            f"a context of {context} tokens, the model has {limit}", mend=f"use at most {limit}"
        )
    if len(stream) < context:
        raise TokenError(
            f"the corpus has {len(stream)} tokens, fewer than the context of {context}",
            mend=f"give more text, or context={len(stream)} or less",
        )
    ends = range(context, len(stream) + 1, context)
    return tuple(tuple(stream[end - context : end]) for end in ends)
