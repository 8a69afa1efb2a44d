"""Compiled programs compute what they say, on every prompt there is."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch

import residuum as rz
from residuum.core import CheckFailed, TaskError
from residuum.organisms.compiled import (
    PROGRAMS,
    CompiledProgram,
    aggregate,
    assembling,
    compile_program,
    describe,
    elementwise,
    indices,
    linear,
    numerical,
    select,
    selector_width,
    tokens,
)
from residuum.organisms.compiled.compiling import expected_logits


@cache
def compiled(name: str) -> CompiledProgram:
    return compile_program(name)


def sorted_unique(x: Sequence[Any]) -> list[Any]:
    places = [sum(other < own for other in x) for own in x]
    return [next((own for own, at in zip(x, places, strict=True) if at == i), None)
            for i in range(len(x))]  # fmt: skip


def balanced(x: Sequence[str]) -> list[bool]:
    depths = [x[: i + 1].count("(") - x[: i + 1].count(")") for i in range(len(x))]
    return [min(depths) >= 0 and depths[-1] == 0] * len(x)


MEANING: dict[str, Callable[[Any], list[Any]]] = {
    "length": lambda x: [len(x)] * len(x),
    "hist": lambda x: [x.count(own) for own in x],
    "reverse": lambda x: list(reversed(x)),
    "sort_unique": sorted_unique,
    "frac_prevs": lambda x: [x[: i + 1].count("x") / (i + 1) for i in range(len(x))],
    "shift": lambda x: [None, *x[:-1]],
    "detect_pattern": lambda x: [None, *(x[i : i + 2] == ("a", "b") for i in range(len(x) - 1))],
    "dyck": balanced,
}


def every_prompt(made: CompiledProgram) -> list[tuple[Any, ...]]:
    sizes = range(1, made.length + 1)
    return [prompt for size in sizes for prompt in made.prompts(size)]


def test_every_named_program_has_its_meaning_here() -> None:
    assert set(MEANING) == set(PROGRAMS)


@pytest.mark.parametrize("name", MEANING)
def test_model_and_interpreter_mean_what_the_name_says_on_every_prompt(name: str) -> None:
    made = compiled(name)
    prompts = every_prompt(made)
    assert made.checked == len(prompts) == len(set(prompts))
    for prompt in prompts:
        assert made.run(prompt) == MEANING[name](prompt)
    for size in range(1, made.length + 1):
        same = made.prompts(size)
        logits = made.model.run(torch.tensor([made.encode(each) for each in same])).logits[:, 1:]
        wanted = torch.stack([expected_logits(made, each) for each in same])
        assert (logits - wanted).abs().max() < 1e-6
        for prompt, row in zip(same, logits, strict=True):
            found = made.decode(row)
            if made.program.numerical:
                assert found == pytest.approx(MEANING[name](prompt), abs=1e-6)
            else:
                assert found == MEANING[name](prompt)


@pytest.mark.parametrize("name", ["hist", "length", "shift", "frac_prevs"])
def test_a_causal_program_sees_only_what_came_before(name: str) -> None:
    made = compile_program(name, causal=True, length=4)
    assert getattr(made.model.hf.config, "is_causal", True)
    for prompt in every_prompt(made):
        prefixes = [MEANING[name](prompt[: i + 1])[-1] for i in range(len(prompt))]
        assert made.run(prompt) == prefixes
        assert made.outputs(prompt) == pytest.approx(prefixes)


@pytest.mark.parametrize("name", MEANING)
def test_every_site_is_there_though_some_heads_are_idle(name: str) -> None:
    made = compiled(name)
    assert made.model.report is not None and made.model.report.passed
    assert made.model.adapted.seam_proven
    assert {"q_in", "k_in", "v_in", "mlp_in", "head_out"} <= {
        each.name for each in made.model.sites
    }


@pytest.mark.parametrize(
    ("name", "options", "prompt", "wanted"),
    [
        ("shift", {"by": -2}, "abc", ["c", None, None]),
        ("shift", {"by": 0}, "abc", ["a", "b", "c"]),
        ("detect_pattern", {"pattern": "aba"}, "ababa", [None, None, True, False, True]),
        ("detect_pattern", {"pattern": "c"}, "ac", [False, True]),
        ("frac_prevs", {"token": "b", "vocabulary": "ab"}, "abb", [0, 1 / 2, 2 / 3]),
        ("sort_unique", {"vocabulary": "bca"}, "ca", ["a", "c"]),
    ],
)
def test_named_programs_take_their_options(
    name: str, options: dict[str, Any], prompt: str, wanted: list[Any]
) -> None:
    made = compile_program(name, **options)
    assert made.outputs(prompt) == pytest.approx(wanted)


def test_two_kinds_of_brackets_are_judged_each_by_itself() -> None:
    made = compile_program("dyck", pairs=("()", "[]"), vocabulary="()[]", length=4)
    for prompt in every_prompt(made):
        kinds = [[c for c in prompt if c in pair] for pair in ("()", "[]")]
        round_ones = ["(" if c in "([" else ")" for kind in kinds for c in kind]
        halves = round_ones[: len(kinds[0])], round_ones[len(kinds[0]) :]
        verdict = all(balanced(tuple(half))[0] for half in halves if half)
        assert made.outputs(prompt)[0] == verdict


def most_frequent_count() -> Any:
    """A user's program: numbers, several inputs, a function of a number, numbers as tokens."""
    counts = selector_width(select(tokens, tokens, operator.eq), name="counts")
    everything = select(tokens, tokens, lambda key, query: True)
    mean = aggregate(everything, numerical(tokens), name="mean")
    spread = linear((2, -1), mean, numerical(counts), name="2 mean - count")
    sign = elementwise(lambda value: "up" if value > 0 else "down", spread, name="sign")
    return elementwise(lambda own, word, at: (own, word, at % 2), tokens, sign, indices)


