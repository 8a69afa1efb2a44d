"""The language of compiled programs: what every position holds, as expressions of the tokens.

An expression has a value at every position: one of a known set (*categorical*) or a number
(*numerical*). ``None`` is the value of a place that has none, such as an average over nothing.

>>> from residuum.organisms.compiled import indices, select, selector_width, tokens
>>> length = selector_width(select(tokens, tokens, lambda key, query: True), name="length")
>>> length.numerical, [each.kind for each in length.parts()]
(False, ['input', 'selector_width'])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from residuum.core import OptionError


@dataclass(frozen=True, eq=False)
class Expression:
    """A value at every position; equal only to itself.

    Attributes:
        kind: what sort of expression it is, in the words of the language.
        name: as the user calls it; may be empty.
    """

    kind: ClassVar[str] = "input"
    name: str = field(default="", kw_only=True)

    @property
    def inputs(self) -> tuple[Expression, ...]:
        """Expressions that it is computed from."""
        return ()

    @property
    def numerical(self) -> bool:
        """Whether it is one number in the stream, rather than one direction for each value."""
        return False

    def parts(self) -> tuple[Expression, ...]:
        """This expression and all it is computed from, once each, inputs first."""
        found: dict[int, Expression] = {}
        _collect(self, found)
        return tuple(found.values())

    def equals(self, value: Any) -> Expression:
        """Whether the value is this one: a categorical expression, True or False."""
        return elementwise(lambda own: bool(own == value), self)


def _collect(expression: Expression, found: dict[int, Expression]) -> None:
    if id(expression) not in found:
        for each in expression.inputs:
            _collect(each, found)
        found[id(expression)] = expression


@dataclass(frozen=True, eq=False)
class Input(Expression):
    """The tokens, or the positions counted from 0; :data:`tokens` and :data:`indices`."""


@dataclass(frozen=True, eq=False)
class Selector:
    """Which keys each query looks at; not an expression, it has a value for every pair.

    Attributes:
        keys, queries: categorical expressions.
        predicate: ``(key value, query value) -> bool``; not asked where either value is missing.
    """

    keys: Expression
    queries: Expression
    predicate: Callable[[Any, Any], bool]


@dataclass(frozen=True, eq=False)
class Aggregate(Expression):
    """What a selector's keys hold: their mean, or the one value that they share."""

    kind: ClassVar[str] = "aggregate"
    selector: Selector
    values: Expression

    @property
    def inputs(self) -> tuple[Expression, ...]:
        """Keys, queries and values."""
        return (self.selector.keys, self.selector.queries, self.values)

    @property
    def numerical(self) -> bool:
        """Whether it is a number."""
        return self.values.numerical


@dataclass(frozen=True, eq=False)
class SelectorWidth(Expression):
    """How many keys each query selects, a categorical value from 0 to the length."""

    kind: ClassVar[str] = "selector_width"
    selector: Selector

    @property
    def inputs(self) -> tuple[Expression, ...]:
        """Keys and queries."""
        return (self.selector.keys, self.selector.queries)


@dataclass(frozen=True, eq=False)
class Elementwise(Expression):
    """A function of what the position itself holds."""

    kind: ClassVar[str] = "elementwise"
    function: Callable[..., Any]
    of: tuple[Expression, ...]
    gives_number: bool

    @property
    def inputs(self) -> tuple[Expression, ...]:
        """What it is a function of."""
        return self.of

    @property
    def numerical(self) -> bool:
        """Whether it is a number."""
        return self.gives_number


@dataclass(frozen=True, eq=False)
class Linear(Expression):
    """A weighted sum of numerical expressions."""

    kind: ClassVar[str] = "linear"
    of: tuple[Expression, ...]
    weights: tuple[float, ...]

    @property
    def inputs(self) -> tuple[Expression, ...]:
        """What it is a function of."""
        return self.of

    @property
    def numerical(self) -> bool:
        """Whether it is a number."""
        return True


tokens = Input(name="tokens")
"""The tokens of the prompt, without the one that begins it."""

indices = Input(name="indices")
"""The position of each token, counted from 0."""


