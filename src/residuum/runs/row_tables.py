"""Rows of ids as the tensors of a task, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from residuum.runs.behaviour import Prompts
from residuum.runs.pair_rows import PairRow


def tables_of(rows: Sequence[PairRow]) -> dict[str, Any]:
    """A task's tensors, positions (those that every row names) and templates, by field."""
    shared = set(rows[0].positions).intersection(*(row.positions for row in rows))
    return {
        "clean": padded([row.clean for row in rows], 0),
        "corrupt": padded([row.corrupt for row in rows], 0),
        "answers": padded([row.answers for row in rows], -1),
        "wrong": padded([row.wrong for row in rows], -1),
        "lengths": torch.tensor([len(row.clean) for row in rows]),
        "positions": {
            name: torch.tensor([row.positions[name] for row in rows])
            for name in rows[0].positions
            if name in shared
        },
        "templates": tuple(row.template for row in rows),
    }


def rows_of(task: Prompts) -> list[PairRow]:
    """A task's pairs without padding."""
    return [
        PairRow(
            tuple(task.clean[at, :length].tolist()),
            tuple(task.corrupt[at, :length].tolist()),
            tuple(each for each in task.answers[at].tolist() if each >= 0),
            tuple(each for each in task.wrong[at].tolist() if each >= 0),
            {name: int(where[at]) for name, where in task.positions.items()},
            task.templates[at],
        )
        for at, length in enumerate(task.lengths.tolist())
    ]


def padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Rows of ids as one tensor [batch longest], padded on the right; one column at least."""
    longest = max([1, *map(len, rows)])
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])


def trimmed(ids: Tensor) -> Tensor:
    """Answer ids without columns that are padding in every row; one column at least."""
    used = (ids >= 0).any(dim=0).nonzero()
    return ids[:, : int(used.max()) + 1 if len(used) else 1]
