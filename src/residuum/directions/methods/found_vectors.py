"""What every method of finding takes and gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from residuum.core import Address
from residuum.directions.harvesting import SiteValues
from residuum.runs import Model


@dataclass(frozen=True, eq=False)
class FoundVectors:
    """What a method found at one site.

    Attributes:
        vectors: ``[d]`` or ``[k d]``, class 1 on the positive side where there are classes.
        threshold: along the unit vector; NaN lets the midpoint of the classes be taken.
        notes: further numbers, by name.
    """

    vectors: Tensor
    threshold: float = math.nan
    notes: dict[str, Any] = field(default_factory=dict)


class FindingMethod(Protocol):
    """A way to find a direction at one site; its ``repr`` is its record."""

    @property
    def needs_labels(self) -> bool:
        """Whether it is fitted on labelled examples (and must be proven on others)."""
        ...

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """The vectors at a site, from what the examples hold there.

        Args:
            model: whose site it is.
            at: the address, with its position where the examples are read at one.
            values: of the examples to fit on.
            seed: of any random choice.
        """
        ...
