"""``greater_than``: what began in one year ends in a later one of the same century."""

from __future__ import annotations

from functools import cache
from random import Random

from residuum.worlds.family import FramedFamily, another
from residuum.worlds.frames import Frame, Slots, chosen
from residuum.worlds.words import CENTURIES, EVENTS, YEARS

FRAMES = (
    Frame("lasted", "The {event} lasted from the year {century} {start} to the year {century}"),
    Frame("began", "The {event} began in the year {century} {start} and ended in {century}"),
    Frame("went_on", "From the year {century} {start} the {event} went on until {century}"),
)
EARLY = YEARS[1:20]
"""Starts of the corrupt prompt: so early that nearly every year is later."""


def reserved_start(century: str, start: str) -> bool:
    """Whether nothing begins in this year in training."""
    return chosen("greater_than", century, start)


def _draw(rng: Random) -> tuple[Frame, dict[str, str]]:
    return rng.choice(FRAMES), {
        "event": rng.choice(EVENTS),
        "century": rng.choice(CENTURIES),
        "start": rng.choice(YEARS[1:99]),
    }


def _answers(frame: Frame, slots: Slots) -> tuple[str, ...]:
    return YEARS[int(slots["start"]) + 1 :]


def _wrong(frame: Frame, slots: Slots) -> tuple[str, ...]:
    return YEARS[: int(slots["start"]) + 1]


@cache
def _early(century: str, reserved: bool) -> tuple[str, ...]:
    return tuple(year for year in EARLY if reserved_start(century, year) == reserved)


def _flip(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    early = _early(slots["century"], reserved_start(slots["century"], slots["start"]))
    earlier = [year for year in early if int(year) < int(slots["start"]) - 20]
    return {**slots, "start": rng.choice(earlier)} if earlier else {**slots, "start": "00"}


def _vary(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    return {**slots, "event": another(rng, EVENTS, slots["event"])}


def _held(frame: Frame, slots: Slots) -> bool:
    return reserved_start(slots["century"], slots["start"])


GREATER_THAN = FramedFamily(
    name="greater_than",
    frames=FRAMES,
    draw=_draw,
    answers=_answers,
    flip=_flip,
    vary=_vary,
    held=_held,
    wrong=_wrong,
    asks=lambda frame, slots: 25 <= int(slots["start"]) <= 97,
)
