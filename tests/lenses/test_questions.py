"""Prompts and tokens: the same mistake is said the same way by every verb of the room."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.lenses import (
    TunedLens,
    attention_view,
    direct_logit_attribution,
    stream_contributions,
    token_attribution,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import id_task, talker

ONE: dict[str, Callable[[Any], Any]] = {
    "logit_lens": lambda p: rz.logit_lens(talker(), p),
    "TunedLens.read": lambda p: lens().read(talker(), p),
    "attention_view": lambda p: attention_view(talker(), p),
}
MANY: dict[str, Callable[[Any], Any]] = {
    "direct_logit_attribution": lambda p: direct_logit_attribution(talker(), p, answers=3),
    "stream_contributions": lambda p: stream_contributions(talker(), p),
    "TunedLens.train": lambda p: TunedLens.train(talker(), p, steps=1),
    "TunedLens.evaluate": lambda p: lens().evaluate(talker(), p),
}
VERBS = ONE | MANY


def lens() -> TunedLens:
    return TunedLens.train(talker(), ["the cat"], steps=1)


WRONG: dict[str, tuple[Any, str]] = {
    "no prompts": ([], "the list of prompts is empty"),
    "no prompts in a tuple": ((), "the list of prompts is empty"),
    "an empty text": ("", "the prompt is empty"),
    "an empty row": ([[]], "the prompt is empty"),
    "an empty row beside another": ([[4, 5], []], "the prompt is empty"),
    "an empty tensor": (torch.zeros(1, 0).long(), "the prompt is empty"),
    "out of the vocabulary": ([4, 101], "token id 101 is out of range"),
    "out of the vocabulary, tensor": (torch.tensor([4, 101]), "token id 101 is out of range"),
    "below zero": ([-1, 4], "token id -1 is out of range"),
    "an unknown word": ("the bird", "not in the vocabulary: 'bird'"),
    "None": (None, "cannot run a prompt of type NoneType"),
    "a number": (3, "cannot run a prompt of type int"),
    "a dict": ({"the cat": 1}, "cannot run a prompt of type dict"),
    "bytes": (b"the cat", "token ids must be integers, got b'the cat'"),
    "floats": ([3.5, 4.0], "token ids must be integers"),
    "switches": ([True, False], "token ids must be integers"),
    "a tensor of floats": (torch.zeros(3), "token ids must be integers, got torch.float32"),
    "an array of floats": (np.zeros(3), "token ids must be integers, got torch.float64"),
    "three dimensions": (torch.zeros(1, 1, 3).long(), r"must be \[pos\] or \[batch pos\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_verb_says_the_same_of_the_same_mistake(case: str) -> None:
    given, text = WRONG[case]
    said = set()
    for call in VERBS.values():
        with pytest.raises(rz.TokenError, match=text) as caught:
            call(given)
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.parametrize("given", [["the cat sat", "the dog"], [[4, 5, 7], [6]]])
def test_prompts_of_several_lengths_are_taken_or_refused_by_name(given: Any) -> None:
    for call in ONE.values():
        with pytest.raises(rz.OptionError, match="reads one prompt at a time") as caught:
            call(given)
        assert "single prompt" in caught.value.mend
    for call in MANY.values():
        call(given)


def test_a_row_is_a_row_in_every_form() -> None:
    """A list of ids, of NumPy's integers, an array, a tensor: the same prompt to every verb."""
    forms = ([4, 5, 7], [np.int64(i) for i in (4, 5, 7)], np.array([4, 5, 7]),
             np.array([4, 5, 7], dtype=np.uint32), torch.tensor([4, 5, 7]))  # fmt: skip
    whole = rz.logit_lens(talker(), "the cat sat").kl_bits
    for form in forms:
        assert torch.equal(rz.logit_lens(talker(), form).kl_bits, whole)
        for call in VERBS.values():
            call(form)


def test_an_answer_that_is_also_wrong_is_refused() -> None:
    held = talker()
    with pytest.raises(rz.OptionError, match=r"is also its wrong answer: 'mat', id 11") as caught:
        direct_logit_attribution(held, "the cat sat on", answers="mat", wrong="mat")
    assert "two different tokens" in caught.value.mend
    with pytest.raises(rz.OptionError, match="is also its wrong answer"):
        direct_logit_attribution(held, [4, 5], answers=3, wrong=3)
    with pytest.raises(rz.OptionError, match="the answer of prompt 1 is also its wrong answer"):
        direct_logit_attribution(
            held, ["the cat", "the dog"], answers=["mat", "cat"], wrong=["dog", "cat"]
        )
    found = direct_logit_attribution(held, "the cat sat on", answers="mat", wrong="dog")
    assert np.abs(found.total).max() > 1e-6


