"""A probe's weights as a direction."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from residuum.core import Address
from residuum.directions.harvesting import SiteValues
from residuum.directions.methods.found_vectors import FoundVectors
from residuum.directions.probes.logistic import Logistic
from residuum.directions.probes.method import need_probe_method
from residuum.runs import Model


@dataclass(frozen=True)
class FromProbe:
    """The normal of a linear probe's decision boundary.

    Attributes:
        method: how the probe is fitted, such as ``Logistic()`` or ``SparseProbe(8)``.

    Shows: what separates the classes best. Does not show: what moves with them; the mean
    difference does that, and steers better (Marks and Tegmark 2023, section 5).
    """

    method: Any = field(default_factory=Logistic)

    def __post_init__(self) -> None:
        need_probe_method(self.method)

    @property
    def needs_labels(self) -> bool:
        """It is fitted on labelled examples."""
        return True

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`; the notes say what the probe is."""
        values.need_spread()
        probe = self.method.fit(values, values.moments())
        threshold = probe.threshold if len(probe.matrix) == 1 else math.nan
        return FoundVectors(probe.vectors, threshold)
