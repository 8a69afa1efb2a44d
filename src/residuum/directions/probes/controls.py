"""Labels without meaning: a random function of a token, and a random shuffle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.directions.examples import Examples

_SEEN = 0.9
_FEWEST_TYPES = 4
_DRAWS = 20


@dataclass(frozen=True, eq=False)
class ControlTask:
    """A label for each example that is a random function of one of its tokens.

    Attributes:
        labels: ``[n]``; None where no token can carry it: one that varies, and whose values in the
            test examples occur in training too.
        token: which token, in words.
    """

    labels: Tensor | None
    token: str


def control_task(examples: Examples, train: Tensor, test: Tensor, seed: int) -> ControlTask:
    """Draw a control task: each token type gets a class at random, in the shares of the classes;
    every class occurs in training.

    The token that is read carries it; where that hardly varies, the token (counted from the end)
    with the most types does.

    Source: Hewitt and Liang 2019, "Designing and Interpreting Probes with Control Tasks", section
    2. Deviation: for prompts that are all read at the same word, another token carries the label.
    """
    own = examples.ids[torch.arange(len(examples)), examples.positions]
    name, types = "the token read", own
    if not _fits(own, train, test):
        name, types = _best_token(examples, train, test)
    if types is None:
        return ControlTask(None, name)
    rng = np.random.default_rng([seed, 1])
    classes = len(examples.classes)
    shares = np.bincount(examples.labels.numpy(), minlength=classes) / len(examples)
    kinds, at = torch.unique(types, return_inverse=True)
    for _ in range(_DRAWS if len(kinds) >= classes else 0):
        labels = torch.from_numpy(_balanced(len(kinds), shares, rng))[at]
        if len(labels[train].unique()) == classes and len(labels[test].unique()) > 1:
            return ControlTask(labels, name)
    return ControlTask(None, "no token varies enough")


def shuffled(labels: Tensor, sides: tuple[Tensor, ...], seed: int) -> Tensor:
    """The labels in random order within each side."""
    rng = np.random.default_rng([seed, 2])
    found = labels.clone()
    for rows in sides:
        found[rows] = labels[rows][torch.from_numpy(rng.permutation(len(rows)))]
    return found


def _balanced(kinds: int, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Classes for token types, each in its share of types but at least one, in random order."""
    counts = np.maximum(1, np.round(shares * kinds)).astype(int)
    counts[counts.argmax()] += kinds - counts.sum()
    return rng.permutation(np.repeat(np.arange(len(shares)), np.maximum(counts, 0))[:kinds])


def _fits(types: Tensor, train: Tensor, test: Tensor) -> bool:
    known = types[train].unique()
    seen = float(torch.isin(types[test], known).double().mean())
    return len(types[test].unique()) >= _FEWEST_TYPES and seen >= _SEEN


def _best_token(examples: Examples, train: Tensor, test: Tensor) -> tuple[str, Tensor | None]:
    shortest = int(examples.lengths.min())
    rows = torch.arange(len(examples))
    found: list[tuple[int, int, Tensor]] = []
    for back in range(1, shortest + 1):
        types = examples.ids[rows, examples.lengths - back]
        if _fits(types, train, test):
            found.append((len(types.unique()), -back, types))
    if not found:
        return "no token varies enough", None
    _, position, types = max(found, key=lambda each: each[:2])
    return f"the token at {position}", types
