"""What the verbs of this room are asked about: prompts and tokens, refused in one voice."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from residuum.core import OptionError, TokenError
from residuum.models import Batch
from residuum.models.tokens import Tokens
from residuum.runs import Model, shown


def prompts_of(model: Model, given: Any) -> Batch:
    """Texts, rows of ids or an integer tensor ``[batch pos]`` as a batch.

    Raises:
        TokenError: none at all, an empty one, what is neither text nor ids, an id out of range, a
            prompt beyond the context.
    """
    return _batch(model.adapted.tokens, given)


def one_prompt(model: Model, given: Any, reader: str) -> Batch:
    """A single prompt.

    Raises:
        TokenError: as in :func:`prompts_of`.
        OptionError: several prompts.
    """
    batch = prompts_of(model, given)
    if len(batch.ids) != 1:
        raise OptionError(f"{reader} reads one prompt at a time", mend="give a single prompt")
    return batch


def rows_of(model: Model, given: Any) -> list[tuple[int, ...]]:
    """Texts or ids as rows of any length, the model's context or longer.

    Raises:
        TokenError: as in :func:`prompts_of`.
    """
    tokens = Tokens(model.tokenizer, model.d_vocab, None)
    plain = isinstance(given, (str, bytes, list, tuple, dict, set, torch.Tensor, np.ndarray))
    if not plain and isinstance(given, Iterable):
        given = list(given)
    if isinstance(given, (list, tuple)) and given and not _is_row(given):
        return [tuple(_batch(tokens, [each]).ids[0].tolist()) for each in given]
    return [tuple(row) for row in _batch(tokens, given).ids.tolist()]


def _is_row(given: Any) -> bool:
    return isinstance(given[0], (int, float, np.number))


def _batch(tokens: Tokens, given: Any) -> Batch:
    if isinstance(given, (list, tuple)) and not given:
        raise TokenError("the list of prompts is empty", mend="give at least one prompt")
    if isinstance(given, bytes):
        given = [given]  # no row of ids, though a sequence of numbers
    if isinstance(given, np.ndarray) and given.dtype.kind in "iuf":
        given = torch.as_tensor(given.astype(np.int64) if given.dtype.kind in "iu" else given)
    return tokens.batch(given)


def token_id(model: Model, word: Any, problem: str = "is out of range") -> int:
    """The id of a word that is one token, or an id in range.

    Raises:
        TokenError: it is neither.
    """
    if isinstance(word, str):
        return model.to_single_token(word)
    try:
        if isinstance(word, (bool, np.bool_)):
            raise TypeError
        number = operator.index(word)
    except TypeError:
        number = -1
    if not 0 <= number < model.d_vocab:
        raise TokenError(
            f"token id {shown(word)} {problem}",
            mend=f"ids go from 0 to {model.d_vocab - 1}",
        )
    return number
