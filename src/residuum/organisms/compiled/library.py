"""Programs that are known by name: what they compute, and on which tokens by default."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from residuum.core import OptionError
from residuum.organisms.compiled.expressions import (
    Expression,
    Selector,
    aggregate,
    elementwise,
    indices,
    linear,
    select,
    selector_width,
    tokens,
)


def _any(key: Any, query: Any) -> bool:
    return True


def _everything() -> Selector:
    return select(tokens, tokens, _any)


def length() -> Expression:
    """How many tokens there are, at every position."""
    return selector_width(_everything(), name="length")


def hist() -> Expression:
    """How often the token stands in the prompt."""
    return selector_width(select(tokens, tokens, operator.eq), name="hist")


def reverse() -> Expression:
    """The tokens from the last to the first."""
    left = elementwise(operator.sub, length(), indices, name="left")
    opposite = elementwise(lambda value: value - 1, left, name="opposite")
    return aggregate(select(indices, opposite, operator.eq), tokens, name="reverse")


def sort_unique() -> Expression:
    """The tokens in ascending order; where a token stands twice, nothing follows its first."""
    smaller = selector_width(select(tokens, tokens, operator.lt), name="place")
    return aggregate(select(smaller, indices, operator.eq), tokens, name="sorted")


def frac_prevs(token: Any = "x") -> Expression:
    """The share of ``token`` among the tokens so far, this one included; a number."""
    return _share_so_far(token, "frac_prevs")


def _share_so_far(token: Any, name: str) -> Expression:
    return aggregate(select(indices, indices, operator.le), _is_number(token), name=name)


def _is_number(token: Any) -> Expression:
    return elementwise(lambda own: int(own == token), tokens, numerical=True, name=f"is {token}")


def shift(by: int = 1) -> Expression:
    """The token ``by`` positions earlier (later, if negative); nothing where there is none."""
    return _shifted(by, tokens, "shift")


def _shifted(by: int, values: Expression, name: str = "") -> Expression:
    if not isinstance(by, int) or isinstance(by, bool):
        raise OptionError(f"by={by!r:.40}", mend="give a whole number of positions")
    if by == 0:
        return values
    return aggregate(select(indices, indices, lambda key, query: key == query - by), values, name)


def detect_pattern(pattern: Sequence[Any] = "ab") -> Expression:
    """Whether the tokens up to this one end in the pattern; nothing where they are too few."""
    if not pattern:
        raise OptionError("the pattern is empty", mend="give at least one token")
    found: Expression | None = None
    for back, token in enumerate(reversed(list(pattern))):
        there = _shifted(back, tokens.equals(token))
        found = there if found is None else elementwise(_both, found, there)
    assert found is not None
    return found


def _both(one: bool, other: bool) -> bool:
    return one and other


def dyck(pairs: Sequence[str] = ("()",)) -> Expression:
    """Whether the prompt is balanced: every bracket that opens closes, and none closes before.

    Several pairs are judged each by itself (shuffle-Dyck).
    """
    if not pairs or any(len(set(pair)) != 2 for pair in pairs):
        raise OptionError(
            f"pairs={pairs!r:.60} are no pairs of brackets", mend='give such as ("()", "[]")'
        )
    size = selector_width(_everything(), name="length")
    last = elementwise(lambda value: value - 1, size, name="last")
    verdict: Expression | None = None
    for opening, closing in pairs:
        own = _balanced(opening, closing, last)
        verdict = own if verdict is None else elementwise(_both, verdict, own)
    assert verdict is not None
    return verdict


def _balanced(opening: str, closing: str, last: Expression) -> Expression:
    """Whether one pair never falls below zero and ends there; the same at every position."""
    shares = [_share_so_far(each, f"share of {each}") for each in (opening, closing)]
    balance = linear((1, -1), *shares, name=f"balance of {opening}{closing}")
    below = elementwise(lambda value: int(value < 0), balance, numerical=True, name="below zero")
    ever = aggregate(_everything(), below, name="share below zero")
    never = elementwise(lambda value: value == 0, ever, name="never below")
    level = elementwise(lambda value: value == 0, balance, name="level")
    ends = aggregate(select(indices, last, operator.eq), level, name="ends level")
    return elementwise(_both, never, ends, name=f"balanced {opening}{closing}")


@dataclass(frozen=True)
class NamedProgram:
    """A program of the library.

    Attributes:
        build: its function; the options are the function's own.
        vocabulary: tokens by default.
        length: most tokens by default.
        named: tokens that it asks for, by its options; a vocabulary without them is refused.
    """

    build: Callable[..., Expression]
    vocabulary: tuple[Any, ...]
    length: int = 5
    named: Callable[..., Sequence[Any]] = lambda **options: ()


PROGRAMS: dict[str, NamedProgram] = {
    "length": NamedProgram(length, ("a", "b", "c")),
    "hist": NamedProgram(hist, ("a", "b", "c")),
    "reverse": NamedProgram(reverse, ("a", "b", "c")),
    "sort_unique": NamedProgram(sort_unique, (1, 2, 3), 4),
    "frac_prevs": NamedProgram(frac_prevs, ("x", "y", "z"), named=lambda token="x": [token]),
    "shift": NamedProgram(shift, ("a", "b", "c")),
    "detect_pattern": NamedProgram(
        detect_pattern, ("a", "b", "c"), named=lambda pattern="ab": list(pattern)
    ),
    "dyck": NamedProgram(
        dyck, ("(", ")"), 6, named=lambda pairs=("()",): [each for pair in pairs for each in pair]
    ),
}
"""Name -> program."""
