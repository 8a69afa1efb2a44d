"""Laws of the tasks in ordinary English."""

from __future__ import annotations

import pytest

from residuum.core.errors import TaskError
from residuum.worlds import ENGLISH_TASKS, english_pairs


@pytest.mark.parametrize("task", ENGLISH_TASKS)
def test_pairs_are_deterministic_different_and_of_one_form(task: str) -> None:
    pairs = english_pairs(task, 64, seed=1)
    assert pairs == english_pairs(task, 64, seed=1)
    assert pairs != english_pairs(task, 64, seed=2)
    assert len({(pair.clean, pair.corrupt) for pair in pairs}) == 64
    for pair in pairs:
        assert len(pair.clean.split(" ")) == len(pair.corrupt.split(" "))
        assert pair.clean != pair.corrupt
        assert not pair.clean.endswith(" ")
        assert not set(pair.answers) & set(pair.wrong)


@pytest.mark.parametrize("task", ENGLISH_TASKS)
def test_answers_are_one_word_with_its_space(task: str) -> None:
    for pair in english_pairs(task, 32):
        for word in (*pair.answers, *pair.wrong):
            if task == "greater_than":
                assert len(word) == 2 and word.isdigit()
            else:
                assert word[0] == " " and word[1:].isalpha()


@pytest.mark.parametrize("task", [task for task in ENGLISH_TASKS if task != "docstring"])
def test_several_templates(task: str) -> None:
    assert len({pair.template for pair in english_pairs(task, 64)}) >= 3


def test_the_recipient_is_named_once_and_the_giver_twice() -> None:
    for pair in english_pairs("ioi", 64):
        assert pair.clean.count(pair.answers[0]) + pair.clean.startswith(pair.answers[0][1:]) == 1
        assert pair.clean.count(pair.wrong[0]) == 2


def test_unknown_tasks_are_refused_with_the_list() -> None:
    with pytest.raises(TaskError) as refused:
        english_pairs("induction", 1)
    assert refused.value.mend == f"one of: {', '.join(ENGLISH_TASKS)}"
