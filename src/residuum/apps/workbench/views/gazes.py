"""What each head looks at on one prompt, in numbers: shares of its attention, and how spread it is.

The same definitions as of :func:`residuum.detect_heads`, on this prompt alone and without nulls: a
head that goes by position alone may score as induction here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from residuum.heads.matches import find_matches

NAMES = ("entropy", "previous", "first", "current", "duplicate", "induction")
ABOUT = {
    "entropy": "nats of each row's attention, mean over rows",
    "previous": "attention to the token before",
    "first": "attention to the first position, or to nothing (a learned sink)",
    "current": "attention to the token itself",
    "duplicate": "attention to earlier occurrences of the same token; no value where none repeats",
    "induction": "attention to what followed earlier occurrences; no value where none repeats",
}


def gazes(patterns: Sequence[Tensor], ids: Tensor) -> Tensor:
    """Numbers of every head, ``[layer head score]`` in the order of :data:`NAMES`.

    Args:
        patterns: of each layer, ``[head q k]``, float32 on the CPU.
        ids: ``[pos]``.

    The first row is left out (it has one place to look at), of ``previous`` the first two.
    """
    weights, empty = _weights(ids.cpu())
    found = []
    for pattern in patterns:
        shares = pattern.flatten(1) @ weights.T.to(pattern)  # [head mask]
        entropy = torch.special.entr(pattern).sum(-1)[:, 1:].mean(-1)
        previous, first, kept, current, duplicate, induction = shares.unbind(-1)
        rows = (entropy, previous, first + (1 - kept), current, duplicate, induction)
        found.append(torch.stack(rows, -1))
    values = torch.stack(found)
    values[..., empty] = torch.nan
    return values


def _weights(ids: Tensor) -> tuple[Tensor, list[int]]:
    """Masks ``[6, q * k]``, each over its number of rows; and the scores that have no row."""
    n = len(ids)
    places = torch.arange(n)
    row, column = places[:, None], places[None]
    find = find_matches(ids[None])
    masks = [
        ((column == row - 1) & (row > 1), n - 2),
        ((column == 0) & (row > 0), n - 1),
        ((row > 0).expand(n, n), n - 1),
        ((column == row) & (row > 0), n - 1),
        (find.duplicate[0], int(find.duplicate[0].any(1).sum())),
        (find.induction[0], int(find.induction[0].any(1).sum())),
    ]
    counts = [count for _, count in masks]
    by_score = [counts[1], counts[0], *counts[2:]]
    empty = [i for i, count in enumerate(by_score) if count < 1]
    scaled = [mask.float() / max(count, 1) for mask, count in masks]
    return torch.stack(scaled).flatten(1), empty