def test_a_tasks_answer_that_is_also_wrong_is_refused_too() -> None:
    task = rz.Task.from_pairs(clean=[[4, 5]], corrupt=[[4, 6]], answers=[3], wrong=[7])
    for verb in (direct_logit_attribution, token_attribution):
        with pytest.raises(rz.TaskError, match="token 3 is both answer and wrong") as caught:
            verb(talker(), replace(task, wrong=task.answers))
        assert "one of them" in caught.value.mend


@pytest.mark.parametrize("answers", [101, -1, 2.5, True, None, [3, 4], [[3]], {}, b"mat", [None]])
def test_answers_that_are_no_tokens_are_refused(answers: Any) -> None:
    with pytest.raises((rz.TokenError, rz.OptionError)) as caught:
        direct_logit_attribution(talker(), "the cat", answers=answers)
    assert caught.value.mend


def test_answers_may_be_numpys_integers() -> None:
    plain = direct_logit_attribution(talker(), "the cat", answers=11)
    for answers in (np.int64(11), [np.int64(11)], np.array([11]), torch.tensor([11])):
        found = direct_logit_attribution(talker(), "the cat", answers=answers)
        np.testing.assert_array_equal(found.total, plain.total)
    assert rz.logit_lens(talker(), "the cat", track=np.int64(11)).tracked == (11,)


OPTIONS: dict[str, tuple[Callable[[dict[str, Any]], Any], tuple[str, ...]]] = {
    "direct_logit_attribution": (
        lambda o: direct_logit_attribution(talker(), "the cat", answers=11, **o),
        ("level", "resamples", "seed", "progress"),
    ),
    "token_attribution": (
        lambda o: token_attribution(talker(), id_task(), steps=1, **o),
        ("level", "resamples", "seed", "progress"),
    ),
    "TunedLens.evaluate": (
        lambda o: lens().evaluate(talker(), ["the cat"], **o),
        ("level", "resamples", "seed", "progress"),
    ),
    "TunedLens.train": (
        lambda o: TunedLens.train(talker(), ["the cat"], steps=1, **o), ("seed", "progress")
    ),
    "stream_contributions": (
        lambda o: stream_contributions(talker(), "the cat", **o), ("progress",)
    ),
}  # fmt: skip
OUT_OF_RANGE = {"level": (0, 2, True, "0.9"), "resamples": (0, 2.5), "seed": (-1, None),
                "progress": (3, None)}  # fmt: skip


@pytest.mark.parametrize("verb", OPTIONS)
def test_options_out_of_range_are_refused_before_any_work(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, names = OPTIONS[verb]
    call({})
    trained = lens()
    monkeypatch.setattr(sys.modules[__name__], "lens", lambda: trained)
    monkeypatch.setattr(rz.Model, "run", lambda *_, **__: pytest.fail("the model was run"))
    for name in names:
        for value in OUT_OF_RANGE[name]:
            with pytest.raises(rz.OptionError, match=f"{name}=") as caught:
                call({name: value})
            assert caught.value.mend


def test_kinds_and_measures_that_are_no_text_are_refused() -> None:
    view, found = attention_view(talker(), "the cat"), stream_contributions(talker(), "the cat")
    with pytest.raises(rz.OptionError, match=r"no view \['value'\]"):
        view.of(0, 0, ["value"])
    with pytest.raises(rz.OptionError, match=r"no measure \['share'\]"):
        found.figure(["share"])
    with pytest.raises(rz.OptionError, match=r"does not read 'L0:2\.resid_post'"):
        rz.logit_lens(talker(), "the cat", site="L0:2.resid_post")


def test_a_folder_that_cannot_be_made_is_told_before_the_training() -> None:
    for call in (
        lambda: TunedLens.train(talker(), ["the cat"], steps=10**9, keep="/proc/no/folder"),
        lambda: lens().save("/proc/no/folder"),
    ):
        with pytest.raises(rz.StoreError, match="cannot write to /proc/no/folder") as caught:
            call()
        assert "can be written to" in caught.value.mend
