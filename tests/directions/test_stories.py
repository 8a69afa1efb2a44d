"""Real text: a contrast found on half of the stories and proven on the other half."""

from __future__ import annotations

import pytest
import torch
from stories_pairs import following, she_or_he, story_task, were_or_was

import residuum as rz
from residuum.directions.proving import prove

CONTRASTS = {"she or he": she_or_he, "were or was": were_or_was}
FEW, ALL = 40, 192


@pytest.fixture(scope="module")
def model(test_data):
    torch.set_num_threads(1)
    return rz.load(test_data / "stories260K", check=False)


@pytest.fixture(scope="module")
def halves(model, test_data):
    """Of a contrast: pairs to find on and pairs to prove on, of other stories."""

    def of(name: str, pairs: int) -> tuple[rz.Task, rz.Task]:
        path = test_data / "text" / "tinystories_1000.json"
        return rz.template_halves(story_task(model, path, name, CONTRASTS[name], pairs))

    return of


def test_pairs_differ_in_the_contrast_alone() -> None:
    made = she_or_he("Once there was a boy named Tim. Tim had a cat. He liked it.")
    assert made is not None
    assert made.clean == "Once there was a girl named Lily. Lily had a cat."
    assert made.corrupt == "Once there was a boy named Tim. Tim had a cat."
    assert (made.answer, made.wrong) == ("She", "He")
    made = were_or_was("Lily had a cat. They were happy.")
    assert made is not None and made[:2] == ("Lily had a cat. They", "Lily had a cat. She")
    assert she_or_he("Tim saw himself. He ran.") is None and were_or_was("A dog ran.") is None


@pytest.mark.parametrize("name", CONTRASTS)
def test_few_stories_are_enough_to_find_and_prove(model, halves, name) -> None:
    """The layer is the best on validation stories of the first half."""
    fit, held = halves(name, FEW)
    assert len(fit) + len(held) == FEW and not set(fit.templates) & set(held.templates)
    found = rz.direction(model, fit, prove=False)
    proof = prove(found, model, held, n_random=39)
    assert proof.split.startswith("no pair was seen")
    assert proof.verdict["decodable"] is True and proof.verdict["causal"] is True


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTRASTS)
def test_a_contrast_is_found_on_half_of_the_stories_and_proven_on_the_other(
    model, halves, name
) -> None:
    fit, held = halves(name, ALL)
    assert len(fit) >= 60 and len(held) >= 60 and not set(fit.templates) & set(held.templates)
    found = rz.direction(model, fit, prove=False)
    proof = prove(found, model, held, n_random=199)
    assert proof.verdict["decodable"] is True and proof.verdict["causal"] is True
    for test in proof.tests:
        if test.kind in ("add", "erase", "swap"):
            assert test.p_adjusted <= 0.05 and test.recovered_frac > 0.8


def test_the_same_stories_are_refused(model, halves) -> None:
    fit, _ = halves("she or he", FEW)
    found = rz.direction(model, fit, at="L3.resid_post@-1", prove=False)
    with pytest.raises(rz.ResiduumError, match="no template is free of them"):
        prove(found, model, fit)


def test_answers_are_the_tokens_that_follow(model) -> None:
    text = "Once upon a time"
    whole = model.to_tokens(f"{text} there")[0].tolist()
    assert following(model, text, "there") == whole[len(model.to_tokens(text)[0])]


@pytest.mark.slow
def test_labels_drawn_at_random_are_not_causal(model, halves) -> None:
    """The same stories, each side's sex drawn at random: what is found proves nothing.

    With 199 draws a chance success has a rate of 5 %; of ten labellings at most two.
    """
    fit, held = halves("she or he", ALL)
    texts = [row[:n].tolist() for ids in (fit.clean, fit.corrupt)
             for row, n in zip(ids, fit.lengths.tolist(), strict=True)]  # fmt: skip
    claimed = 0
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(2, (len(texts),), generator=generator).tolist()
        examples = rz.Examples.from_texts(model, texts, labels)
        found = rz.direction(model, examples, at="L4.resid_post@-1", prove=False)
        claimed += prove(found, model, held, n_random=39, seed=seed).verdict["causal"] is True
    assert claimed <= 2
