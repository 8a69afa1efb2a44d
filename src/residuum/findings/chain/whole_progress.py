"""Progress of the whole chain: which stage of how many, and how long all of it will take yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from residuum.core import Progress

WEIGHTS = {
    "behaviour": 0.3,
    "lens": 0.3,
    "where": 1.5,
    "parts": 3.5,
    "roles": 1.5,
    "whole": 2.0,
    "shared": 1.0,
    "circuit": 3.0,
    "composition": 5.0,
    "direction": 2.0,
    "specificity": 4.0,
    "robustness": 3.0,
    "controls": 2.5,
}
"""Stage -> what it takes relative to the others (seconds on microworld's ioi at ``quick``). They
only serve the estimate of the time left, which is corrected as stages finish."""


class Whole:
    """Tells a listener of every step, with the stage's number and the time left in all.

    Args:
        inner: who is told.
        stages: names of the stages in order.
        clock: seconds.
    """

    def __init__(
        self, inner: Progress, stages: Sequence[str], clock: Callable[[], float] = perf_counter
    ) -> None:
        self._inner, self._stages, self._clock = inner, list(stages), clock
        self._left = {name: WEIGHTS.get(name, 1.0) for name in stages}
        self._worked = self._spent = 0.0
        self._began = clock()

    def stage(self, name: str) -> Progress:
        """Progress for one stage, which begins now."""
        self._began, self._name = self._clock(), name
        number = f"{self._stages.index(name) + 1}/{len(self._stages)}"
        return _Stage(self._inner, number, self.left)

    def finished(self, name: str, *, reused: bool = False) -> None:
        """A stage is over; one that was read from a folder says nothing about speed."""
        weight = self._left.pop(name)
        if not reused:
            self._worked += weight
            self._spent += self._clock() - self._began

    def left(self) -> float | None:
        """Seconds that all stages will take yet; None before one has been measured."""
        if not self._worked:
            return None
        rate = self._spent / self._worked
        here = max(0.0, rate * self._left[self._name] - (self._clock() - self._began))
        return here + rate * sum(self._left[each] for each in self._left if each != self._name)


class _Stage:
    """Hands progress on, with the stage's number before its name and the time left behind it.

    A listener hears of one part at a time. What begins within another part, such as a sweep within
    one of several draws, is a step of that one and is not told; nor is a part without steps.
    """

    def __init__(self, inner: Progress, number: str, left: Callable[[], float | None]) -> None:
        self._inner, self._number, self._left = inner, number, left
        self._open: list[bool] = []

    def start(self, stage: str, total: int) -> None:
        """A part of the stage begins."""
        self._open.append(not self._open and total > 0)
        if self._open[-1]:
            left = self._left()
            ahead = "" if left is None else f" (in all about {in_words(left)} left)"
            self._inner.start(f"{self._number} {stage}{ahead}", total)

    def advance(self, steps: int = 1) -> None:
        """Steps of it are finished."""
        if self._open == [True]:
            self._inner.advance(steps)

    def finish(self) -> None:
        """It is over."""
        if self._open and self._open.pop():
            self._inner.finish()


def in_words(seconds: float) -> str:
    """A time in words.

    >>> in_words(7.2), in_words(200.0), in_words(7200.0)
    ('8 s', '4 min', '2.0 h')
    """
    if seconds < 100:
        return f"{int(seconds) + 1} s"
    return f"{int(seconds / 60) + 1} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
