"""Sentences follow from the pairs and the numbers."""

from __future__ import annotations

import pytest
import torch

import residuum as rz
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.claim import Told
from residuum.findings.chain.scope import limits
from residuum.findings.record.evidence import BehaviourEvidence, Estimate
from residuum.findings.record.mechanism import Mechanism
from residuum.runs import Model


@pytest.mark.parametrize(
    ("corrupt", "said"),
    [
        ([[1, 9, 3, 0], [4, 9, 6, 7]], "differ in 1 token position."),
        ([[1, 9, 9, 0], [4, 9, 9, 7]], "differ in 2 token positions."),
        ([[1, 9, 3, 0], [9, 9, 9, 7]], "differ in 1 to 3 token positions."),
        ([[1, 9, 3, 5], [4, 9, 6, 7]], "differ in 1 token position."),
    ],
    ids=["one", "two", "several", "padding does not count"],
)
def test_limits_count_where_the_pairs_differ(corrupt: list[list[int]], said: str) -> None:
    clean = torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]])
    first = limits(clean, torch.tensor(corrupt), torch.tensor([3, 4]))[0]
    assert said in first and "name" not in first


def told(model: Model, right: float, wrong: list[int] | None, corrupt: list[list[int]]) -> Told:
    """What a claim is built from, with this accuracy, and these corrupt prompts."""
    clean = [[1, 2, 3, 4], [4, 5, 6, 7], [7, 8, 9, 10]]
    task = rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=[1, 2, 3], wrong=wrong)
    one = Estimate(right, right, right, 3)
    seen = BehaviourEvidence(one, one, one, one, one, one, one, one, 10)
    named = Mechanism("components", "given", ("L0.z[H1]",))
    return Told(Bench(model, task), named, seen, (), "supported")


@pytest.mark.parametrize(
    ("corrupt", "share"),
    [
        ([[1, 2, 3, 9], [4, 5, 9, 9], [9, 9, 0, 0]], 0.5),
        ([[1, 2, 3, 9], [4, 5, 6, 9], [9, 9, 0, 0]], 0.25),
        ([[9, 9, 9, 9], [9, 9, 9, 9], [7, 8, 9, 11]], 1.0),
    ],
)
def test_pairs_that_differ_nearly_everywhere_are_said_so(
    model: Model, corrupt: list[list[int]], share: float
) -> None:
    made = told(model, 1.0, [4, 5, 6], corrupt)
    assert made.bench.differing == share
    assert ("differ at 100 % of their positions" in made.contrast) == (share == 1.0)
    assert bool(made.contrast) == (share > 0.5)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (0.0, [4, 5, 6], "its most likely next token on none of them"),
        (0.25, [4, 5, 6], "its most likely next token on only 25 % of them"),
        (
            0.5,
            [4, 5, 6],
            "answer (logit difference 0.50, on corrupt prompts 0.50; accuracy 50 %)",
        ),
        (0.25, None, "accuracy 25 %"),
    ],
)
def test_an_answer_that_is_seldom_given_is_called_a_preference(
    model: Model, right: float, wrong: list[int] | None, said: str
) -> None:
    corrupt = [[1, 2, 3, 9], [4, 5, 6, 9], [7, 8, 9, 9]]
    made = told(model, right, wrong, corrupt).answer
    assert said in made
    assert ("preference for the right answer over the wrong one" in made) == ("likely" in said)


def test_an_absent_behaviour_speaks_of_no_patching(random_model: Model) -> None:
    """What was not done has no limits: only what was is told."""
    found = rz.investigate(random_model, "ioi", stages=())
    assert found.status == "not supported" and found.parts is None
    told = " ".join((*found.scope, *found.limits, found.intervention))
    for word in ("mover", "Silencing", "backup", "parts were chosen", "Kinds of part", "z`"):
        assert word not in told
    assert "Nothing was patched" in told and "the behaviour was measured on" in told
    assert "Whether other behaviours" not in found.claim
