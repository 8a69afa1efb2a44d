"""``agreement``: the verb has the number of its subject, not of the noun in between."""

from __future__ import annotations

from random import Random

from residuum.worlds.family import FramedFamily, another
from residuum.worlds.frames import Frame, Slots, chosen
from residuum.worlds.words import LOOKS, NOUNS, PLURAL_VERBS, PREPOSITIONS, SINGULAR_VERBS

FRAMES = (
    Frame("plain", "The {subject} {preposition} the {distractor}"),
    Frame("looks", "The {look} {subject} {preposition} the {distractor}"),
    Frame("distractor_looks", "The {subject} {preposition} the {look} {distractor}"),
    Frame("today", "Today the {subject} {preposition} the {distractor}"),
)
_SINGULAR = {**{noun: noun for noun in NOUNS}, **{f"{noun}s": noun for noun in NOUNS}}


def reserved_nouns(subject: str, distractor: str) -> bool:
    """Whether this subject never stands before this distractor in training, in any number."""
    if subject not in _SINGULAR or distractor not in _SINGULAR:
        return False
    return chosen("agreement", _SINGULAR[subject], _SINGULAR[distractor])


def _in_some_number(rng: Random, noun: str) -> str:
    return rng.choice((noun, f"{noun}s"))


def _draw(rng: Random) -> tuple[Frame, dict[str, str]]:
    subject, distractor = rng.sample(NOUNS, 2)
    return rng.choice(FRAMES), {
        "subject": _in_some_number(rng, subject),
        "distractor": _in_some_number(rng, distractor),
        "preposition": rng.choice(PREPOSITIONS),
        "look": rng.choice(LOOKS),
    }


def _is_plural(word: str) -> bool:
    return _SINGULAR[word] != word


def _flip(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    subject = slots["subject"]
    other = _SINGULAR[subject] if _is_plural(subject) else f"{subject}s"
    return {**slots, "subject": other}


def _vary(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    return {**slots, "preposition": another(rng, PREPOSITIONS, slots["preposition"])}


AGREEMENT = FramedFamily(
    name="agreement",
    frames=FRAMES,
    draw=_draw,
    answers=lambda _, slots: PLURAL_VERBS if _is_plural(slots["subject"]) else SINGULAR_VERBS,
    flip=_flip,
    vary=_vary,
    held=lambda frame, slots: reserved_nouns(slots["subject"], slots["distractor"]),
    endings=lambda verb: f"{LOOKS[len(verb) % len(LOOKS)]} .",
    asks=lambda _, slots: _is_plural(slots["subject"]) != _is_plural(slots["distractor"]),
)
