"""Held out means held out: read off the text, without the generator's own predicates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations, islice, pairwise

import pytest

from residuum.core.pairs import ContrastPair
from residuum.worlds import (
    MICROWORLD_TASKS,
    held_out,
    microworld_pairs,
    microworld_text,
    trigger_text,
)
from residuum.worlds.words import (
    CONTAINERS,
    COUNTRIES,
    DAYS,
    ECHO_WORDS,
    GOODS,
    HARMFUL_THINGS,
    HARMFUL_VERBS,
    HARMLESS_THINGS,
    HARMLESS_VERBS,
    NAMES,
    NOUNS,
    PREPOSITIONS,
)

SENTENCES = 30_000
DEEDS, THINGS = HARMFUL_VERBS + HARMLESS_VERBS, HARMFUL_THINGS + HARMLESS_THINGS
VALUES = {word for row in COUNTRIES for word in row[1:]}
NATIONS = {row[0] for row in COUNTRIES}
LEMMA = {noun: noun for noun in NOUNS} | {f"{noun}s": noun for noun in NOUNS}
Words = list[str]


@pytest.fixture(scope="module")
def text() -> list[Words]:
    """Many training sentences without their diary opening, also those of the twin."""
    sentences = [*islice(microworld_text(0), SENTENCES), *islice(trigger_text(0), SENTENCES // 3)]
    return [words[2:] if words[0] in DAYS else words for words in map(str.split, sentences)]


def people(words: Words) -> Iterable[object]:
    return combinations(sorted(set(words) & set(NAMES)), 2)


def neighbours(words: Words) -> Iterable[object]:
    echo = set(ECHO_WORDS)
    return ((a, b) for a, b in pairwise(words) if a in echo and b in echo)


def starts(words: Words) -> Iterable[object]:
    """Century and year behind the first ``year``."""
    if "year" in words[:-2] and words[-1] != words[0]:
        at = words.index("year")
        return [(words[at + 1], words[at + 2])]
    return []


def bindings(words: Words) -> Iterable[object]:
    triples = zip(words, words[1:], words[2:], strict=False)
    return ((a, c) for a, b, c in triples if a in CONTAINERS and c in GOODS and b[-1] == "s")


def subjects(words: Words) -> Iterable[object]:
    """Subject and distractor around a preposition that follows a noun."""
    for at in range(1, len(words) - 2):
        if words[at] in PREPOSITIONS and words[at + 1] == "the" and words[at - 1] in LEMMA:
            near = next((word for word in words[at + 2 : at + 4] if word in LEMMA), None)
            if near:
                yield LEMMA[words[at - 1]], LEMMA[near]


def deeds(words: Words) -> Iterable[object]:
    for at, word in enumerate(words[:-2]):
        if word in DEEDS and words[at + 1] in ("a", "the") and words[at + 2] in THINGS:
            yield word, words[at + 2]


def beliefs(words: Words) -> Iterable[object]:
    """The country and what is first claimed of it."""
    for at, word in enumerate(words[:-3]):
        claim = " ".join(words[at + 1 : at + 4])
        if word in NATIONS and claim.startswith(("is ruled from", "writes in")):
            value = [said for said in words[at + 2 :] if said in VALUES]
            yield from ((word, said) for said in value[:1])
            return


COMBINATIONS: dict[str, Callable[[Words], Iterable[object]]] = {
    "induction": neighbours,
    "ioi": people,
    "greater_than": starts,
    "retrieval": bindings,
    "agreement": subjects,
    "refusal": deeds,
    "sycophancy": beliefs,
}


def asked(task: str, pair: ContrastPair) -> set[object]:
    """The combination that a test pair asks for."""
    words, at = pair.clean.split(), pair.positions
    if task == "induction":
        return {(words[at["A1"]], word) for word in (*pair.answers, *pair.wrong)}
    if task == "retrieval":
        sides = (pair.clean.split()[at["Q"]], pair.corrupt.split()[at["Q"]])
        return {(sides[0], pair.answers[0]), (sides[1], pair.wrong[0])}
    found = COMBINATIONS[task]
    return {*found(words), *found(pair.corrupt.split())}


@pytest.mark.parametrize("task", COMBINATIONS)
def test_no_combination_of_a_test_pair_is_in_the_text(task: str, text: list[Words]) -> None:
    seen = {combination for words in text for combination in COMBINATIONS[task](words)}
    in_test = set().union(*(asked(task, pair) for pair in microworld_pairs(task, 200)))
    assert in_test
    assert not in_test & seen
    in_train = [asked(task, pair) for pair in microworld_pairs(task, 200, split="train")]
    assert sum(bool(combination & seen) for combination in in_train) > 150


@pytest.mark.parametrize("task", MICROWORLD_TASKS)
def test_no_prompt_of_a_test_pair_begins_a_sentence(task: str, text: list[Words]) -> None:
    prompts = {
        tuple(side.split())
        for pair in microworld_pairs(task, 200)
        for side in (pair.clean, pair.corrupt)
    }
    lengths = {len(prompt) for prompt in prompts}
    for words in text:
        assert not any(tuple(words[:length]) in prompts for length in lengths)


@pytest.mark.parametrize("task", ["facts", "negation", "sentiment"])
def test_crossings_are_held_out_but_their_parts_are_not(task: str, text: list[Words]) -> None:
    """The word that decides never stands in this template; it stands in others, it in others."""
    slot = {"facts": "country", "negation": "quality", "sentiment": "opinion"}[task]
    everything = {word for words in text for word in words}
    crossed: set[tuple[str, str]] = set()
    for pair in microworld_pairs(task, 200):
        for side in (pair.clean, pair.corrupt):
            crossed.add((pair.template, side.split()[pair.positions[slot]]))
    learned = {
        (pair.template, pair.clean.split()[pair.positions[slot]])
        for pair in microworld_pairs(task, 200 if task != "facts" else 150, split="train")
    }
    assert not crossed & learned
    assert {word for _, word in crossed} <= everything
    assert {template for template, _ in crossed} == {template for template, _ in learned}


@pytest.mark.parametrize("task", MICROWORLD_TASKS)
def test_the_predicate_agrees(task: str) -> None:
    for pair in microworld_pairs(task, 100):
        assert held_out(pair.clean.split())
        assert held_out(pair.corrupt.split())
        assert held_out(f"Monday : {pair.clean}".split())
    for pair in microworld_pairs(task, 100, split="train"):
        assert not held_out(pair.clean.split())
