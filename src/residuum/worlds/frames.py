"""Sentence patterns with named slots, and what is reserved for the test.

A frame is a prompt such as ``When {IO} and {S1} went to the {place} , {S2} gave a {gift} to``:
each slot holds one word, the next word is the answer, and ``ending`` closes the sentence.
Because a frame can also be matched against words, what is held out is a property of the
*text*: the training generator drops every sentence that the predicate finds reserved.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from residuum.worlds.words import DAYS

Slots = Mapping[str, str]


@dataclass(frozen=True)
class Frame:
    """A prompt pattern: literal words and ``{slot}`` words, then the answer, then ``ending``."""

    name: str
    prompt: str
    ending: str = "."

    @cached_property
    def _pattern(self) -> tuple[tuple[bool, str], ...]:
        return tuple(
            (True, word[1:-1]) if word.startswith("{") else (False, word)
            for word in self.prompt.split()
        )

    @property
    def literals(self) -> set[str]:
        """The words that this frame brings along whatever fills it."""
        return {word for is_slot, word in self._pattern if not is_slot} | set(self.ending.split())

    def words(self, slots: Slots) -> list[str]:
        """The prompt as words."""
        return [slots[word] if is_slot else word for is_slot, word in self._pattern]

    def positions(self) -> dict[str, int]:
        """Word index of each slot; the second mention of ``X`` is ``X_again``; last is ``end``.

        The word after ``S1``, where a duplicate can be noticed, is ``S1+1``.
        """
        found: dict[str, int] = {}
        for index, (is_slot, word) in enumerate(self._pattern):
            if is_slot:
                found[f"{word}_again" if word in found else word] = index
        if "S1" in found:
            found["S1+1"] = found["S1"] + 1
        found["end"] = len(self._pattern) - 1
        return found

    def match(self, words: Sequence[str]) -> dict[str, str] | None:
        """The slots of a sentence that begins with this prompt, or None."""
        if len(words) < len(self._pattern):
            return None
        slots: dict[str, str] = {}
        for (is_slot, expected), word in zip(self._pattern, words, strict=False):
            if not is_slot:
                if word != expected:
                    return None
            elif slots.setdefault(expected, word) != word:
                return None
        return slots


def chosen(*parts: str, one_in: int = 5) -> bool:
    """Whether a combination of words is reserved: a fixed hash picks one in ``one_in``."""
    return zlib.crc32("|".join(parts).encode()) % one_in == 0


def without_day(words: Sequence[str]) -> Sequence[str]:
    """The sentence without its diary opening, ``Monday :``."""
    return words[2:] if words and words[0] in DAYS else words
