"""Real text: the character's sex, found on half of the stories and proven on the other half."""

from __future__ import annotations

import json
import re

import pytest
import torch

import residuum as rz
from residuum.directions.alignment import template_halves
from residuum.directions.proving import prove

OPENING = re.compile(r"^(.*?\b(?:Lily|Timmy|Tim)\b.*?)\b(She|He|she|he|her|his)\b", re.DOTALL)
OTHER = {"girl": "boy", "boy": "girl", "Lily": "Timmy", "Timmy": "Lily", "Tim": "Lily"}
FEMALE = {"She": "He", "she": "he", "her": "his"}
MALE = {male: female for female, male in FEMALE.items()}
GENDERED = re.compile(r"\b(him|hers|herself|himself)\b")
CHARACTERS, PAIRS = 250, 96
AT = "L3.resid_post@-1"


@pytest.fixture(scope="module")
def model(test_data):
    torch.set_num_threads(1)
    return rz.load(test_data / "stories260K", check=False)


@pytest.fixture(scope="module")
def halves(model, test_data):
    """Pairs of a story's opening, up to the pronoun, and the same with the other sex."""
    stories = json.loads((test_data / "text" / "tinystories_1000.json").read_text())
    rows = {name: [] for name in ("clean", "corrupt", "answers", "wrong", "templates")}
    seen = set()
    for number, story in enumerate(stories):
        found = OPENING.match(story)
        if found is None or GENDERED.search(found[1]) or len(seen) == 2 * PAIRS:
            continue
        told = found[1].rstrip()
        if len(told) > CHARACTERS:
            continue
        turned = re.sub(r"\b(\w+)\b", lambda word: OTHER.get(word[0], word[0]), told)
        girl = found[2] in FEMALE
        pronouns = (found[2], (FEMALE | MALE)[found[2]])
        texts = [text if girl else other for text, other in ((told, turned), (turned, told))]
        ids = [model.to_tokens(text)[0].tolist() for text in texts]
        if len(ids[0]) != len(ids[1]) or {told, turned} & seen:
            continue
        seen |= {told, turned}
        she, he = (
            model.to_tokens(f"a {word}")[0, -1].item() for word in pronouns[:: 1 if girl else -1]
        )
        row = (ids[0], ids[1], she, he, f"story {number}")
        for name, value in zip(rows, row, strict=True):
            rows[name].append(value)
    lengths = [len(row) for row in rows["clean"]]
    for side in ("clean", "corrupt"):
        rows[side] = [row + [0] * (max(lengths) - len(row)) for row in rows[side]]
    task = rz.Task.from_pairs(None, model, **rows, lengths=lengths, name="she or he")
    return template_halves(task)


@pytest.mark.slow
def test_the_sex_of_a_character_is_found_and_proven(model, halves):
    fit, held = halves
    assert len(fit) >= 20 and len(held) >= 20 and not set(fit.templates) & set(held.templates)
    found = rz.direction(model, fit, at=AT, prove=False)
    proof = prove(found, model, held, n_random=19, seed=0)
    print(proof)
    assert proof.split.startswith("no pair was seen")
    assert proof.verdict["decodable"] is True and proof.verdict["causal"] is True


def test_the_same_stories_are_refused(model, halves):
    found = rz.direction(model, halves[0], at=AT, prove=False)
    with pytest.raises(rz.ResiduumError, match="no template is free of them"):
        prove(found, model, halves[0])


@pytest.mark.slow
def test_labels_drawn_at_random_are_not_causal(model, halves):
    """The same stories, each side's sex drawn at random: what is found proves nothing."""
    fit, held = halves
    generator = torch.Generator().manual_seed(3)
    texts = [row[:n].tolist() for ids in (fit.clean, fit.corrupt)
             for row, n in zip(ids, fit.lengths.tolist(), strict=True)]  # fmt: skip
    labels = torch.randint(2, (len(texts),), generator=generator).tolist()
    examples = rz.Examples.from_texts(model, texts, labels)
    found = rz.direction(model, examples, at=AT, prove=False)
    assert prove(found, model, held, seed=0).verdict["causal"] is False
