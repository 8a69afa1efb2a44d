"""Principal components of the activations."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from residuum.core import Address, OptionError
from residuum.directions.harvesting import SiteValues
from residuum.directions.methods.found_vectors import FoundVectors
from residuum.directions.methods.orientation import towards_last_class
from residuum.runs import Model, whole_number


@dataclass(frozen=True)
class PrincipalComponents:
    """The ``k`` directions of largest variance about the mean; labels only set the sign.

    Attributes:
        k: how many; 1 gives a single vector.
    """

    k: int = 1

    def __post_init__(self) -> None:
        whole_number(self.k, "k", 1)

    @property
    def needs_labels(self) -> bool:
        """Labels only set the sign."""
        return False

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`; the notes hold each component's share of the variance."""
        values.need_spread()
        moments = values.moments()
        most = min(values.source.width, len(values) - 1)
        if self.k > most:
            raise OptionError(f"k={self.k} components of {most}", mend=f"use at most {most}")
        size, vectors = torch.linalg.eigh(moments.covariance)
        size, vectors = size.flip(0).clamp_min(0), vectors.flip(1)
        rows = vectors[:, : self.k].T
        shares = (size[: self.k] / size.sum()).tolist()
        rows = towards_last_class(rows, moments)
        return FoundVectors(rows[0] if self.k == 1 else rows, notes={"variance_frac": shares})
