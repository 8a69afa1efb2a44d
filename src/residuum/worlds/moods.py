"""``sentiment``: a good or a bad word decides how people feel."""

from __future__ import annotations

from random import Random

from residuum.worlds.family import FramedFamily, another
from residuum.worlds.frames import Frame, Slots
from residuum.worlds.words import BAD, GOOD, HAPPY, NAMES, SAD, SHOWS

FRAMES = (
    Frame("found", "{name} found the {show} {opinion} and felt"),
    Frame("left", "The {show} was {opinion} , so {name} left"),
    Frame("called", "{name} called the {show} {opinion} because it made people"),
    Frame("review", "Review : the {show} was {opinion} . Mood :"),
)
_COLUMN = {frame.name: index for index, frame in enumerate(FRAMES)}
_OPINIONS = GOOD + BAD


def _draw(rng: Random) -> tuple[Frame, dict[str, str]]:
    return rng.choice(FRAMES), {
        "name": rng.choice(NAMES),
        "show": rng.choice(SHOWS),
        "opinion": rng.choice(_OPINIONS),
    }


def _answers(frame: Frame, slots: Slots) -> tuple[str, ...]:
    return HAPPY if slots["opinion"] in GOOD else SAD


def _flip(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    other = BAD if slots["opinion"] in GOOD else GOOD
    return {**slots, "opinion": rng.choice(other)}


def _vary(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    return {**slots, "show": another(rng, SHOWS, slots["show"])}


def reserved_opinion(template: str, opinion: str) -> bool:
    """Whether training never has this opinion in this template."""
    return opinion in _OPINIONS and (_OPINIONS.index(opinion) + _COLUMN[template]) % 4 == 0


SENTIMENT = FramedFamily(
    name="sentiment",
    frames=FRAMES,
    draw=_draw,
    answers=_answers,
    flip=_flip,
    vary=_vary,
    held=lambda frame, slots: reserved_opinion(frame.name, slots["opinion"]),
)
