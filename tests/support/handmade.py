"""The hand-set induction model of the package, and a task whose whole path is known in it."""

from __future__ import annotations

import torch

import residuum as rz
from residuum.models.handset import (
    HEADS,
    INDUCTION,
    LETTERS,
    PREVIOUS,
    STRENGTH,
    WIDTH,
    handmade_induction,
)

__all__ = [
    "HEADS",
    "INDUCTION",
    "LETTERS",
    "PREVIOUS",
    "STRENGTH",
    "WIDTH",
    "handmade_induction",
    "induction_task",
]


def induction_task(n: int = 16, seed: int = 0) -> rz.Task:
    """``A B … C D … A`` → B against ``C B … A D … A`` → D: what precedes B and D is exchanged.

    Only the previous-token head's output changes for the induction head, at B and D, and nothing
    that it copies from there: the whole difference goes through its keys.
    """
    generator = torch.Generator().manual_seed(seed)
    clean = torch.zeros(n, WIDTH, dtype=torch.long)
    others = torch.arange(1, LETTERS)
    answers, wrong = torch.zeros(2, n, dtype=torch.long)
    corrupt = clean.clone()
    for row in range(n):
        letters = others[torch.randperm(LETTERS - 1, generator=generator)][: WIDTH - 2]
        first = int(torch.randint(0, 3, (1,), generator=generator))
        second = int(torch.randint(first + 2, WIDTH - 3, (1,), generator=generator))
        clean[row, 1:-1], clean[row, -1] = letters, letters[first]
        corrupt[row] = clean[row]
        corrupt[row, 1 + first], corrupt[row, 1 + second] = letters[second], letters[first]
        answers[row], wrong[row] = letters[first + 1], letters[second + 1]
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)
