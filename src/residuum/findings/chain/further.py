"""Stages beyond the core: each an optional field of the finding, with its own rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from residuum.core import OptionError, Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.record.budget import Budget
from residuum.findings.record.mechanism import Mechanism
from residuum.findings.record.rules import Rule


@dataclass(frozen=True)
class Work:
    """What a further stage is given.

    Attributes:
        choose, bench: the choosing half and the measuring half.
        mechanism: what the claim names.
        budget: what may be spent.
        progress: who is told.
    """

    choose: Bench
    bench: Bench
    mechanism: Mechanism
    budget: Budget
    progress: Progress


@dataclass(frozen=True)
class Further:
    """One optional stage.

    Attributes:
        name: of the stage, and of the finding's field.
        kind: record type of its evidence.
        compute: does the work.
        rules: what follows from the evidence.
    """

    name: str
    kind: type[Any]
    compute: Callable[[Work], Any]
    rules: Callable[[Any], tuple[Rule, ...]]


FURTHER: tuple[Further, ...] = ()
"""All optional stages, in the order in which they run."""


def chosen_stages(names: Sequence[str] | None) -> tuple[Further, ...]:
    """The optional stages of these names; all for None.

    Raises:
        OptionError: there is no stage of a name; the error lists those that exist.
    """
    if names is None:
        return FURTHER
    known = {each.name: each for each in FURTHER}
    for name in names:
        if name not in known:
            there = f"some of: {', '.join(known)}" if known else "none, as stages=()"
            raise OptionError(f"no further stage {name!r}", mend=there)
    return tuple(each for each in FURTHER if each.name in names)
