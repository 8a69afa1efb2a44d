"""No prompt is both chosen on and measured on, where that can be had."""

from __future__ import annotations

import pytest

import residuum as rz
from residuum.findings.chain.halves import halves, shared_prompts
from residuum.runs import Model, Task


def pairs(*rows: tuple[int, int]) -> Task:
    """Pairs of prompts that are named by a number each."""
    return rz.Task.from_pairs(
        clean=[[1, each] for each, _ in rows],
        corrupt=[[1, each] for _, each in rows],
        answers=[3] * len(rows),
        wrong=[4] * len(rows),
    )


def rows(task: Task) -> list[tuple[int, int]]:
    return list(zip(task.clean[:, 1].tolist(), task.corrupt[:, 1].tolist(), strict=True))


def test_pairs_that_share_nothing_are_taken_in_turn() -> None:
    task = pairs((10, 11), (12, 13), (14, 15), (16, 17), (18, 19))
    choose, measure = halves(task)
    assert choose.task_hash == task[0::2].task_hash
    assert measure.task_hash == task[1::2].task_hash
    assert shared_prompts(choose, measure) == 0


def test_pairs_that_share_a_prompt_stay_together() -> None:
    """Clean with clean, corrupt with corrupt, and one pair turned round: three, two and one."""
    task = pairs((10, 11), (12, 13), (10, 14), (15, 16), (17, 13), (11, 10))
    choose, measure = halves(task)
    assert rows(choose) == [(10, 11), (10, 14), (11, 10)]
    assert rows(measure) == [(12, 13), (15, 16), (17, 13)]
    assert shared_prompts(choose, measure) == 0
    assert shared_prompts(task[0::2], task[1::2]) == 2


def test_links_are_followed_over_several_pairs() -> None:
    """Neither of the first two shares a prompt with the other; the third links them."""
    task = pairs((10, 11), (12, 13), (11, 12), (20, 21), (22, 23), (24, 25))
    choose, measure = halves(task)
    assert rows(choose) == [(10, 11), (12, 13), (11, 12)]
    assert shared_prompts(choose, measure) == 0


def test_where_all_hang_together_they_are_cut_and_counted() -> None:
    task = pairs(*((10 + i, 9) for i in range(8)))
    choose, measure = halves(task)
    assert (len(choose), len(measure)) == (4, 4)
    assert shared_prompts(choose, measure) == 4


@pytest.mark.parametrize("name", ["facts", "refusal", "greater_than", "sentiment", "ioi"])
def test_microworlds_tasks_come_in_halves_without_a_common_prompt(model: Model, name: str) -> None:
    task = rz.task(name, model, n=64)
    choose, measure = halves(task)
    assert shared_prompts(choose, measure) == 0
    assert len(choose) + len(measure) == 64 and min(len(choose), len(measure)) >= 28


def test_a_finding_says_how_many_prompts_it_knew_before(model: Model) -> None:
    task = rz.task("agreement", model, n=16)
    one = task.corrupt[:1].expand_as(task.corrupt)
    rows = [row for row in range(16) if bool((task.lengths[row] == task.lengths[0]).all())]
    same = rz.Task.from_pairs(
        clean=task.clean[rows], corrupt=one[rows], answers=task.answers[rows],
        wrong=task.wrong[rows], name="agreement",
    )  # fmt: skip
    found = rz.investigate(model, same, stages=())
    said = found.scope[1]
    assert found.status != "not supported"
    assert f"{len(rows) // 2} of which share a prompt with one of those" in said
