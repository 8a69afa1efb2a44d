"""Named positions of a task as a partition of its tokens: what an edge at a position means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from residuum.core import OptionError, TaskError
from residuum.runs import Task, shown

REST = "rest"
"""Name of all the tokens that no other position names."""

END = "end"
"""Name of the token at which the answer is read, where the task has none for it."""


def positions_for(task: Task, wanted: Any = True) -> tuple[str, ...]:
    """Position names for a graph of this task: each token has exactly one.

    The task's own names, in its order, then ``"rest"``. Of names that mean the same token in every
    pair the last stays (so that of ``A2`` and ``end`` it is ``end``).

    Args:
        wanted: True for all of the task's names, or a sequence of them.

    Raises:
        TaskError: no named positions, or names that mean the same token in some of the pairs only.
        OptionError: a name that the task does not have.
    """
    names = list(task.positions) if wanted is True else _listed(wanted, task)
    if not names:
        raise TaskError(
            "the task names no positions, so it has no graph by position",
            mend="leave by_position out, or give the task positions: positions={name: [...]}",
            where=task.name,
        )
    places = {name: _places(task, name) for name in names}
    last = np.asarray(task.last)
    if not any(np.array_equal(at, last) for at in places.values()):
        if END in places:
            raise TaskError(
                f"the position {END!r} is not the last token in every pair",
                mend="the answer is read at the last token: give that position another name",
                where=task.name,
            )
        places[END] = last
    kept = {at.tobytes(): name for name, at in places.items()}
    unlike = [name for name in places if kept[places[name].tobytes()] == name]
    _refuse_overlap(task, {name: places[name] for name in unlike})
    return (*unlike, REST)


def position_masks(task: Task, positions: Sequence[str]) -> np.ndarray:
    """Which tokens each position means: bool ``[position example token]``; padding has none.

    Args:
        positions: of a graph, as :func:`positions_for` gave them; ``"rest"`` is what is left over.

    Raises:
        TaskError: a position that this task does not name.
    """
    lengths = np.asarray(task.lengths)
    tokens = np.arange(task.clean.shape[1])
    masks = np.zeros((len(positions), len(task), len(tokens)), dtype=bool)
    for index, name in enumerate(positions):
        if name != REST:
            masks[index] = _places(task, name)[:, None] == tokens
    if REST in positions:
        real = tokens < lengths[:, None]
        masks[positions.index(REST)] = real & ~masks.any(axis=0)
    return masks


def end_of(task: Task, positions: Sequence[str]) -> int:
    """Index of the position at which the answer is read in every pair.

    Raises:
        TaskError: none of them is.
    """
    last = np.asarray(task.last)
    for index, name in enumerate(positions):
        if name != REST and np.array_equal(_places(task, name), last):
            return index
    raise TaskError(
        f"none of the positions {', '.join(positions)} is the last token in every pair",
        mend="name the token at which the answer is read",
        where=task.name,
    )


def _listed(wanted: Any, task: Task) -> list[str]:
    if isinstance(wanted, str) or not isinstance(wanted, Sequence):
        raise OptionError(
            f"by_position={shown(wanted)} is neither yes or no nor a list of names",
            mend=f"give True, or some of {', '.join(task.positions)}",
        )
    unknown = [name for name in wanted if name not in task.positions]
    if unknown:
        raise OptionError(
            f"the task has no position {shown(unknown[0])}",
            mend=f"it names {', '.join(task.positions) or 'none'}",
            where=task.name,
        )
    return list(dict.fromkeys(wanted))


def _places(task: Task, name: str) -> np.ndarray:
    """Token number of a named position in each pair, int64 ``[example]``."""
    if name in task.positions:
        return np.asarray(task.positions[name]).astype(np.int64)
    if name == END:
        return np.asarray(task.last).astype(np.int64)
    raise TaskError(
        f"the task does not name the position {name!r}, which the graph has",
        mend=f"make the graph with this task; it names {', '.join(task.positions) or 'none'}",
        where=task.name,
    )


def _refuse_overlap(task: Task, places: dict[str, np.ndarray]) -> None:
    names = list(places)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            both = np.flatnonzero(places[one] == places[other])
            rest = [name for name in names if name != one and name in task.positions]
            if len(both):
                raise TaskError(
                    f"positions {one} and {other} are the same token in {len(both)} of "
                    f"{len(task)} pairs, and another in the rest",
                    mend=f"leave one out: by_position={rest}",
                    where=task.name,
                )
