"""Rules that say at which tokens a latent is active, in terms of the tokens alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

KINDS = ("on", "after", "since", "at")


@dataclass(frozen=True)
class Rule:
    """Where a latent is active.

    Attributes:
        kind: ``"on"`` one of the tokens; ``"after"`` one of them, directly; ``"since"`` one of
            them stood before in the same sentence; ``"at"`` one of the places in the text.
        tokens: ids, or places for ``"at"``.
        stops: ids that end a sentence, for ``"since"``.
    """

    kind: str
    tokens: tuple[int, ...]
    stops: tuple[int, ...] = ()

    def fires(self, ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """``[context pos]`` bool of contexts ``[context pos]`` that begin at ``[context]``."""
        real = ids >= 0
        if self.kind == "at":
            places = offsets[:, None] + np.arange(ids.shape[1])
            return np.isin(places, self.tokens) & real
        hit = np.isin(ids, self.tokens)
        if self.kind == "on":
            return hit & real
        before = np.zeros_like(hit)
        before[:, 1:] = hit[:, :-1]
        if self.kind == "after":
            return before & real
        return _since(before, np.isin(ids, self.stops)) & real

    def words(self, vocabulary: Mapping[int, str]) -> str:
        """The rule in words."""
        if self.kind == "at":
            return f"at token {' or '.join(str(each + 1) for each in self.tokens)} of a text"
        names = " or ".join(
            repr(vocabulary[each].strip() or vocabulary[each]) for each in self.tokens
        )
        front = {"on": "on", "after": "right after", "since": "in a sentence after"}[self.kind]
        return f"{front} {names}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Rule:
        """Read what :meth:`to_json` wrote."""
        return Rule(data["kind"], tuple(data["tokens"]), tuple(data["stops"]))


def sentence_ends(vocabulary: Mapping[int, str]) -> tuple[int, ...]:
    """Ids of tokens that end a sentence.

    >>> sentence_ends({0: "a", 1: ".", 2: " !", 3: "b?"})
    (1, 2)
    """
    return tuple(i for i, each in vocabulary.items() if each.strip(" ") in {".", "!", "?", "\n"})


def _since(before: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Whether the token stood before and no sentence has ended since."""
    place = np.arange(before.shape[1])
    ended = np.zeros_like(stop)
    ended[:, 1:] = stop[:, :-1]
    last_hit = np.maximum.accumulate(np.where(before, place, -1), axis=1)
    last_end = np.maximum.accumulate(np.where(ended, place, -1), axis=1)
    return (last_hit >= 0) & (last_hit > last_end)
