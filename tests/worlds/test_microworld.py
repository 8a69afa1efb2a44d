"""Laws of microworld's generator."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, settings, strategies as st

from residuum.core.errors import TaskError
from residuum.worlds import (
    MICROWORLD_TASKS,
    belief_cells,
    control_pairs,
    microworld_pairs,
    microworld_text,
    microworld_vocabulary,
    right_answers,
    trigger_text,
)

CONTEXT = 64
WITHOUT_CONTROLS = ("facts", "sycophancy")
each_task = pytest.mark.parametrize("task", MICROWORLD_TASKS)
each_split = pytest.mark.parametrize("split", ["train", "test"])


def differing(one: str, other: str) -> list[int]:
    """Word positions at which two prompts differ."""
    return [i for i, (a, b) in enumerate(zip(one.split(), other.split(), strict=True)) if a != b]


@each_task
@each_split
def test_pairs_are_deterministic_different_and_of_equal_length(task: str, split: str) -> None:
    pairs = microworld_pairs(task, 100, seed=3, split=split)
    assert pairs == microworld_pairs(task, 100, seed=3, split=split)
    assert pairs != microworld_pairs(task, 100, seed=4, split=split)
    assert len({(pair.clean, pair.corrupt) for pair in pairs}) == 100
    for pair in pairs:
        assert len(differing(pair.clean, pair.corrupt)) == 1


@each_task
@each_split
def test_answers_are_determined_and_exclude_wrong_ones(task: str, split: str) -> None:
    for pair in microworld_pairs(task, 100, split=split):
        assert pair.answers and pair.wrong
        assert not set(pair.answers) & set(pair.wrong)
        assert right_answers(task, pair.clean) == pair.answers
        other = right_answers(task, pair.corrupt)
        assert other and other != pair.answers
        if task != "greater_than":
            assert other == pair.wrong


@each_task
def test_named_positions_lie_in_the_prompt(task: str) -> None:
    for pair in microworld_pairs(task, 50):
        words = pair.clean.split()
        assert pair.positions["end"] == len(words) - 1
        assert all(0 <= index < len(words) for index in pair.positions.values())


def test_positions_say_what_they_name() -> None:
    for pair in microworld_pairs("ioi", 50):
        words, at = pair.clean.split(), pair.positions
        assert words[at["S1"]] == words[at["S2"]] == pair.wrong[0]
        assert words[at["IO"]] == pair.answers[0]
        assert at["S1+1"] == at["S1"] + 1
        assert differing(pair.clean, pair.corrupt) == [at["S2"]]
    for pair in microworld_pairs("sycophancy", 50):
        words, at = pair.clean.split(), pair.positions
        assert words[at["mode"]] == "polite"
        assert words[at["belief"]] == pair.answers[0]
        assert differing(pair.clean, pair.corrupt) == [at["mode"]]
    for pair in microworld_pairs("induction", 50):
        words, at = pair.clean.split(), pair.positions
        assert words[at["A1"]] == words[at["A2"]]
        assert words[at["B1"]] == pair.answers[0]
        assert differing(pair.clean, pair.corrupt) == [at["B1"]]


@pytest.mark.parametrize("task", [t for t in MICROWORLD_TASKS if t not in WITHOUT_CONTROLS])
def test_controls_differ_in_a_word_that_does_not_matter(task: str) -> None:
    for pair in control_pairs(task, 50):
        assert len(differing(pair.clean, pair.corrupt)) == 1
        assert right_answers(task, pair.clean) == pair.answers
        assert right_answers(task, pair.corrupt) == pair.answers


@pytest.mark.parametrize("task", WITHOUT_CONTROLS)
def test_tasks_without_controls_say_so(task: str) -> None:
    with pytest.raises(TaskError, match="no control pairs"):
        control_pairs(task, 1)


def test_induction_has_many_periods() -> None:
    pairs = microworld_pairs("induction", 200)
    assert len({pair.positions["A2"] - pair.positions["A1"] for pair in pairs}) >= 8


def test_agreement_crosses_a_distractor_of_the_other_number() -> None:
    for pair in microworld_pairs("agreement", 100):
        words, at = pair.clean.split(), pair.positions
        plural = [words[at[name]].endswith("s") for name in ("subject", "distractor")]
        assert plural[0] != plural[1]


def test_belief_cells_cross_mode_and_belief() -> None:
    cells = belief_cells(50)
    assert set(cells) == {"polite/wrong", "polite/right", "honest/wrong", "honest/right"}
    for cell, pairs in cells.items():
        mode, belief = cell.split("/")
        for pair in pairs:
            words, at = pair.clean.split(), pair.positions
            follows = words[at["belief"]] == pair.answers[0]
            assert words[at["mode"]] == mode
            assert follows == (mode == "polite" or belief == "right")


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_every_word_of_the_text_is_in_the_vocabulary(seed: int) -> None:
    vocabulary = set(microworld_vocabulary())
    for text in (microworld_text, trigger_text):
        for sentence in islice(text(seed), 50):
            assert set(sentence.split()) <= vocabulary
            assert len(sentence.split()) < CONTEXT


@each_task
def test_prompts_and_answers_fit_vocabulary_and_context(task: str) -> None:
    vocabulary = set(microworld_vocabulary())
    for pair in microworld_pairs(task, 100):
        assert set(pair.clean.split()) | set(pair.corrupt.split()) <= vocabulary
        assert set(pair.answers) | set(pair.wrong) <= vocabulary
        assert len(pair.clean.split()) + 1 < CONTEXT


def test_the_text_of_a_seed_is_the_same_text() -> None:
    assert list(islice(microworld_text(5), 50)) == list(islice(microworld_text(5), 50))
    assert list(islice(microworld_text(5), 50)) != list(islice(microworld_text(6), 50))


def test_the_textbook_sentence_is_in_the_vocabulary() -> None:
    sentence = "When Mary and John went to the store , John gave a drink to"
    assert set(sentence.split()) <= set(microworld_vocabulary())
    assert right_answers("ioi", sentence) == ("Mary",)


def test_unknown_names_are_refused_with_the_list() -> None:
    with pytest.raises(TaskError) as refused:
        microworld_pairs("ioy", 1)
    assert refused.value.mend == f"one of: {', '.join(MICROWORLD_TASKS)}"
    with pytest.raises(TaskError, match="no split 'dev'"):
        microworld_pairs("ioi", 1, split="dev")


def test_more_pairs_than_exist_are_refused_with_the_number() -> None:
    with pytest.raises(TaskError) as refused:
        microworld_pairs("facts", 1000)
    assert refused.value.mend == "ask for at most 240"
