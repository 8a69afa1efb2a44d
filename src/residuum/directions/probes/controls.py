"""Labels without meaning: a random function of a token, and a random shuffle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.directions.examples import Examples

_SEEN = 0.9
_FEWEST_TYPES = 4


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
    """Draw a control task: each token type gets a class at random, in the shares of the classes.

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
    shares = np.bincount(examples.labels.numpy(), minlength=len(examples.classes)) / len(examples)
    kinds, at = torch.unique(types, return_inverse=True)
    drawn = _balanced(len(kinds), shares, rng)
    labels = torch.from_numpy(drawn)[at]
    both = all(len(labels[rows].unique()) > 1 for rows in (train, test))
    return ControlTask(labels if both else None, name if both else "no token varies enough")


def shuffled(labels: Tensor, sides: tuple[Tensor, ...], seed: int) -> Tensor:
    """The labels in random order within each side."""
    rng = np.random.default_rng([seed, 2])
    found = labels.clone()
    for rows in sides:
        found[rows] = labels[rows][torch.from_numpy(rng.permutation(len(rows)))]
    return found


def _balanced(kinds: int, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Classes for token types, each in its share of types, in random order."""
    ends = np.round(np.cumsum(shares) * kinds).astype(int)
    classes = np.searchsorted(ends, np.arange(kinds), side="right")
    return rng.permutation(np.minimum(classes, len(shares) - 1))


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
