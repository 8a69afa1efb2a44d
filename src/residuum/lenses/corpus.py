"""Text for a lens as rows of token ids, cut to a context."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from residuum.core import OptionError, TokenError
from residuum.lenses.prompts import rows_of
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
        given: texts, rows of ids, or an integer tensor ``[row pos]``; one text or one row counts as
            a corpus of one.
        context: tokens in a row: everything is joined, in order, and cut; what is left at the end
            is dropped. None keeps each text or row by itself, cut where it exceeds the model's
            context.

    Raises:
        TokenError: nothing given; a corpus shorter than the context; a context that the model does
            not have; what is neither text nor ids.
    """
    rows = rows_of(model, given)
    if context is not None:
        return Corpus(_cut_stream([token for row in rows for token in row], context, model.n_ctx))
    limit = model.n_ctx or max(map(len, rows))
    return Corpus(tuple(row[i : i + limit] for row in rows for i in range(0, len(row), limit)))


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
