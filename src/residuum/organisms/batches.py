"""Sentences packed into windows of tokens; each step's batch depends on seed and step alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import torch
from torch import Tensor

from residuum.organisms.recipe import Recipe

Text = Callable[[str], Iterator[str]]


class Packer:
    """Turns sentences into batches.

    Every window begins with ``<s>`` and a whole sentence, so that a lone prompt looks like the
    start of a window; sentences are separated by ``</s>``, the last one is cut.

    Args:
        text: gives endless sentences for a seed.
        vocabulary: words by token id.
        recipe: decides window lengths, tokens in a step and the seed.
    """

    def __init__(self, text: Text, vocabulary: list[str], recipe: Recipe) -> None:
        self._text = text
        self._ids = {word: index for index, word in enumerate(vocabulary)}
        self._recipe = recipe

    def batch(self, step: int) -> Tensor:
        """Token ids of one step, ``[batch pos]``; the same step gives the same batch."""
        seed = f"{self._recipe.name}/{self._recipe.seed}/{step}"
        width = Random(seed).choice(self._recipe.windows)
        sentences = self._text(seed)
        rows = self._recipe.tokens_per_step // width
        return torch.tensor([self._window(sentences, width) for _ in range(rows)])

    def _window(self, sentences: Iterator[str], width: int) -> list[int]:
        ids = [self._ids["<s>"]]
        while len(ids) < width:
            ids += [self._ids[word] for word in next(sentences).split()]
            ids.append(self._ids["</s>"])
        return ids[:width]