def test_a_program_of_ones_own_is_compiled_too() -> None:
    made = compile_program(most_frequent_count(), vocabulary=(0, 1, 2), length=4)
    for prompt in every_prompt(made):
        mean = sum(prompt) / len(prompt)
        wanted = [(own, "up" if 2 * mean - prompt.count(own) > 1e-9 else "down", at % 2)
                  for at, own in enumerate(prompt)]  # fmt: skip
        assert made.outputs(prompt) == made.run(prompt) == wanted


def test_double_precision() -> None:
    made = compile_program("frac_prevs", length=7, vocabulary="xy", dtype=torch.float64)
    assert made.outputs("xxyyxxy")[-1] == pytest.approx(4 / 7, abs=1e-14)


def test_a_model_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "STRENGTH", 3.0)
    with pytest.raises(CheckFailed, match="the interpreter"):
        compile_program("reverse", length=3)


def test_many_prompts_are_drawn() -> None:
    made = compile_program("reverse", length=7, vocabulary="abcdef")
    assert made.checked == 1000
    assert made.outputs("fedcba") == list("abcdef")


def test_the_compiled_model_is_the_same_each_time() -> None:
    one, other = (compile_program("dyck").model.adapted.weight_hash for _ in range(2))
    assert one == other


def test_parts_are_told_with_their_places() -> None:
    made = compiled("reverse")
    assert made.describe().splitlines() == [
        "indices  at embed",
        "tokens  at embed",
        "length = selector_width(tokens)  [categorical]  at L0.head_out[H0], L0.mlp_out",
        "left = elementwise(length, indices)  [categorical]  at L1.mlp_out",
        "opposite = elementwise(left)  [categorical]  at L2.mlp_out",
        "reverse = aggregate(indices, opposite, tokens)  [categorical]  at L3.head_out[H0]",
    ]
    double = elementwise(operator.add, tokens.equals(1), tokens.equals(2))
    names = [line.split(" = ")[0] for line in describe(double)]
    assert names == ["tokens", "elementwise", "elementwise_2", "elementwise_3"]


@pytest.mark.parametrize("name", [name for name in MEANING if name != "length"])
def test_a_task_has_different_ends_and_the_model_gets_all_of_them(name: str) -> None:
    made = compiled(name)
    task = made.task(24, seed=1)
    check = task.evaluate(made.model)
    assert check.clean.accuracy == 1.0
    assert check.clean.logit_diff > check.corrupt.logit_diff
    if not made.program.numerical:
        assert check.corrupt.accuracy == 0.0
        ends = [made.decode(row)[-1] for row in made.model.run(task.clean).logits]
        assert ends == [made.vocabulary.labels[each] for each in task.answers[:, 0]]
    assert task == made.task(24, seed=1) != made.task(24, seed=2)
    assert made.task(3, length=2).clean.shape == (3, 3)


def test_a_program_whose_end_never_differs_has_no_task() -> None:
    with pytest.raises(TaskError, match="gives the same at the last of 5 tokens"):
        compiled("length").task()


def test_the_face_has_it() -> None:
    assert rz.organisms.compile_program is compile_program
    assert len(list(product("ab", repeat=2))) == len(
        compile_program("hist", vocabulary="ab", length=2).prompts()
    )
