"""``negation``: what is not open is closed, what is truly open is open."""

from __future__ import annotations

from random import Random

from residuum.worlds.family import FramedFamily, another
from residuum.worlds.frames import Frame, Slots
from residuum.worlds.words import NAMES, OPPOSITES, THINGS

FRAMES = (
    Frame("so", "The {thing} is {polarity} {quality} , so it is"),
    Frame("says", "{name} says the {thing} is {polarity} {quality} , so it is"),
    Frame("if", "If the {thing} is {polarity} {quality} , then it is"),
    Frame("today", "Today the {thing} is {polarity} {quality} , thus it is"),
)
NEGATIONS = {"not": "truly", "never": "always", "hardly": "really"}
"""Words that turn a quality into its opposite, with the word that stands there otherwise."""
_PARTNER = NEGATIONS | {plain: negative for negative, plain in NEGATIONS.items()}
OPPOSITE = {a: b for a, b in OPPOSITES} | {b: a for a, b in OPPOSITES}
QUALITIES = tuple(word for pair in OPPOSITES for word in pair)
POLARITIES = tuple(_PARTNER)
_COLUMN = {frame.name: index for index, frame in enumerate(FRAMES)}


def _draw(rng: Random) -> tuple[Frame, dict[str, str]]:
    frame = rng.choice(FRAMES)
    return frame, {
        "name": rng.choice(NAMES),
        "thing": rng.choice(THINGS),
        "polarity": rng.choice(POLARITIES),
        "quality": rng.choice(QUALITIES),
    }


def _negated(frame: Frame, slots: Slots) -> bool:
    return slots["polarity"] in NEGATIONS


def _answers(frame: Frame, slots: Slots) -> tuple[str, ...]:
    quality = slots["quality"]
    return (OPPOSITE[quality] if _negated(frame, slots) else quality,)


def _flip(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    return {**slots, "polarity": _PARTNER[slots["polarity"]]}


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
