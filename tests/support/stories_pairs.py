"""Contrast pairs from real stories: an opening, and the same with one thing turned about.

Nothing is written for the model: the openings are those of TinyStories, cut where the contrast
shows, and the answers are the words with which a story goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import residuum as rz

CHARACTERS = 250


class Contrast(NamedTuple):
    """Two texts that differ in one thing, and what follows each."""

    clean: str
    corrupt: str
    answer: str
    wrong: str


SEX = re.compile(r"^(.*?\b(?:Lily|Timmy|Tim)\b.*?)\b(She|He|she|he|her|his)\b", re.DOTALL)
OTHER = {"girl": "boy", "boy": "girl", "Lily": "Timmy", "Timmy": "Lily", "Tim": "Lily"}
MALE = {"She": "He", "she": "he", "her": "his"}
FEMALE = {male: female for female, male in MALE.items()}
GENDERED = re.compile(r"\b(him|hers|herself|himself)\b")
NUMBER = re.compile(r"^(.*?[.!?] )(They|He|She) (?:was|were)\b", re.DOTALL)


def she_or_he(story: str) -> Contrast | None:
    """Up to the first pronoun; the other side has the other names, girl for boy."""
    found = SEX.match(story)
    if found is None or GENDERED.search(found[1]):
        return None
    told, said = found[1].rstrip(), found[2]
    turned = re.sub(r"\b(\w+)\b", lambda word: OTHER.get(word[0], word[0]), told)
    texts = (told, turned) if said in MALE else (turned, told)
    she = said if said in MALE else FEMALE[said]
    return Contrast(*texts, she, MALE[she])


def were_or_was(story: str) -> Contrast | None:
    """Up to the verb; the one side says They, the other He or She, as the story's first name is."""
    found = NUMBER.match(story)
    if found is None:
        return None
    one = found[2] if found[2] != "They" else "She" if re.search("girl|Lily", found[1]) else "He"
    return Contrast(f"{found[1]}They", f"{found[1]}{one}", "were", "was")


def story_task(
    model: rz.Model, path: Path, name: str, make: Callable[[str], Contrast | None], pairs: int
) -> rz.Task:
    """The first so many pairs, each story a template; both sides have as many tokens."""
    stories: Sequence[str] = json.loads(path.read_text())
    rows, seen = [], set()
    for number, story in enumerate(stories):
        made = make(story)
        if made is None or len(made.clean) > CHARACTERS or len(rows) == pairs:
            continue
        clean, corrupt = (model.to_tokens(text)[0].tolist() for text in made[:2])
        if len(clean) != len(corrupt) or {*made[:2]} & seen:
            continue
        seen |= {*made[:2]}
        answers = [
            following(model, text, word) for text, word in zip(made[:2], made[2:], strict=True)
        ]
        if len(set(answers)) == 2:
            rows.append((clean, corrupt, *answers, f"story {number}"))
    clean, corrupt, answers, wrong, templates = (list(each) for each in zip(*rows, strict=True))
    lengths = [len(row) for row in clean]
    padded = [[row + [0] * (max(lengths) - len(row)) for row in side] for side in (clean, corrupt)]
    return rz.Task.from_pairs(
        None, model, clean=padded[0], corrupt=padded[1], answers=answers, wrong=wrong,
        templates=templates, lengths=lengths, name=name,
    )  # fmt: skip


def following(model: rz.Model, text: str, word: str) -> int:
    """First token with which a word goes on from a text."""
    start = model.to_tokens(text)[0].tolist()
    return model.to_tokens(f"{text} {word}")[0].tolist()[len(start)]
