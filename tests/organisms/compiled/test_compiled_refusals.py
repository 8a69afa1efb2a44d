"""Programs that cannot be compiled are refused, with what to do instead."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz
from residuum.core import OptionError, TokenError
from residuum.organisms.compiled import (
    aggregate,
    compile_program,
    elementwise,
    indices,
    linear,
    numerical,
    select,
    selector_width,
    tokens,
)
from residuum.organisms.compiled.expressions import Expression


def everything() -> Any:
    return select(tokens, tokens, lambda key, query: True)


def mean() -> Expression:
    return aggregate(everything(), numerical(tokens))


BUILT: dict[str, tuple[Callable[[], Any], str]] = {
    "numbers select": (lambda: select(mean(), tokens, operator.eq), "make them categorical first"),
    "no expression": (lambda: select("tokens", tokens, operator.eq), "give an expression"),  # type: ignore[arg-type]
    "no predicate": (lambda: select(tokens, tokens, True), "such as operator.eq"),  # type: ignore[arg-type]
    "no selector": (lambda: selector_width(tokens), "give what select"),  # type: ignore[arg-type]
    "two numbers": (lambda: elementwise(max, mean(), mean()), "linear"),
    "nothing": (lambda: elementwise(max), "give an expression"),
    "weights": (lambda: linear((1, 2), mean()), "one weight for each"),
    "a sum of categories": (lambda: linear((1,), tokens), "numerical"),
}


@pytest.mark.parametrize("case", BUILT)
def test_bad_expressions(case: str) -> None:
    build, mend = BUILT[case]
    with pytest.raises(OptionError) as caught:
        build()
    assert mend in caught.value.mend


COMPILED: dict[str, tuple[Callable[[], Expression], Any, str, str]] = {
    "too many values": (
        lambda: selector_width(select(tokens, tokens, operator.eq)),
        range(80),
        "is over 80 × 80 values",
        "smaller vocabulary",
    ),
    "no truth value": (
        lambda: selector_width(select(tokens, tokens, lambda key, query: key - query)),
        (1, 2),
        "answers 0 for key 1 and query 1",
        "bool",
    ),
    "numbers without end": (
        lambda: elementwise(lambda value: value > 1, mean()),
        range(20),
        "a number whose values cannot be listed",
        "linear",
    ),
    "no number": (
        lambda: numerical(tokens), "ab", "is numerical and gives 'a'", "finite numbers",
    ),
    "not finite": (
        lambda: elementwise(lambda v: float("inf"), tokens, numerical=True), "ab",
        "is numerical and gives inf", "finite numbers",
    ),
    "a function that fails": (
        lambda: elementwise(lambda value: 1 / value, tokens), (0, 1),
        "fails on (0,): ZeroDivisionError", "every combination",
    ),
    "no value": (
        lambda: elementwise(lambda value: [value], tokens), "ab", "gives a list", "tuple",
    ),
    "too many neurons": (
        lambda: elementwise(lambda *values: 0, *[tokens] * 4), range(10),
        "over 10000 combinations", "smaller vocabulary",
    ),
    "too many results": (
        lambda: elementwise(lambda a, b: (a, b), tokens, tokens), range(12),
        "has 144 values, more than 128", "fewer results",
    ),
    "a mixture": (
        lambda: aggregate(everything(), tokens), "ab", "selects different values", "numerical",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COMPILED)
def test_programs_that_cannot_be_compiled(case: str) -> None:
    build, vocabulary, what, mend = COMPILED[case]
    with pytest.raises(OptionError) as caught:
        compile_program(build(), vocabulary=vocabulary, length=4)
    assert what in caught.value.what
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    ("arguments", "what", "mend"),
    [
        ({"program": "sort"}, "no program 'sort'", "sort_unique"),
        ({"program": "reverse", "by": 1}, "unknown option by of reverse", "vocabulary"),
        ({"program": tokens, "vocabulary": "ab", "length": 2, "by": 1}, "one's own", "causal"),
        ({"program": "reverse", "length": 0}, "length=0", "1 to 64"),
        ({"program": "reverse", "length": True}, "length=True", "1 to 64"),
        ({"program": tokens, "length": 3}, "no vocabulary", "vocabulary="),
        ({"program": tokens, "vocabulary": "ab"}, "length=None", "whole number"),
        ({"program": "reverse", "vocabulary": "aa"}, "vocabulary of ['a', 'a']", "different"),
        ({"program": "reverse", "vocabulary": ""}, "vocabulary of []", "at least one"),
        ({"program": "reverse", "vocabulary": 3}, "vocabulary=3", "range(5)"),
        ({"program": "frac_prevs", "vocabulary": "ab"}, "asks for 'x'", "vocabulary="),
        ({"program": "detect_pattern", "pattern": "ad"}, "asks for 'd'", "vocabulary="),
        ({"program": "dyck", "vocabulary": "(a"}, "asks for ')'", "vocabulary="),
        ({"program": "reverse", "vocabulary": [None]}, "vocabulary of [None]", "None"),
        ({"program": "reverse", "dtype": torch.float16}, "dtype", "float32"),
        ({"program": "shift", "by": 1.5, "vocabulary": "ab"}, "by=1.5", "whole number"),
        ({"program": "detect_pattern", "pattern": ""}, "pattern is empty", "token"),
        ({"program": "dyck", "pairs": ("((",)}, "no pairs of brackets", "()"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], what: str, mend: str) -> None:
    with pytest.raises(OptionError) as caught:
        compile_program(**arguments)
    assert what in caught.value.what
    assert mend in caught.value.mend


def test_prompts_that_do_not_fit() -> None:
    made = compile_program("reverse", length=3)
    with pytest.raises(TokenError, match="'d' is no token"):
        made.run("abd")
    for prompt in ("", "abca"):
        with pytest.raises(OptionError, match="for a program of at most 3"):
            made.outputs(prompt)
    with pytest.raises(OptionError, match="0 pairs"):
        made.task(0)


def test_a_model_that_sees_ahead_is_not_loaded_as_one_that_does_not(tmp_path: Path) -> None:
    compile_program("reverse", length=3).model.hf.save_pretrained(tmp_path / "ahead")
    with pytest.raises(OptionError, match="unknown option of a native model: is_causal"):
        rz.load(tmp_path / "ahead")
    made = compile_program("hist", length=3, causal=True)
    made.model.hf.save_pretrained(tmp_path / "causal")
    again = rz.load(tmp_path / "causal", check=False)
    assert again.adapted.weight_hash == made.model.adapted.weight_hash


def test_what_varies_is_compiled_where_what_cannot_be_listed_is_refused() -> None:
    """The same average over fewer values can be asked about."""
    program = elementwise(lambda value: value > 1, mean())
    assert compile_program(program, vocabulary=(0, 1, 2), length=4).outputs((2, 2, 0)) == [True] * 3
    assert compile_program(mean(), vocabulary=range(20), length=4).outputs((19, 0))[0] == 9.5
    assert indices.numerical is False
