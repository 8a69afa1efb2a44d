"""Everyday sentences that ask for nothing, so that the text reads like a world."""

from __future__ import annotations

from random import Random

from residuum.worlds.frames import Frame
from residuum.worlds.words import CONTAINERS, GIFTS, LOOKS, NAMES, NOUNS, PLACES, SHOWS

_KINDS: dict[str, tuple[str, ...]] = {
    "name": NAMES,
    "place": PLACES,
    "gift": GIFTS,
    "noun": NOUNS,
    "look": LOOKS,
    "container": CONTAINERS,
    "show": SHOWS,
}
FRAMES = tuple(
    Frame(f"daily/{number}", prompt)
    for number, prompt in enumerate(
        (
            "{name} walked to the {place}",
            "{name} put the {gift} in the {container}",
            "The {noun} is {look}",
            "The {noun}s are {look}",
            "{name} saw a {look} {noun} at the {place}",
            "A {noun} stood by the {place}",
            "{name} bought a {gift} at the {place}",
            "In the {place} there was a {show}",
            "{name} was at the {place} and had a {gift}",
        )
    )
)


def sentence(rng: Random) -> list[str]:
    """One everyday sentence."""
    frame = rng.choice(FRAMES)
    words = []
    for word in frame.prompt.split():
        if word.startswith("{"):
            kind, plural = word[1:].split("}")
            words.append(rng.choice(_KINDS[kind]) + plural)
        else:
            words.append(word)
    return [*words, "."]


def vocabulary() -> set[str]:
    """Words that these sentences bring along."""
    return {word for frame in FRAMES for word in frame.prompt.split() if "{" not in word} | {"."}
