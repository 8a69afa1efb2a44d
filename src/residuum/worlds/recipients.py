"""``ioi``: two people do something, one of them gives; who receives?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from random import Random

from residuum.worlds.family import FramedFamily, another
from residuum.worlds.frames import Frame, Slots, chosen
from residuum.worlds.words import GIFTS, NAMES, PLACES

_SCENES = {
    "gave": "When {A} and {B} went to the {place} , {S2} gave a {gift} to",
    "handed": "After {A} and {B} left the {place} , {S2} handed a {gift} to",
    "passed": "While {A} and {B} were at the {place} , {S2} passed a {gift} to",
    "sold": "Then {A} and {B} came to the {place} and {S2} sold a {gift} to",
}


def _frames() -> tuple[Frame, ...]:
    made = []
    for name, scene in _SCENES.items():
        for order, first, second in (("ABBA", "IO", "S1"), ("BABA", "S1", "IO")):
            prompt = scene.replace("{A}", f"{{{first}}}").replace("{B}", f"{{{second}}}")
            made.append(Frame(f"{name}/{order}", prompt))
    return tuple(made)


FRAMES = _frames()


def _draw(rng: Random) -> tuple[Frame, dict[str, str]]:
    recipient, subject = rng.sample(NAMES, 2)
    slots = {"IO": recipient, "S1": subject, "S2": subject}
    return rng.choice(FRAMES), slots | {"place": rng.choice(PLACES), "gift": rng.choice(GIFTS)}


def _answers(frame: Frame, slots: Slots) -> tuple[str, ...]:
    return (slots["IO"] if slots["S2"] == slots["S1"] else slots["S1"],)


def _flip(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    return {**slots, "S2": slots["IO"]}


def _vary(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    return {**slots, "place": another(rng, PLACES, slots["place"])}


def reserved_names(first: str, second: str) -> bool:
    """Whether these two people never meet in training, in either order."""
    return chosen("ioi", *sorted((first, second)))


def _scan(words: Sequence[str]) -> bool:
    people = sorted({word for word in words if word in _NAME_SET})
    return any(reserved_names(*both) for both in combinations(people, 2))


_NAME_SET = frozenset(NAMES)

IOI = FramedFamily(
    name="ioi",
    frames=FRAMES,
    draw=_draw,
    answers=_answers,
    flip=_flip,
    vary=_vary,
    held=lambda frame, slots: reserved_names(slots["IO"], slots["S1"]),
    scan=_scan,
)
