"""Singular vectors of contrast pairs' differences."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from residuum.core import Address, OptionError
from residuum.directions.harvesting import SiteValues
from residuum.directions.methods.found_vectors import FoundVectors
from residuum.directions.methods.orientation import towards_last_class
from residuum.runs import Model, whole_number


@dataclass(frozen=True)
class ContrastSVD:
    """The ``k`` directions along which the two sides of contrast pairs differ most.

    Singular vectors of the differences ``[pair d]``, not centred: so what all pairs share counts.

    Attributes:
        k: how many; 1 gives a single vector.

    Source: Zou et al. 2023, "Representation Engineering", section 3.1.2 (LAT). Deviation: the
    differences keep their sign and are not centred.
    """

    k: int = 1

    def __post_init__(self) -> None:
        whole_number(self.k, "k", 1)

    @property
    def needs_labels(self) -> bool:
        """It is fitted on contrast pairs."""
        return True

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`; the notes hold the share of the squared differences.

        Raises:
            TaskError: no contrast pairs.
            OptionError: more directions than pairs or dimensions.
        """
        values.need_spread()
        pairs = values.whole_pairs()
        second = pairs.difference_moment()
        most = min(len(second), len(pairs) // 2)
        if self.k > most:
            raise OptionError(f"k={self.k} directions of {most}", mend=f"use at most {most}")
        size, vectors = torch.linalg.eigh(second)
        size, vectors = size.flip(0).clamp_min(0), vectors.flip(1)
        rows = towards_last_class(vectors[:, : self.k].T, pairs.moments())
        shares = (size[: self.k] / size.sum()).tolist()
        return FoundVectors(rows[0] if self.k == 1 else rows, notes={"difference_frac": shares})
