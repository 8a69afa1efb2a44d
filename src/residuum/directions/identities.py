"""What an example is, without its label: its prompt and the token of it that is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def identity(ids: Sequence[int], position: int) -> str:
    """A hash over a prompt's real ids and the token that is read, counted from the first.

    >>> identity([5, 7], 1) == identity([5, 7], 1) != identity([5, 7], 0)
    True
    """
    return hashlib.sha256(f"{list(ids)}@{position}".encode()).hexdigest()[:16]


def identities_anywhere(ids: Sequence[int]) -> frozenset[str]:
    """Of a prompt, the identity at each of its tokens: whether it was seen, wherever it was read.

    >>> identity([5, 7], 0) in identities_anywhere([5, 7])
    True
    """
    prompt = hashlib.sha256(f"{list(ids)}@".encode())
    found = []
    for position in range(len(ids)):
        whole = prompt.copy()
        whole.update(str(position).encode())
        found.append(whole.hexdigest()[:16])
    return frozenset(found)
