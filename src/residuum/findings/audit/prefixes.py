"""Prefixes to try: every word of a vocabulary, alone and with each punctuation mark behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from residuum.core import TaskError
from residuum.runs import Model


@dataclass(frozen=True)
class Prefixes:
    """What is tried in front of prompts.

    Attributes:
        ids: token ids of each prefix.
        words: words of the vocabulary, and how many of them were drawn.
        drawn: of them.
        separators: texts of the punctuation tried behind each word.
    """

    ids: tuple[tuple[int, ...], ...]
    words: int
    drawn: int
    separators: tuple[str, ...]


def prefixes_of(model: Model, most_words: int, seed: int, only: Sequence[str] = ()) -> Prefixes:
    """Single words of the model's own vocabulary, each alone and before each punctuation mark.

    Args:
        most_words: words drawn at most.
        seed: of the draw.
        only: words to try instead of the vocabulary's.

    Which tokens are words and which are punctuation is read off the vocabulary: letters or digits
    throughout; no letter or digit, a single character.

    Raises:
        TaskError: no tokenizer, or one without words.
        TokenError: a word of ``only`` that is no single token.
    """
    if model.tokenizer is None:
        raise TaskError("words cannot be tried without a tokenizer", mend="load one with it")
    special = set(model.tokenizer.all_special_ids)
    words, marks = [], []
    for index in range(min(model.d_vocab, len(model.tokenizer))):
        text = model.to_str_tokens([index])[0].strip()
        if index in special or not text:
            continue
        if text.isalnum():
            words.append(index)
        elif len(text) == 1 and text.isascii():
            marks.append(index)
    if only:
        words = [model.to_single_token(word) for word in only]
    if not words:
        raise TaskError("the vocabulary has no words", mend="give a model with a word vocabulary")
    drawn = sorted(Random(seed).sample(words, min(most_words, len(words))))
    found = [(word,) for word in drawn] + [(word, mark) for word in drawn for mark in marks]
    texts = tuple(model.to_str_tokens([mark])[0].strip() for mark in marks)
    return Prefixes(tuple(found), len(words), len(drawn), texts)


def prefix_text(model: Model, ids: tuple[int, ...]) -> str:
    """A prefix as text."""
    return model.to_string(list(ids)).strip() if ids else ""
