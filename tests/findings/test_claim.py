"""Sentences follow from the pairs and the numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import residuum as rz
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.claim import Told, verdict
from residuum.findings.chain.falsifier import falsifier
from residuum.findings.chain.scope import limits
from residuum.findings.record.evidence import BehaviourEvidence, Estimate
from residuum.findings.record.mechanism import Mechanism
from residuum.findings.record.rules import Outcome, Rule, Status, decide
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
            "microworld's answer",
        ),
        (0.25, None, "microworld's answer"),
    ],
)
def test_an_answer_that_is_seldom_given_is_called_a_preference(
    model: Model, right: float, wrong: list[int] | None, said: str
) -> None:
    corrupt = [[1, 2, 3, 9], [4, 5, 6, 9], [7, 8, 9, 9]]
    whole = told(model, right, wrong, corrupt)
    made = whole.answer
    assert said in made
    assert whole.untouched.endswith(
        f" is {right:.2f} on clean and {right:.2f} on corrupt prompts, accuracy {100 * right:.0f} %"
    )
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


def ruled(**broken: Outcome) -> Status:
    """The status where all rules hold but these."""
    asks = {"Behaviour": "behaviour"}
    names = ("Behaviour", "Enough", "Needed", "More than chance", "No idle part")
    return decide(
        tuple(
            Rule(name, "", "", broken.get(name.replace(" ", "_"), "holds"),
                 asks.get(name, "mechanism"), decides=True)  # type: ignore[arg-type]
            for name in names
        )
    )  # fmt: skip


def test_only_what_the_rules_refute_by_is_said_to_refute(model: Model) -> None:
    """Not needed, or an idle part, leaves a finding undecided: it is no longer supported."""
    made = told(model, 1.0, [4, 5, 6], [[1, 2, 3, 9], [4, 5, 9, 9], [9, 9, 0, 0]])
    two = Mechanism("components", "given", ("L0.z[H1]", "L0.z[H5]"))
    said = falsifier(replace(made, mechanism=two))
    refuted, weaker = said.split("; no longer supported if ")
    assert ruled(Enough="fails") == ruled(More_than_chance="fails") == "not supported"
    assert "recovers less than 30 %" in refuted and "exceeds random parts" in refuted
    assert ruled(Needed="fails") == ruled(No_idle_part="fails") == "undecided"
    assert ruled(More_than_chance="unclear") == "undecided"
    for each in ("corrupt values cost less than 30 %", "less than 10 %", "does less than 2 %"):
        assert each in weaker and each not in refuted
    assert "does less than" not in falsifier(made)


@pytest.mark.parametrize("kind", ["components", "circuit", "direction"])
def test_a_falsifier_speaks_against_what_the_status_says(model: Model, kind: str) -> None:
    made = told(model, 1.0, [4, 5, 6], [[1, 2, 3, 9], [4, 5, 9, 9], [9, 9, 0, 0]])
    named = replace(made, mechanism=Mechanism(kind, "given", ("L0.z[H1]",), {"kept": []}))  # type: ignore[arg-type]
    supported = falsifier(named)
    undecided = falsifier(replace(named, status="undecided"))
    against = falsifier(replace(named, status="not supported"))
    assert supported.startswith(undecided.rstrip(".")) and "no longer supported" in supported
    assert "no longer" not in undecided + against
    assert "% or more" in against and "less than" not in against


def test_a_task_of_pairs_is_not_called_pairs_twice(model: Model) -> None:
    made = told(model, 1.0, [4, 5, 6], [[1, 2, 3, 9], [4, 5, 9, 9], [9, 9, 0, 0]])
    task = replace(made.bench.task, name="pairs")
    assert "on new pairs for" in falsifier(replace(made, bench=Bench(model, task)))
    assert "on new task pairs for" in falsifier(made)


@pytest.mark.parametrize(
    ("behaviour", "enough", "said"),
    [
        ("holds", "holds", "may depend on head L0.H1, but the evidence is mixed"),
        ("unclear", "holds", "may depend on head L0.H1, but the evidence is mixed"),
        ("unclear", "fails", "it is open whether microworld shows the behaviour, and head L0.H1 "
         "would not carry it"),
    ],
)  # fmt: skip
def test_an_open_behaviour_and_a_part_that_does_nothing_are_both_said(
    model: Model, behaviour: str, enough: str, said: str
) -> None:
    rules = (
        Rule("The answer is preferred", "", "", behaviour, "behaviour", decides=True),  # type: ignore[arg-type]
        Rule("Enough", "", "", enough, "mechanism", decides=True),  # type: ignore[arg-type]
        Rule("Needed", "", "", "unclear", "mechanism", decides=True),
    )
    made = told(model, 1.0, [4, 5, 6], [[1, 2, 3, 9], [4, 5, 6, 9], [7, 8, 9, 9]])
    assert decide(rules) == "undecided"
    assert said in verdict(replace(made, rules=rules, status="undecided"), "numbers")
