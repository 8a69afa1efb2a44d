"""Which values each expression of a program can have, found before anything is built."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement, product
from numbers import Rational
from typing import Any

from residuum.core import OptionError
from residuum.organisms.compiled.expressions import (
    Aggregate,
    Elementwise,
    Expression,
    Linear,
    Selector,
    SelectorWidth,
    tokens,
)
from residuum.organisms.compiled.naming import names_of

MOST_VALUES = 128
"""Values of one expression: directions in the stream."""

MOST_COMBINATIONS = 4096
"""Combinations of values that a predicate or a function is asked for: neurons, and scores."""


@dataclass(frozen=True)
class ValueSet:
    """What an expression can be.

    Attributes:
        values: each once; of numbers sorted. None: numbers too many to list.
        maybe_absent: whether it can also be without a value (a number is then 0, and listed).
    """

    values: tuple[Any, ...] | None
    maybe_absent: bool = False


def value_sets(program: Expression, vocabulary: Sequence[Any], length: int) -> dict[int, ValueSet]:
    """``id`` of each part of the program -> the values it can have.

    Raises:
        OptionError: too many values or combinations, a predicate that answers something else than
            true or false, a number that cannot be listed where its values are asked for.
    """
    names, found = names_of(program), {}
    for each in program.parts():
        found[id(each)] = _values_of(each, found, vocabulary, length, names[id(each)])
    return found


def _values_of(
    each: Expression, found: dict[int, ValueSet], vocabulary: Sequence[Any], length: int, name: str
) -> ValueSet:
    if isinstance(each, (Aggregate, SelectorWidth)):
        accepted_pairs(each.selector, found, name)
    if isinstance(each, SelectorWidth):
        return ValueSet(tuple(range(length + 1)))
    if isinstance(each, Aggregate):
        return _of_aggregate(found[id(each.values)], each.numerical, length)
    if isinstance(each, Elementwise):
        return _of_elementwise(each, [found[id(one)] for one in each.of], name)
    if isinstance(each, Linear):
        return _of_linear(each, [found[id(one)] for one in each.of])
    return ValueSet(tuple(vocabulary) if each is tokens else tuple(range(length)))


def accepted_pairs(
    selector: Selector, found: dict[int, ValueSet], name: str
) -> list[tuple[Any, Any]]:
    """Pairs (key value, query value) that the predicate accepts.

    Raises:
        OptionError: too many pairs, or an answer that is no truth value.
    """
    keys, queries = (found[id(each)].values or () for each in (selector.keys, selector.queries))
    if len(keys) * len(queries) > MOST_COMBINATIONS:
        raise OptionError(
            f"the predicate of {name} is over {len(keys)} × {len(queries)} values, more than "
            f"{MOST_COMBINATIONS}",
            mend="use a smaller vocabulary or length, or map them to fewer values first",
            where=name,
        )
    accepted = []
    for key, query in product(keys, queries):
        answer = _asked(selector.predicate, (key, query), name)
        if not isinstance(answer, bool) and type(answer).__name__ != "bool":
            raise OptionError(
                f"the predicate of {name} answers {answer!r} for key {key!r} and query {query!r}",
                mend="a predicate answers True or False: bool(…) makes a truth value",
                where=name,
            )
        if answer:
            accepted.append((key, query))
    return accepted


def _of_aggregate(values: ValueSet, is_number: bool, length: int) -> ValueSet:
    if not is_number:
        return ValueSet(values.values, maybe_absent=True)
    listed = values.values
    if listed is None or math.comb(length + len(listed), length) > MOST_COMBINATIONS:
        return ValueSet(None)
    means = {Fraction(0)} | {
        sum(some, Fraction(0)) / count
        for count in range(1, length + 1)
        for some in combinations_with_replacement(listed, count)
    }
    return _numbers(means)


def _of_elementwise(each: Elementwise, inputs: list[ValueSet], name: str) -> ValueSet:
    answers = [answer for _, answer in function_table(each, inputs, name)]
    absent = any(one.maybe_absent for one in inputs) or None in answers
    if each.numerical:
        return _numbers({*answers, Fraction(0)} if absent else set(answers), name)
    kept = tuple(dict.fromkeys(answer for answer in answers if answer is not None))
    if len(kept) > MOST_VALUES:
        _refuse_many(name, len(kept))
    return ValueSet(kept, maybe_absent=absent)


def function_table(
    each: Elementwise, inputs: list[ValueSet], name: str
) -> list[tuple[tuple[Any, ...], Any]]:
    """Every combination of input values with what the function makes of it.

    Numbers come out as fractions; a missing number as 0, another missing value as None.

    Raises:
        OptionError: inputs that cannot be listed, too many combinations, an answer of no use.
    """
    if any(one.values is None for one in inputs):
        raise OptionError(
            f"{name} is a function of a number whose values cannot be listed",
            mend="such numbers can be added with linear or be the result; for a function of them "
            "use a shorter length, or fewer values before they are averaged",
            where=name,
        )
    listed = [one.values or () for one in inputs]
    many = math.prod(len(one) for one in listed)
    if many > MOST_COMBINATIONS:
        raise OptionError(
            f"{name} is a function over {many} combinations of values, more than "
            f"{MOST_COMBINATIONS}",
            mend="use a smaller vocabulary or length, or map the inputs to fewer values first",
            where=name,
        )
    return [(some, _answer(each, some, name)) for some in product(*listed)]


def _answer(each: Elementwise, some: tuple[Any, ...], name: str) -> Any:
    answer = _asked(each.function, some, name)
    if each.numerical:
        return as_number(0 if answer is None else answer, name)
    try:
        hash(answer)
    except TypeError:
        raise OptionError(
            f"{name} gives a {type(answer).__name__} for {some!r:.60}, which cannot be a value",
            mend="give a number, a text, a truth value or a tuple",
            where=name,
        ) from None
    return answer


def as_number(value: Any, name: str) -> Fraction:
    """A number exactly, as a fraction.

    Raises:
        OptionError: no number, or no finite one.
    """
    if isinstance(value, Rational):
        return Fraction(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, str) or not math.isfinite(number):
        raise OptionError(
            f"{name} is numerical and gives {value!r:.40}",
            mend="give finite numbers, or leave numerical= out for a categorical result",
            where=name,
        )
    return Fraction(number)


def _of_linear(each: Linear, inputs: list[ValueSet]) -> ValueSet:
    sizes = [0 if one.values is None else len(one.values) for one in inputs]
    if 0 in sizes or math.prod(sizes) > MOST_COMBINATIONS:
        return ValueSet(None)
    weights = [Fraction(weight) for weight in each.weights]
    return _numbers(
        sum((w * v for w, v in zip(weights, some, strict=True)), Fraction(0))
        for some in product(*(one.values or () for one in inputs))
    )


def _numbers(values: Iterable[Fraction], name: str = "") -> ValueSet:
    listed = tuple(sorted(set(values)))
    if len(listed) > MOST_VALUES and name:
        _refuse_many(name, len(listed))
    return ValueSet(listed if len(listed) <= MOST_VALUES else None)


def _refuse_many(name: str, many: int) -> None:
    raise OptionError(
        f"{name} has {many} values, more than {MOST_VALUES}",
        mend="use a smaller vocabulary or length, or a function with fewer results",
        where=name,
    )


def _asked(function: Callable[..., Any], some: tuple[Any, ...], name: str) -> Any:
    """What a user's function answers; what it raises is told with the values."""
    try:
        return function(*some)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise OptionError(
            f"the function of {name} fails on {some!r:.60}: {error!r:.120}",
            mend="it must answer for every combination of the values that its inputs can have",
            where=name,
        ) from error
