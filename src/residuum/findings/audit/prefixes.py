"""Prefixes to try: every word of a vocabulary, alone and with each punctuation mark behind it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from residuum.core import TaskError
from residuum.findings.audit.options import TwinsOptions
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


def prefixes_of(model: Model, options: TwinsOptions, seed: int) -> Prefixes:
    """Single words of the model's own vocabulary, each alone and before each punctuation mark.

    Which tokens are words and which are punctuation is read off the vocabulary: letters or digits
    throughout; no letter or digit, a single character.

    Args:
        model: whose vocabulary is tried.
        options: how many words, or which words and marks instead.
        seed: of the draw.

    Raises:
        TaskError: no tokenizer, or one without words.
        TokenError: a word or mark of the options that is no single token.
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
    words = [model.to_single_token(word) for word in options.words] or words
    marks = [model.to_single_token(mark) for mark in options.marks] or marks
    if not words:
        raise TaskError("the vocabulary has no words", mend="give a model with a word vocabulary")
    drawn = sorted(Random(seed).sample(words, min(options.most_words, len(words))))
    found = [(word,) for word in drawn] + [(word, mark) for word in drawn for mark in marks]
    texts = tuple(model.to_str_tokens([mark])[0].strip() for mark in marks)
    return Prefixes(tuple(found), len(words), len(drawn), texts)


def prefix_text(model: Model, ids: tuple[int, ...]) -> str:
    """A prefix as text."""
    return model.to_string(list(ids)).strip() if ids else ""
