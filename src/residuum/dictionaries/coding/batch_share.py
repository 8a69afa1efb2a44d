"""A batch that several processes share: what a part has to know of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchShare:
    """The rows that this process has of a batch.

    Attributes:
        whole: rows of the whole batch. Losses are divided by it, so that those of all shares, and
            their gradients, add up to the batch's.
        cut: given the largest entries of this share, falling, says how many of them are among the
            as many largest of all shares (BatchTopK).
    """

    whole: int
    cut: Callable[[Tensor], int]


def whole_batch(n: int) -> BatchShare:
    """All rows are here."""
    return BatchShare(n, len)


def row_ranges(n: int, shares: int) -> list[slice]:
    """Rows 0 to ``n``, cut into ranges whose lengths differ by one at most.

    >>> row_ranges(10, 3)
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    edges = [n * each // shares for each in range(shares + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]


def counts_among_largest(parts: Sequence[Tensor], wanted: int) -> list[int]:
    """How many entries of each part are among the ``wanted`` largest of all parts.

    Args:
        parts: ``[entry]`` each.
    """
    owners = torch.cat([torch.full((len(each),), i) for i, each in enumerate(parts)])
    largest = torch.cat(list(parts)).topk(wanted, sorted=False).indices
    return torch.bincount(owners[largest], minlength=len(parts)).tolist()
