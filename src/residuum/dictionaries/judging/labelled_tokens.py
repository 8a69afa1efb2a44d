"""Tokens of known classes (names, places, ...) with what the model holds at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError, TokenError
from residuum.dictionaries.judging.judged_rows import JudgedRows
from residuum.runs import Model
from residuum.runs.arguments import shown

OTHER = -1
_LEAST = 20
"""Tokens of a class in each half, at least."""


@dataclass(frozen=True, eq=False)
class LabelledTokens:
    """Tokens of some classes, and as many of no class.

    Attributes:
        values: ``[token d]``, of several sites ``[token read d]``, float32.
        words: ``[token]`` token ids.
        documents: ``[token]`` whose they are, counted from 0.
        class_of_word: token id -> number of its class.
        names: of the classes.
        train: ``[token]`` whether it is of the half to fit on; documents are split, not tokens.
    """

    values: Tensor
    words: np.ndarray
    documents: np.ndarray
    class_of_word: dict[int, int]
    names: tuple[str, ...]
    train: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """``[token]`` number of the class; -1 for none."""
        return np.array([self.class_of_word.get(int(word), OTHER) for word in self.words])

    def with_classes_dealt_anew(self, seed: int) -> LabelledTokens:
        """The same with the words dealt out among classes of the same sizes: a control task.

        Source: Hewitt and Liang 2019, "Designing and Interpreting Probes with Control Tasks".
        """
        words = sorted(self.class_of_word)
        dealt = np.random.default_rng(seed).permutation(
            [self.class_of_word[each] for each in words]
        )
        return replace(self, class_of_word=dict(zip(words, dealt.tolist(), strict=True)))


def labelled_tokens(
    model: Model, rows: JudgedRows, reads: Sequence[Any], classes: Mapping[str, Sequence[str]],
    *, per_word: int = 100, seed: int = 0,
) -> LabelledTokens:  # fmt: skip
    """Read the tokens of some classes of words off a text.

    Args:
        model: whose tokens the words are.
        rows: the text.
        reads: sites.
        classes: name -> words, each one token of the model.
        per_word: tokens of each word, at most; of no class, as many as of all classes.
        seed: of the draws and of the split of the documents.

    Raises:
        OptionError: no classes, or a word of two classes.
        TokenError: a word that is not one token; a class with too few tokens in the text.
    """
    class_of_word = _class_of_word(model, classes)
    rng = np.random.default_rng(seed)
    order, taken = rng.permutation(len(rows.table)), dict.fromkeys(class_of_word, 0)
    values, words, documents, n_other = [], [], [], 0
    for some in np.array_split(order, max(1, len(order) // 64)):
        lengths = rows.table.lengths(some)
        for part in rows.parts(some[np.argsort(lengths, kind="stable")]):
            read = rows.read(part)
            ids = read.tokens.ids[read.keep].numpy()
            chosen = []
            for place in rng.permutation(len(ids)):
                word = int(ids[place])
                if word in taken:
                    taken[word] += 1
                    if taken[word] <= per_word:
                        chosen.append(place)
                elif n_other < sum(min(each, per_word) for each in taken.values()):
                    n_other += 1
                    chosen.append(place)
            values.append(read.values(reads)[read.keep][chosen].cpu())
            words.append(ids[chosen])
            documents.append(read.documents[read.keep].numpy()[chosen])
    whose = np.concatenate(documents)
    train = rng.permutation(len(rows.documents)) < len(rows.documents) / 2
    found = LabelledTokens(
        torch.cat(values), np.concatenate(words), whose, class_of_word, tuple(classes), train[whose]
    )
    need_enough(found)
    return found


def need_enough(found: LabelledTokens) -> None:
    """Refuse a class with too few tokens in either half.

    Raises:
        TokenError: there is one.
    """
    labels = found.labels
    for number, name in enumerate(found.names):
        counts = [int((labels[found.train == half] == number).sum()) for half in (True, False)]
        if min(counts) < _LEAST:
            raise TokenError(
                f"the class {name!r} has {counts[0]} and {counts[1]} tokens in the two halves",
                mend=f"give more text, or other words: {_LEAST} tokens in each half are needed",
            )


def _class_of_word(model: Model, classes: Mapping[str, Sequence[str]]) -> dict[int, int]:
    if not isinstance(classes, Mapping) or not classes:
        raise OptionError(
            f"classes={shown(classes)} names no class",
            mend='give words by class, such as {"names": ["Mary", "John"]}',
        )
    found: dict[int, int] = {}
    for number, (name, words) in enumerate(classes.items()):
        if isinstance(words, str) or not list(words):
            raise OptionError(f"the class {name!r} has no words", mend="give a list of words")
        for word in words:
            token = model.to_single_token(word)
            if found.setdefault(token, number) != number:
                raise OptionError(f"{word!r} is in two classes", mend="leave it out of one of them")
    return found
