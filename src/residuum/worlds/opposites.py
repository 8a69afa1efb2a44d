"""``negation``: what is not open is closed, what is truly open is open."""

from __future__ import annotations

from random import Random

from residuum.worlds.family import FramedFamily, another
from residuum.worlds.frames import Frame, Slots
from residuum.worlds.words import OPPOSITES, THINGS

FRAMES = (
    Frame("so", "The {thing} is {polarity} {quality} , so it is"),
    Frame("was", "Yesterday the {thing} was {polarity} {quality} . It was"),
    Frame("if", "If the {thing} is {polarity} {quality} , then it is"),
    Frame("true", "It is {polarity} that the {thing} is {quality} , so it is"),
)
_SIGNS = {"so": ("not", "truly"), "was": ("not", "truly"), "if": ("not", "truly")}
_SIGNS["true"] = ("false", "true")
OPPOSITE = {a: b for a, b in OPPOSITES} | {b: a for a, b in OPPOSITES}
QUALITIES = tuple(word for pair in OPPOSITES for word in pair)
_COLUMN = {frame.name: index for index, frame in enumerate(FRAMES)}


def _draw(rng: Random) -> tuple[Frame, dict[str, str]]:
    frame = rng.choice(FRAMES)
    return frame, {
        "thing": rng.choice(THINGS),
        "polarity": rng.choice(_SIGNS[frame.name]),
        "quality": rng.choice(QUALITIES),
    }


def _negated(frame: Frame, slots: Slots) -> bool:
    return slots["polarity"] == _SIGNS[frame.name][0]


def _answers(frame: Frame, slots: Slots) -> tuple[str, ...]:
    quality = slots["quality"]
    return (OPPOSITE[quality] if _negated(frame, slots) else quality,)


def _flip(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    negative, positive = _SIGNS[frame.name]
    return {**slots, "polarity": positive if _negated(frame, slots) else negative}


def _vary(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    return {**slots, "thing": another(rng, THINGS, slots["thing"])}


def reserved_quality(template: str, quality: str) -> bool:
    """Whether training never has this quality in this template, negated or not."""
    return quality in OPPOSITE and (QUALITIES.index(quality) + _COLUMN[template]) % 4 == 0


NEGATION = FramedFamily(
    name="negation",
    frames=FRAMES,
    draw=_draw,
    answers=_answers,
    flip=_flip,
    vary=_vary,
    held=lambda frame, slots: reserved_quality(frame.name, slots["quality"]),
    asks=_negated,
)
