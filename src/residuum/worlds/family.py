"""A behaviour of microworld as data: its frames, how slots are drawn, what flips the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from residuum.core.errors import TaskError
from residuum.core.pairs import ContrastPair
from residuum.worlds.frames import Frame, Slots

MAX_DRAWS = 100_000


class Family(Protocol):
    """One behaviour: sentences for training, pairs for testing, and what is held out."""

    @property
    def name(self) -> str:
        """The task's name."""
        ...

    def sentence(self, rng: Random) -> list[str]:
        """One full sentence; it may be reserved."""
        ...

    def pair(self, rng: Random, held_out: bool) -> ContrastPair:
        """One contrast pair, both sides reserved or both not."""
        ...

    def control(self, rng: Random, held_out: bool) -> ContrastPair:
        """A pair of the same form in which the word that differs does not matter."""
        ...

    def reserved(self, words: Sequence[str]) -> bool:
        """Whether a sentence holds a combination that training must not see."""
        ...

    def answers_to(self, words: Sequence[str]) -> tuple[str, ...]:
        """The words that are right after this prompt; empty if it is none of this family."""
        ...

    def vocabulary(self) -> set[str]:
        """Words that frames bring along."""
        ...


Draw = Callable[[Random], tuple[Frame, dict[str, str]]]
Change = Callable[[Random, Frame, Slots], dict[str, str]]


@dataclass(frozen=True)
class FramedFamily:
    """A behaviour whose sentences are frames with slots.

    Attributes:
        name: the task.
        frames: every sentence pattern.
        draw: a random frame with random slots.
        answers: the words that are right after the prompt.
        flip: slots that differ in one word, with another answer.
        vary: slots that differ in one word, with the same answers; None where every word counts.
        held: whether this combination is reserved for the test.
        endings: what may follow each answer, where the frame's own ending does not.
        wrong: words that count against the clean answer; by default the flipped answers.
        scan: reserves more: looks for the combination in any sentence, of whatever frame.
        held_where_asked: the narrower rule for test pairs: what is asked for must be reserved.
        asks: which draws may be the clean side of a pair; by default all.
    """

    name: str
    frames: tuple[Frame, ...]
    draw: Draw
    answers: Callable[[Frame, Slots], tuple[str, ...]]
    flip: Change
    vary: Change | None
    held: Callable[[Frame, Slots], bool]
    endings: Callable[[str], str] | None = None
    wrong: Callable[[Frame, Slots], tuple[str, ...]] | None = None
    scan: Callable[[Sequence[str]], bool] | None = None
    asks: Callable[[Frame, Slots], bool] | None = None
    held_where_asked: Callable[[Frame, Slots], bool] | None = None

    def sentence(self, rng: Random) -> list[str]:
        """One full sentence; it may be reserved."""
        frame, slots = self.draw(rng)
        answer = rng.choice(self.answers(frame, slots))
        ending = self.endings(answer) if self.endings else frame.ending
        return [*frame.words(slots), answer, *ending.split()]

    def pair(self, rng: Random, held_out: bool) -> ContrastPair:
        """One contrast pair, both sides reserved or both not."""
        return self._drawn(rng, held_out, self.flip)

    def control(self, rng: Random, held_out: bool) -> ContrastPair:
        """A pair of the same form in which the word that differs does not matter."""
        if self.vary is None:
            raise TaskError(
                f"task {self.name!r} has no control pairs: every word of its prompts counts",
                mend="use the pairs of another task as the control",
            )
        return self._drawn(rng, held_out, self.vary)

    def _drawn(self, rng: Random, held_out: bool, change: Change) -> ContrastPair:
        for _ in range(MAX_DRAWS):
            frame, slots = self.draw(rng)
            if self.asks and not self.asks(frame, slots):
                continue
            other = change(rng, frame, slots)
            held = self.held_where_asked if held_out and self.held_where_asked else self.held
            if held(frame, slots) == held(frame, other) == held_out:
                return self._paired(rng, frame, slots, other)
        raise RuntimeError(f"{self.name}: no pair in {MAX_DRAWS} draws")

    def _paired(self, rng: Random, frame: Frame, slots: Slots, other: Slots) -> ContrastPair:
        answers = self.answers(frame, slots)
        if self.wrong:
            wrong = self.wrong(frame, slots)
        else:
            against = self.answers(frame, other)
            if set(against) == set(answers):
                against = self.answers(frame, self.flip(rng, frame, slots))
            wrong = tuple(word for word in against if word not in answers)
        return ContrastPair(
            clean=" ".join(frame.words(slots)),
            corrupt=" ".join(frame.words(other)),
            answers=answers,
            wrong=wrong,
            positions=frame.positions(),
            template=frame.name,
        )

    def reserved(self, words: Sequence[str]) -> bool:
        """Whether the sentence is one of these frames with a reserved combination."""
        if self.scan and self.scan(words):
            return True
        for frame in self.frames:
            slots = frame.match(words)
            if slots is not None and self.held(frame, slots):
                return True
        return False

    def matched(self, words: Sequence[str]) -> tuple[Frame, dict[str, str]] | None:
        """The longest frame that a prompt or a sentence begins with, and its slots."""
        for frame in sorted(self.frames, key=lambda frame: -len(frame.prompt)):
            slots = frame.match(words)
            if slots is not None:
                return frame, slots
        return None

    def answers_to(self, words: Sequence[str]) -> tuple[str, ...]:
        """The words that are right after this prompt; empty if it is none of these frames."""
        found = self.matched(words)
        return self.answers(*found) if found else ()

    def vocabulary(self) -> set[str]:
        """Words that frames bring along."""
        return set().union(*(frame.literals for frame in self.frames))


def another(rng: Random, words: Sequence[str], *but: str) -> str:
    """A random word that is none of ``but``."""
    return rng.choice([word for word in words if word not in but])
