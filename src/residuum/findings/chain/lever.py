"""A mechanism as what it is to further stages: something to move, to remove, and to draw anew."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor

from residuum.findings.chain.bench import Bench
from residuum.findings.chain.texts import Texts
from residuum.findings.record.mechanism import Kind
from residuum.runs import Task


class Lever(Protocol):
    """Parts, a circuit or a direction, on any pairs of its model.

    What a run gains and loses is in the metric's unit, larger is more of the behaviour.
    """

    @property
    def kind(self) -> Kind:
        """Of mechanism."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Addresses of what it consists of."""
        ...

    @property
    def ways(self) -> tuple[str, ...]:
        """Names of the ways to remove it from a prompt, for other tasks."""
        ...

    @property
    def every_way(self) -> tuple[str, ...]:
        """Names of all ways to remove it from the behaviour's own prompts."""
        ...

    def allowed(self, task: Task) -> Task:
        """The pairs that it may be measured on: those that it was not found on.

        Raises:
            TaskError: there are none.
        """
        ...

    def moves(self, bench: Bench) -> tuple[np.ndarray, np.ndarray]:
        """What it restores, and what is lost by it, ``[example]`` each, as its own rules ask."""
        ...

    def logits(self, bench: Bench) -> tuple[Tensor, Tensor]:
        """Logits of the corrupt prompts ``[example d_vocab]``: as they are, and moved by it."""
        ...

    def cost(self, bench: Bench, how: str) -> np.ndarray:
        """What the clean prompts lose without it, ``[example]``.

        Raises:
            TaskError, AddressError: these pairs do not allow it.
        """
        ...

    def random_costs(self, bench: Bench, how: str, count: int) -> list[np.ndarray]:
        """The same without random ones of its size; fewer where there are fewer."""
        ...

    def text_losses(self, bench: Bench, texts: Texts, sets: int) -> np.ndarray:
        """Next-token loss of each text, nats, ``[run text]``: intact, without it (at its mean over
        the texts), and without as many random ones."""
        ...