def select(
    keys: Expression, queries: Expression, predicate: Callable[[Any, Any], bool]
) -> Selector:
    """Each position selects the positions whose key the predicate accepts.

    Args:
        keys, queries: categorical expressions.
        predicate: ``(key value, query value) -> bool``, for all pairs of their values.

    Raises:
        OptionError: a numerical expression, or none.
    """
    for each, name in ((keys, "keys"), (queries, "queries")):
        _need(each, f"select({name}=…)")
        if each.numerical:
            raise OptionError(
                f"{name} of a selector are numerical; a head matches values that it has by name",
                mend="make them categorical first: elementwise(lambda value: value, them)",
                where="select",
            )
    _need_callable(predicate, "select")
    return Selector(keys, queries, predicate)


def aggregate(selector: Selector, values: Expression, name: str = "") -> Expression:
    """The mean of numerical values over the selected keys; the one categorical value they share.

    Where nothing is selected, a number is 0 and a categorical value ``None``. Selected categorical
    values that differ are refused when the program runs.

    Raises:
        OptionError: no selector or no expression.
    """
    _need_selector(selector, "aggregate")
    _need(values, "aggregate(values=…)")
    return Aggregate(selector, values, name=name)


def selector_width(selector: Selector, name: str = "") -> Expression:
    """How many keys each query selects.

    Raises:
        OptionError: no selector.
    """
    _need_selector(selector, "selector_width")
    return SelectorWidth(selector, name=name)


def elementwise(
    function: Callable[..., Any], *of: Expression, numerical: bool = False, name: str = ""
) -> Expression:
    """A function of one or several values at the same position.

    Args:
        function: asked once for every combination of values when the program is compiled. A number
            that comes out of an average arrives as a ``fractions.Fraction``. ``None`` means no
            value (a number then is 0); where an input has none, the function is not asked.
        of: one numerical expression, or one or more categorical ones.
        numerical: whether the result is a number in one direction of the stream.
        name: of the result.

    Raises:
        OptionError: nothing to work on, or several numerical inputs.
    """
    _need_callable(function, "elementwise")
    for each in of:
        _need(each, "elementwise")
    if not of or (len(of) > 1 and any(each.numerical for each in of)):
        raise OptionError(
            "elementwise takes one numerical expression, or categorical ones",
            mend="give an expression; add numbers with linear(weights, *of), or make them "
            "categorical first: elementwise(lambda value: value, number)",
            where="elementwise",
        )
    return Elementwise(function, tuple(of), bool(numerical), name=name)


def numerical(of: Expression, name: str = "") -> Expression:
    """Categorical values that are numbers, as one number in the stream."""
    return elementwise(lambda value: value, of, numerical=True, name=name)


def linear(weights: Sequence[float], *of: Expression, name: str = "") -> Expression:
    """A weighted sum of numerical expressions.

    Raises:
        OptionError: other than one weight for each, or a categorical expression.
    """
    for each in of:
        _need(each, "linear")
    if not of or len(weights) != len(of) or not all(each.numerical for each in of):
        raise OptionError(
            f"linear got {len(weights)} weights for {len(of)} expressions of which "
            f"{sum(each.numerical for each in of)} are numerical",
            mend="give one weight for each numerical expression; numerical(x) makes one",
            where="linear",
        )
    return Linear(tuple(of), tuple(float(weight) for weight in weights), name=name)


def _need(value: Any, where: str) -> None:
    if not isinstance(value, Expression):
        raise OptionError(
            f"{where} got a {type(value).__name__}",
            mend="give an expression: tokens, indices, or what the language's functions return",
            where=where,
        )


def _need_selector(value: Any, where: str) -> None:
    if not isinstance(value, Selector):
        raise OptionError(
            f"{where} got a {type(value).__name__} for a selector",
            mend="give what select(keys, queries, predicate) returns",
            where=where,
        )


def _need_callable(value: Any, where: str) -> None:
    if not callable(value):
        raise OptionError(
            f"{where} got a {type(value).__name__} for a function",
            mend="give a function, such as operator.eq",
            where=where,
        )
