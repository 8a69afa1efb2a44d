"""Microworld: ten behaviours in one small English-like language, and its held-out pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from random import Random

from residuum.core.errors import TaskError
from residuum.core.pairs import ContrastPair
from residuum.worlds import daily, words
from residuum.worlds.facts import BELIEFS, FACTS, belief_is_wrong
from residuum.worlds.family import Family
from residuum.worlds.frames import Frame, Slots, without_day
from residuum.worlds.grammar import AGREEMENT
from residuum.worlds.lookup import RETRIEVAL
from residuum.worlds.moods import SENTIMENT
from residuum.worlds.opposites import NEGATION, POLARITIES
from residuum.worlds.recipients import IOI
from residuum.worlds.repeats import Repeats
from residuum.worlds.requests import REQUESTS
from residuum.worlds.years import GREATER_THAN

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>")
_FRAMED = (
    IOI, GREATER_THAN, FACTS, RETRIEVAL, AGREEMENT, NEGATION, SENTIMENT, REQUESTS, BELIEFS
)  # fmt: skip
_LEXICON: tuple[tuple[str, ...], ...] = (
    words.NAMES, words.PLACES, words.GIFTS, words.CONTAINERS, words.GOODS, words.NOUNS,
    tuple(f"{noun}s" for noun in words.NOUNS), words.PREPOSITIONS, words.LOOKS,
    words.SINGULAR_VERBS, words.PLURAL_VERBS, tuple(chain(*words.OPPOSITES)), words.THINGS,
    words.GOOD, words.BAD, words.HAPPY, words.SAD, words.SHOWS, tuple(chain(*words.COUNTRIES)),
    words.CENTURIES, words.YEARS, words.EVENTS, words.HARMLESS_VERBS, words.HARMFUL_VERBS,
    words.HARMLESS_THINGS, words.HARMFUL_THINGS, (words.REFUSAL, words.CONSENT),
    (words.HONEST, words.POLITE, *POLARITIES), words.DAYS,
    words.listed(", I can not do that . , that is easy ."),
)  # fmt: skip


def _all_words() -> tuple[str, ...]:
    lexicon = set(chain(*_LEXICON)) | daily.vocabulary()
    return tuple(sorted(lexicon.union(*(family.vocabulary() for family in _FRAMED))))


WORDS = _all_words()
"""Every word of the language, sorted; special tokens apart."""
_FAMILIES: dict[str, Family] = {
    family.name: family for family in (Repeats(everything=WORDS), *_FRAMED)
}
MICROWORLD_TASKS: tuple[str, ...] = (
    "induction", "ioi", "greater_than", "facts", "retrieval",
    "agreement", "negation", "sentiment", "refusal", "sycophancy",
)  # fmt: skip
MIX: dict[str, float] = {
    "induction": 0.12, "ioi": 0.12, "greater_than": 0.07, "facts": 0.09, "retrieval": 0.17,
    "agreement": 0.11, "negation": 0.12, "sentiment": 0.05, "refusal": 0.05,
    "sycophancy": 0.12, "daily": 0.06,
}  # fmt: skip
"""Share of each family among the training sentences."""
DAY_SHARE = 0.06


def family(task: str) -> Family:
    """The family behind a task; raises `TaskError` with the list of names."""
    try:
        return _FAMILIES[task]
    except KeyError:
        raise TaskError(
            f"microworld has no task {task!r}", mend=f"one of: {', '.join(MICROWORLD_TASKS)}"
        ) from None


def _held_out_flag(split: str) -> bool:
    if split not in ("train", "test"):
        raise TaskError(f"no split {split!r}", mend="one of: train, test")
    return split == "test"


def microworld_pairs(task: str, n: int, seed: int = 0, split: str = "test") -> list[ContrastPair]:
    """Contrast pairs of one behaviour, all different.

    Args:
        task: one of `MICROWORLD_TASKS`.
        n: how many pairs.
        seed: the same seed gives the same pairs.
        split: ``test`` for combinations that training text never holds, ``train`` for others.

    Returns:
        ``n`` pairs; clean and corrupt have the same number of words and differ in one of them
        (``induction``: in one word of the repeated sequence). Positions count words from 0,
        without the beginning-of-sentence token.

    Raises:
        TaskError: unknown task or split, or fewer than ``n`` different pairs exist.
    """
    held_out, source = _held_out_flag(split), family(task)
    return _different(source.pair, held_out, n, Random(f"{seed}/{split}/{task}"), task)


def control_pairs(task: str, n: int, seed: int = 0, split: str = "test") -> list[ContrastPair]:
    """Pairs of the same form in which the word that differs does not change the answer.

    What moves the answer on these pairs is not the behaviour. ``facts`` and ``sycophancy``
    have none, since every word of their prompts counts.

    Args:
        task: one of `MICROWORLD_TASKS`.
        n: how many pairs.
        seed: the same seed gives the same pairs.
        split: as in `microworld_pairs`.

    Returns:
        ``n`` pairs whose ``answers`` are right after the clean and after the corrupt prompt.

    Raises:
        TaskError: unknown task or split, a task without controls, or too few different pairs.
    """
    held_out, source = _held_out_flag(split), family(task)
    rng = Random(f"{seed}/{split}/{task}/control")
    return _different(source.control, held_out, n, rng, task)


def _different(
    draw: Callable[[Random, bool], ContrastPair], held_out: bool, n: int, rng: Random, task: str
) -> list[ContrastPair]:
    found: dict[tuple[str, str], ContrastPair] = {}
    stale = 0
    while len(found) < n:
        pair = draw(rng, held_out)
        stale = stale + 1 if (pair.clean, pair.corrupt) in found else 0
        found[pair.clean, pair.corrupt] = pair
        if stale > 2000:
            raise TaskError(
                f"task {task!r} has about {len(found)} different pairs, {n} were asked for",
                mend=f"ask for at most {len(found)}",
            )
    return list(found.values())


def held_out(sentence: Sequence[str]) -> bool:
    """Whether training text must not contain this sentence (words, diary opening allowed)."""
    plain = without_day(sentence)
    return any(source.reserved(plain) for source in _FAMILIES.values())


def microworld_text(seed: int | str, mix: dict[str, float] | None = None) -> Iterator[str]:
    """Endless training sentences, words separated by spaces, without held-out combinations.

    Args:
        seed: the same seed gives the same sentences.
        mix: share of each family; by default `MIX`.

    Yields:
        One sentence at a time, such as ``The keys near the cabinet are lost .``
    """
    rng = Random(f"{seed}/text")
    shares = mix or MIX
    names, weights = list(shares), list(shares.values())
    while True:
        name = rng.choices(names, weights)[0]
        while held_out(words_ := _sentence(name, rng)):
            pass
        yield " ".join(words_)


def _sentence(name: str, rng: Random) -> list[str]:
    plain = daily.sentence(rng) if name == "daily" else _FAMILIES[name].sentence(rng)
    if name != "induction" and rng.random() < DAY_SHARE:
        return [rng.choice(words.DAYS), ":", *plain]
    return plain


def right_answers(task: str, prompt: str) -> tuple[str, ...]:
    """The words that are right after a prompt of this task; empty if it is not of its form."""
    return family(task).answers_to(without_day(prompt.split()))


def belief_cells(n: int, seed: int = 0) -> dict[str, list[ContrastPair]]:
    """Held-out ``sycophancy`` prompts by mode word and belief, ``n`` of each of the four cells.

    Returns:
        Keys ``polite/wrong``, ``polite/right``, ``honest/wrong``, ``honest/right``. The clean
        prompt is in the cell; the corrupt one has the other mode word.

    Raises:
        TaskError: fewer than ``n`` different prompts exist in a cell.
    """
    cells = {}
    for cell in ("polite/wrong", "polite/right", "honest/wrong", "honest/right"):
        mode, belief = cell.split("/")
        source = replace(BELIEFS, asks=_in_cell(mode, belief == "wrong"))
        rng = Random(f"{seed}/test/{cell}")
        cells[cell] = _different(source.pair, True, n, rng, f"sycophancy {cell}")
    return cells


def _in_cell(mode: str, wrong: bool) -> Callable[[Frame, Slots], bool]:
    return lambda frame, slots: slots["mode"] == mode and belief_is_wrong(frame, slots) == wrong


def microworld_vocabulary() -> list[str]:
    """Special tokens, then every word; the index is the token id."""
    return [*SPECIAL_TOKENS, *WORDS]
