"""How much an investigation may spend."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.core import OptionError


@dataclass(frozen=True)
class Budget:
    """What is spent.

    Attributes:
        name: as in :data:`BUDGETS`.
        n: pairs to measure on; as many others are used to choose heads.
        max_heads: heads named at most.
        max_mlps: MLPs named at most.
        random_sets: random sets of heads that the named ones are compared with.
        shuffles: random labellings that the behaviour is compared with.
    """

    name: str
    n: int
    max_heads: int
    max_mlps: int
    random_sets: int
    shuffles: int


BUDGETS = {
    each.name: each
    for each in (
        Budget("quick", n=32, max_heads=4, max_mlps=2, random_sets=20, shuffles=200),
        Budget("standard", n=64, max_heads=6, max_mlps=3, random_sets=40, shuffles=400),
        Budget("thorough", n=100, max_heads=8, max_mlps=4, random_sets=100, shuffles=1000),
    )
}
"""Name -> budget."""


def budget_named(name: str) -> Budget:
    """The budget of this name.

    Raises:
        OptionError: there is none; the error lists those that exist.
    """
    if name not in BUDGETS:
        raise OptionError(f"no budget {name!r}", mend=f"one of: {', '.join(BUDGETS)}")
    return BUDGETS[name]
