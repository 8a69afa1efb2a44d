"""What was computed on some pairs already, kept while it is small: nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from residuum.models import Batch
from residuum.runs import Model, Run

LARGEST = 128 * 2**20
"""Bytes up to which one run's values, or one side's logits, are kept."""
T = TypeVar("T")


@dataclass
class Known:
    """Values at sites of runs without edits, and whatever else is computed from these prompts.

    A run is known by a name; where further sites are asked for, it is made again with all of them.
    What is larger than :data:`LARGEST` is not kept.
    """

    runs: dict[Hashable, tuple[frozenset[str], Run]] = field(default_factory=dict)
    values: dict[Hashable, Any] = field(default_factory=dict)

    def run(self, model: Model, batch: Batch, name: Hashable, capture: Sequence[str]) -> Run:
        """A run that holds these sites, without logits.

        Runs that show attention are kept apart: they round otherwise.
        """
        name = name, any("pattern" in site for site in capture)
        had, kept = self.runs.get(name, (frozenset(), None))
        sites = had.union(capture)
        if kept is not None and sites == had:
            return kept
        with torch.no_grad():
            made = model.run(batch, capture=sorted(sites), logits=False)
        if size(*made.captured.values()) <= LARGEST:
            self.runs[name] = sites, made
        elif kept is not None:  # what is asked for now is worth more than what was
            del self.runs[name]
        return made

    def value(self, name: Hashable, compute: Callable[[], T]) -> T:
        """A value by name, computed if it is not known."""
        if name not in self.values:
            found = compute()
            if not isinstance(found, Tensor) or size(found) <= LARGEST:
                self.values[name] = found
            return found
        return self.values[name]


def size(*values: Any) -> int:
    """Bytes of tensors."""
    return sum(each.nbytes for each in values if isinstance(each, Tensor))
