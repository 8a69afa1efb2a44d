"""Which prompts a circuit was found on, so that any later task can be compared pair by pair.

>>> from residuum.runs import Task
>>> ids = {"clean": [[5, 6], [5, 7]], "corrupt": [[4, 6], [4, 7]]}
>>> task = Task.from_pairs(**ids, answers=[1, 2], wrong=[2, 1], name="small")
>>> seen = SeenPrompts.of(task)
>>> seen.shared_with(task.head(1)).pairs.tolist()
[True]
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from residuum.core import StoreError
from residuum.runs import Task

_DIGITS = 16
"""Hex digits kept of a prompt's SHA-256: 64 bits, so that chance makes no two prompts alike."""

_KEYS = {"task", "clean", "corrupt", "templates"}


@dataclass(frozen=True)
class SeenPrompts:
    """The pairs of a task, as hashes of their token ids.

    Attributes:
        task: name of the task.
        clean, corrupt: a hash for each pair's clean and corrupt prompt, in the task's order.
        templates: label of each pair's sentence pattern; may be empty.

    Shows: which prompts of another task are the same, token by token. Does not show: prompts that
    say the same in other words.
    """

    task: str
    clean: tuple[str, ...]
    corrupt: tuple[str, ...]
    templates: tuple[str, ...] = ()

    @staticmethod
    def of(task: Task) -> SeenPrompts:
        """Of all the pairs of a task; padding is left out."""
        clean, corrupt = (prompt_hashes(each, task.lengths) for each in (task.clean, task.corrupt))
        return SeenPrompts(task.name, clean, corrupt, tuple(task.templates))

    def __len__(self) -> int:
        return len(self.clean)

    def shared_with(self, task: Task) -> SharedPrompts:
        """What of another task was seen, pair by pair."""
        other = SeenPrompts.of(task)
        pairs = set(zip(self.clean, self.corrupt, strict=True))
        own = list(zip(other.clean, other.corrupt, strict=True))
        return SharedPrompts(
            self.task,
            len(self),
            _among(own, pairs),
            _among(other.clean, set(self.clean)),
            _among(other.clean, {*self.clean, *self.corrupt}),
            _among(other.templates, set(self.templates)),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "task": self.task,
            "clean": list(self.clean),
            "corrupt": list(self.corrupt),
            "templates": list(self.templates),
        }

    @staticmethod
    def from_json(data: Any) -> SeenPrompts:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys missing or unknown, or another number of clean than corrupt prompts.
        """
        whole = isinstance(data, Mapping) and set(data) == _KEYS
        if not whole or len(data["clean"]) != len(data["corrupt"]):
            raise StoreError(
                "the prompts that a circuit was found on are not told as they should be",
                mend="give what circuit.save(...) or scores.save(...) wrote",
            )
        clean, corrupt, labels = (
            tuple(map(str, data[name])) for name in ("clean", "corrupt", "templates")
        )
        return SeenPrompts(str(data["task"]), clean, corrupt, labels)


@dataclass(frozen=True, eq=False)
class SharedPrompts:
    """Which pairs of a task were there when a circuit was found.

    Attributes:
        task: name of the task that it was found on.
        seen: how many pairs it was found on.
        pairs: bool ``[example]``: the whole pair was, clean and corrupt.
        clean: bool ``[example]``: its clean prompt was the clean prompt of some pair.
        either: bool ``[example]``: its clean prompt was seen, as clean or as corrupt prompt.
        templates: bool ``[example]``: its sentence pattern was seen; empty without patterns.
    """

    task: str
    seen: int
    pairs: np.ndarray
    clean: np.ndarray
    either: np.ndarray
    templates: np.ndarray

    @property
    def n(self) -> int:
        """How many clean prompts of the task are among the clean ones that were seen."""
        return int(self.clean.sum())

    def __str__(self) -> str:
        told = f"{self.n} of {len(self.clean)} prompts are those that the circuit was found on"
        turned = int((self.either & ~self.clean).sum())
        return told + f", and {turned} were corrupt prompts there" * bool(turned)


class Found(Protocol):
    """A circuit, or scores of edges."""

    @property
    def seen(self) -> SeenPrompts | None:
        """What it was found on; None where that is not known."""
        ...


def shared_prompts(circuit: Found, task: Task) -> SharedPrompts | None:
    """Which pairs of a task a circuit was found on; None where that is not known.

    Not known are circuits named by hand, of other tools, and of files that were written before
    prompts were recorded.
    """
    return None if circuit.seen is None else circuit.seen.shared_with(task)


def prompt_hashes(ids: Tensor, lengths: Tensor) -> tuple[str, ...]:
    """A hash for each row of ids ``[batch pos]``, padding left out.

    Args:
        lengths: real tokens of each row ``[batch]``.
    """
    rows = zip(ids.tolist(), lengths.tolist(), strict=True)
    return tuple(_hash(row[:length]) for row, length in rows)


def _hash(ids: list[int]) -> str:
    text = ",".join(map(str, ids))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _among(these: Iterable[Any], known: set[Any]) -> np.ndarray:
    return np.array([each in known for each in these], dtype=bool)
