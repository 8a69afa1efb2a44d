"""Train, validation and test: whole templates on one side, and no prompt on two."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError, TaskError
from residuum.runs import Task, need_task, shown
from residuum.runs.clusters import cluster_numbers

_DRAWS = 500


class Labelled(Protocol):
    """What a split needs to know of examples."""

    @property
    def labels(self) -> Tensor:
        """Class of each, ``[n]``."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """Template of each."""
        ...

    @property
    def pairs(self) -> Tensor | None:
        """Contrast pair of each."""
        ...

    @property
    def identities(self) -> tuple[str, ...]:
        """What each is, without its label."""
        ...


E = TypeVar("E", bound=Labelled)
Rows = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Split(Generic[E]):
    """Examples to fit on, to choose by, and to report on.

    Attributes:
        train, validation, test: the three sides.
        rows: their indices in what was split; empty for sides put together by hand.
        by: what was kept together: ``"group"`` or ``"example"``.
        seed: of the draw.

    Raises:
        TaskError: the same prompt is on two sides.
    """

    train: E
    validation: E
    test: E
    rows: tuple[Tensor, ...] = ()
    by: str = "hand"
    seed: int | None = None

    def __post_init__(self) -> None:
        sides = {"train": self.train, "validation": self.validation, "test": self.test}
        side_of: dict[str, str] = {}
        for name, side in sides.items():
            for row, identity in enumerate(side.identities):
                other = side_of.setdefault(identity, name)
                if other != name:
                    raise TaskError(
                        f"the same example is in {other} and in {name} (row {row} of {name})",
                        mend="take each prompt once: examples.unique()",
                    )


def need_apart(identities: Sequence[str], sides: Mapping[str, Sequence[int]]) -> None:
    """Refuse the same example on two sides.

    Raises:
        TaskError: it is.
    """
    side_of: dict[str, str] = {}
    for name, rows in sides.items():
        for row in rows:
            other = side_of.setdefault(identities[int(row)], name)
            if other != name:
                raise TaskError(
                    f"the same example is in the {other} and in the {name} data (example {row})",
                    mend="take each prompt once: examples.unique()",
                )


def split_rows(examples: Labelled, by: str, parts: Sequence[float], seed: int) -> Rows:
    """Indices of the three sides; see :meth:`Examples.split`."""
    shares = _shares(parts)
    labels = examples.labels.numpy()
    if by not in ("group", "example"):
        raise OptionError(f"by={shown(by)} is no unit to split by", mend='"group" or "example"')
    if len(set(labels.tolist())) < 2:
        raise TaskError(
            f"all {len(labels)} examples are of one class",
            mend="give examples of at least two classes",
        )
    groups: Any = examples.groups if by == "group" else examples.pairs
    if by == "group":
        count = len(set(examples.groups))
        if count < len(shares):
            raise OptionError(
                f"{count} groups cannot be split into {len(shares)} parts",
                mend='give groups= (the template of each), or split with by="example"; '
                "then wording may leak",
            )
    units = cluster_numbers(None if groups is None else list(groups), len(labels))
    rng = np.random.default_rng(seed)
    wanted = len(set(labels.tolist()))
    for _ in range(_DRAWS):
        sides = _draw(units, labels if by == "example" else None, shares, rng)
        if all(len(set(labels[rows].tolist())) == wanted for rows in sides):
            first, second, third = (torch.from_numpy(np.sort(rows)) for rows in sides)
            return first, second, third
    raise OptionError(
        f"no draw of {int(units.max()) + 1} {by}s has all {wanted} classes on every side",
        mend="give more groups with several classes in each"
        + (
            '; by="example" would put a wording on both sides, and may read that wording'
            if by == "group"
            else ""
        ),
    )


def _shares(parts: Sequence[float]) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        shares = ()
    positive = len(shares) == 3 and all(0 < share < 1 for share in shares)
    if not positive or not math.isclose(sum(shares), 1, abs_tol=1e-9):
        raise OptionError(
            f"parts={shown(parts)}",
            mend="give the shares of train, validation and test: positive, together 1",
        )
    return shares


def _draw(
    units: np.ndarray,
    strata: np.ndarray | None,
    shares: tuple[float, ...],
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Whole units on three sides; single examples class by class, so that shares hold in each."""
    if strata is None or len(np.unique(units)) < len(units):
        return _dealt(units, np.arange(len(units)), shares, rng)
    dealt = [_dealt(units, np.flatnonzero(strata == c), shares, rng) for c in np.unique(strata)]
    return [np.concatenate(side) for side in zip(*dealt, strict=True)]


def _dealt(
    units: np.ndarray, rows: np.ndarray, shares: tuple[float, ...], rng: np.random.Generator
) -> list[np.ndarray]:
    """Units in random order, cut where the rows so far come nearest to the shares; none empty."""
    order = rng.permutation(np.unique(units[rows]))
    ends = np.concatenate([[0], np.cumsum(np.bincount(units[rows])[order])])
    cuts = [0]
    for number, share in enumerate(np.cumsum(shares)[:-1], 1):
        nearest = int(np.abs(ends - share * len(rows)).argmin())
        cuts.append(min(max(nearest, cuts[-1] + 1), len(order) - (len(shares) - number)))
    cuts.append(len(order))
    pieces = [order[max(a, 0) : max(b, 0)] for a, b in itertools.pairwise(cuts)]
    return [rows[np.isin(units[rows], piece)] for piece in pieces]


def by_template(task: Task, held_out: Iterable[str]) -> tuple[Task, Task]:
    """The pairs of all other templates, and those of the templates to hold out.

    Args:
        task: pairs that know their templates.
        held_out: names of templates; one name may stand alone.

    Raises:
        TaskError: a template that the task does not have; one part would be empty.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> rest, held = by_template(rz.task("refusal", model, n=32), "teach")
    >>> set(held.templates), "teach" in rest.templates
    ({'teach'}, False)
    """
    need_task(task, "by_template")
    names = {held_out} if isinstance(held_out, str) else set(held_out)
    out = [at for at, template in enumerate(task.templates) if template in names]
    rest = [at for at in range(len(task)) if at not in set(out)]
    known = sorted({*task.templates} - {""})
    if not names <= set(known):
        raise TaskError(
            f"there is no template {', '.join(sorted(map(str, names - set(known))))}",
            mend=f"hold out some of: {', '.join(known) or '(the task names none)'}",
            where=task.name,
        )
    if not out or not rest:
        raise TaskError(
            f"templates {', '.join(sorted(names)) or '(none)'} leave one part empty",
            mend=f"hold out some, but not all, of: {', '.join(known)}",
            where=task.name,
        )
    return task.subset(rest), task.subset(out)
