"""For every unit a shelf of a few examples: those that come first in some order.

The order is strict, a context stands on a shelf once, and what falls off one part's shelf would
have fallen off the whole text's: so two shelves merged are the shelf of both texts, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Payload = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Values and positions ``[example]``, token ids and values of the window ``[example window]``."""


class Shelf:
    """The first ``room`` examples of each unit.

    Attributes:
        order: ``[latent room]`` float64, ascending; infinity where a place is empty.
        keys: ``[latent room]`` int64 of the contexts.
        ties: ``[latent room]`` int64 of the whole rows: of one context in two rows, what comes
            after it decides which is shown.
        documents: ``[latent room]`` int32 number of the text; of one row in two texts the first.
        values: ``[latent room]`` float32.
        positions: ``[latent room]`` int32 in the row that the model read.
        ids: ``[latent room window]`` int32, -1 outside the row.
        around: ``[latent room window]`` float32, NaN where it is not known.
    """

    names = ("order", "keys", "ties", "documents", "values", "positions", "ids", "around")

    def __init__(self, n_latents: int, room: int, window: int) -> None:
        shape = (n_latents, room)
        self.order = np.full(shape, np.inf)
        self.keys, self.ties = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.documents = np.full(shape, -1, np.int32)
        self.values, self.positions = np.zeros(shape, np.float32), np.full(shape, -1, np.int32)
        self.ids = np.full((*shape, window), -1, np.int32)
        self.around = np.full((*shape, window), np.nan, np.float32)

    @property
    def room(self) -> int:
        """Examples on a shelf at most."""
        return self.order.shape[1]

    @property
    def last(self) -> np.ndarray:
        """``[latent]``: what comes after this does not get onto the shelf."""
        return self.order[:, -1]

    def offer(
        self, latents: np.ndarray, order: np.ndarray, keys: np.ndarray, ties: np.ndarray,
        documents: np.ndarray, payload: Callable[[np.ndarray], Payload],
    ) -> None:  # fmt: skip
        """Put examples on the shelves where they belong.

        Args:
            latents, order, keys, ties, documents: ``[example]``.
            payload: gives what goes with some of them, by index.
        """
        worthy = np.flatnonzero(order <= self.last[latents])
        if not len(worthy):
            return
        touched, local = np.unique(latents[worthy], return_inverse=True)
        held = np.isfinite(self.order[touched])
        n_held = int(held.sum())
        owner = np.concatenate([np.nonzero(held)[0], local])
        all_order = np.concatenate([self.order[touched][held], order[worthy]])
        all_keys = np.concatenate([self.keys[touched][held], keys[worthy]])
        all_ties = np.concatenate([self.ties[touched][held], ties[worthy]])
        all_documents = np.concatenate([self.documents[touched][held], documents[worthy]])
        examples = (owner, all_order, all_keys, all_ties, all_documents)
        chosen = _first_of_each(examples, self.room)
        place = _rank(owner[chosen])
        new = chosen >= n_held
        made = payload(worthy[chosen[new] - n_held])
        for name, fresh in zip(("values", "positions", "ids", "around"), made, strict=True):
            old = getattr(self, name)[touched][held]
            joined = np.empty((len(chosen), *old.shape[1:]), old.dtype)
            joined[~new], joined[new] = old[chosen[~new]], fresh
            getattr(self, name)[touched[owner[chosen]], place] = joined
        self.order[touched] = np.inf
        self.order[touched[owner[chosen]], place] = all_order[chosen]
        self.keys[touched[owner[chosen]], place] = all_keys[chosen]
        self.ties[touched[owner[chosen]], place] = all_ties[chosen]
        self.documents[touched[owner[chosen]], place] = all_documents[chosen]

    def merge(self, other: Shelf, texts: int) -> None:
        """Take in another's examples, whose texts are numbered on from ``texts``."""
        latents, places = np.nonzero(np.isfinite(other.order))

        def payload(which: np.ndarray) -> Payload:
            at = latents[which], places[which]
            return other.values[at], other.positions[at], other.ids[at], other.around[at]

        at = latents, places
        documents = other.documents[at] + texts
        self.offer(latents, other.order[at], other.keys[at], other.ties[at], documents, payload)

    def tensors(self) -> dict[str, np.ndarray]:
        """By name, to be kept."""
        return {name: getattr(self, name) for name in self.names}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Take up what :meth:`tensors` gave."""
        for name in self.names:
            setattr(self, name, np.array(tensors[name]))


def _first_of_each(examples: tuple[np.ndarray, ...], room: int) -> np.ndarray:
    """Indices of the first ``room`` of each owner, by order, key, tie and text; each key once.

    Args:
        examples: owner, order, key, tie and text of each.
    """
    owner, order, keys, ties, documents = examples
    sorted_ = np.lexsort((documents, ties, keys, order, owner))
    by_key = sorted_[np.lexsort((np.arange(len(sorted_)), keys[sorted_], owner[sorted_]))]
    again = (np.diff(owner[by_key], prepend=-1) == 0) & (np.diff(keys[by_key], prepend=-1) == 0)
    repeated = np.zeros(len(owner), bool)
    repeated[by_key[again]] = True
    kept = sorted_[~repeated[sorted_]]
    return kept[_rank(owner[kept]) < room]


def _rank(owner: np.ndarray) -> np.ndarray:
    """How many of the same owner stand before each; owners are ascending."""
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    lengths = np.diff(np.append(starts, len(owner)))
    return np.arange(len(owner)) - np.repeat(starts, lengths)
