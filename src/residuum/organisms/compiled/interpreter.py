"""The reference: what a program means, in plain Python, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from residuum.core import OptionError
from residuum.organisms.compiled.expressions import (
    Aggregate,
    Elementwise,
    Expression,
    Linear,
    Selector,
    SelectorWidth,
    tokens as TOKENS,
)
from residuum.organisms.compiled.naming import names_of
from residuum.organisms.compiled.values import as_number


def interpret(
    program: Expression,
    tokens: Sequence[Any],
    *,
    causal: bool = False,
    fixed: Mapping[int, Sequence[Any]] | None = None,
) -> list[Any]:
    """What the program computes.

    Args:
        program: an expression.
        tokens: one value for each position.
        causal: whether a position selects only itself and earlier ones.
        fixed: ``id`` of a part -> values it is given instead of its own: an intervention.

    Returns:
        One value for each position: ``None`` where there is none; numbers are fractions.

    Raises:
        OptionError: an average over categorical values that differ.

    >>> from residuum.organisms.compiled import indices, select, selector_width, tokens
    >>> import operator
    >>> interpret(selector_width(select(tokens, tokens, operator.eq)), "abba")
    [2, 2, 2, 2]
    """
    return Interpreter(program, tokens, causal, fixed)[program]


class Interpreter:
    """Values of all parts of a program on one input; ``interpreter[expression]``."""

    def __init__(
        self,
        program: Expression,
        tokens: Sequence[Any],
        causal: bool = False,
        fixed: Mapping[int, Sequence[Any]] | None = None,
    ) -> None:
        self._tokens, self._causal = list(tokens), causal
        self._names = names_of(program)
        self._known: dict[int, list[Any]] = {}
        for each in program.parts():
            given = None if fixed is None else fixed.get(id(each))
            self._known[id(each)] = self._value(each) if given is None else list(given)

    def __getitem__(self, expression: Expression) -> list[Any]:
        return self._known[id(expression)]

    def _value(self, each: Expression) -> list[Any]:
        if isinstance(each, SelectorWidth):
            return [len(chosen) for chosen in self._selected(each.selector)]
        if isinstance(each, Aggregate):
            chosen = self._selected(each.selector)
            return [self._joined(each, query, keys) for query, keys in enumerate(chosen)]
        if isinstance(each, Elementwise):
            return [self._mapped(each, some) for some in self._columns(each)]
        if isinstance(each, Linear):
            weights = [Fraction(weight) for weight in each.weights]
            return [
                sum((w * v for w, v in zip(weights, some, strict=True)), Fraction(0))
                for some in self._columns(each)
            ]
        return self._tokens if each is TOKENS else list(range(len(self._tokens)))

    def _columns(self, each: Expression) -> list[tuple[Any, ...]]:
        return list(zip(*(self[one] for one in each.inputs), strict=True))

    def _selected(self, selector: Selector) -> list[list[int]]:
        """Keys that each query selects."""
        keys, queries = self[selector.keys], self[selector.queries]
        return [
            [
                at
                for at, key in enumerate(keys[: query_at + 1] if self._causal else keys)
                if key is not None and query is not None and selector.predicate(key, query)
            ]
            for query_at, query in enumerate(queries)
        ]

    def _mapped(self, each: Elementwise, some: tuple[Any, ...]) -> Any:
        answer = None if None in some else each.function(*some)
        if each.numerical:
            return as_number(0 if answer is None else answer, self._names[id(each)])
        return answer

    def _joined(self, each: Aggregate, query: int, keys: list[int]) -> Any:
        held = [self[each.values][key] for key in keys]
        if each.numerical:
            return sum(held, Fraction(0)) / len(held) if held else Fraction(0)
        if len(set(held)) > 1:
            raise OptionError(
                f"{self._names[id(each)]} selects different values at position {query}: "
                f"{sorted(set(held), key=repr)!r:.80} on {self._tokens!r:.80}",
                mend="select keys of one value, or average numbers: numerical(values)",
                where=self._names[id(each)],
            )
        return held[0] if held else None
