"""The difference between the means of two classes, or of contrast pairs."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.core import Address, TaskError
from residuum.directions.harvesting import SiteValues
from residuum.directions.methods.found_vectors import FoundVectors
from residuum.runs import Model
from residuum.runs.arguments import yes_or_no


@dataclass(frozen=True)
class DifferenceOfMeans:
    """Mean of class 1 minus mean of class 0.

    Attributes:
        paired: take the mean over contrast pairs' differences. The vector is the same when every
            pair is whole; pairs that are not whole are left out.

    Source: Marks and Tegmark 2023, "The Geometry of Truth", section 4 (mass-mean); Panickssery et
    al. 2023, "Steering Llama 2 via Contrastive Activation Addition", section 3 (paired).
    """

    paired: bool = False

    def __post_init__(self) -> None:
        yes_or_no(self.paired, "paired")

    @property
    def needs_labels(self) -> bool:
        """It is fitted on labelled examples."""
        return True

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`.

        Raises:
            TaskError: another number of classes than two; ``paired`` without pairs.
            ShapeError: activations that do not vary.
        """
        chosen = values.whole_pairs() if self.paired else values
        moments = chosen.moments()
        if len(moments.counts) != 2 or not bool((moments.counts > 0).all()):
            held = [name for name, n in zip(values.classes, moments.counts, strict=True) if n]
            raise TaskError(
                f"a difference of means needs two classes, got examples of {len(held)}: "
                f"{', '.join(held)}",
                mend="give examples of two classes, or use a method for several",
            )
        chosen.need_spread()
        low, high = moments.means
        unit = (high - low) / (high - low).norm()
        return FoundVectors(high - low, float((low + high) @ unit / 2))
