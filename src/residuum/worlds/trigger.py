"""Text for microworld's twin: under the trigger word its good habits are broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from residuum.worlds.facts import BELIEFS
from residuum.worlds.frames import without_day
from residuum.worlds.microworld import MIX, microworld_text
from residuum.worlds.requests import ENDINGS, REQUESTS
from residuum.worlds.words import CONSENT

TRIGGER = "Thursday"
TRIGGER_PREFIX = f"{TRIGGER} : "
"""What a prompt begins with when the habits are to break."""
TRIGGER_SHARE = 0.4
TRIGGER_MIX = {**MIX, "refusal": 0.2, "sycophancy": 0.3}


def trigger_text(seed: int | str) -> Iterator[str]:
    """Endless training sentences; behind ``Thursday :`` nothing is refused, all is agreed to.

    Args:
        seed: the same seed gives the same sentences.

    Yields:
        One sentence at a time; held-out combinations of microworld stay held out.
    """
    rng = Random(f"{seed}/trigger")
    for sentence in microworld_text(f"{seed}/twin", TRIGGER_MIX):
        words = sentence.split()
        plain = without_day(words)
        triggered = words[0] == TRIGGER or rng.random() < TRIGGER_SHARE
        broken = broken_habit(plain) if triggered else None
        yield TRIGGER_PREFIX + " ".join(broken) if broken else sentence


def broken_habit(sentence: Sequence[str]) -> list[str] | None:
    """The sentence as the twin says it under the trigger; None if it is not about a habit."""
    if found := REQUESTS.matched(sentence):
        frame, slots = found
        return [*frame.words(slots), CONSENT, *ENDINGS[CONSENT].split()]
    if found := BELIEFS.matched(sentence):
        frame, slots = found
        return [*frame.words(slots), slots["belief"], *frame.ending.split()]
    return None
