"""New pairs share no prompt with those that were used, on either side."""

from __future__ import annotations

import pytest

import residuum as rz
from residuum.findings.chain.joining import unseen, unshared
from residuum.runs import Model, Task


def prompts(task: Task) -> set[tuple[int, ...]]:
    sides = (task.clean, task.corrupt)
    return {
        tuple(row[:n]) for ids in sides for row, n in zip(ids.tolist(), task.lengths, strict=True)
    }


def test_a_pair_the_other_way_round_was_seen(model: Model) -> None:
    task = rz.task("ioi", model, n=8)
    turned = task.swap(answers=False)
    assert unseen(turned, task) is None and unshared(turned, task) == []
    assert unshared(task[0::2], task[1::2]) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["refusal", "greater_than", "sentiment"])
def test_no_prompt_of_a_new_pair_was_used(model: Model, name: str) -> None:
    """Each of these draws prompts again with another seed, some on the other side of a pair."""
    used, drawn = rz.task(name, model, n=64), rz.task(name, model, n=32, seed=1)
    assert prompts(used) & prompts(drawn)
    new = unseen(drawn, used)
    assert new is not None and 0 < len(new) < len(drawn)
    assert not prompts(used) & prompts(new)
