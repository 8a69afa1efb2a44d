"""What a text or a picture of a circuit's scores needs to know of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.judging.reference_scores import ReferenceScores
from residuum.core import Provenance


class Judged(Protocol):
    """A circuit's scores under several references."""

    @property
    def circuit(self) -> Circuit:
        """What was judged."""
        ...

    @property
    def by_reference(self) -> Mapping[str, ReferenceScores]:
        """The scores, by the reference's name."""
        ...

    @property
    def metric(self) -> str:
        """What was measured."""
        ...

    @property
    def examples(self) -> int:
        """How many pairs."""
        ...

    @property
    def unit(self) -> str:
        """Of the metric."""
        ...

    @property
    def subsets(self) -> tuple[tuple[str, ...], ...]:
        """Names of the parts in each random set."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Of model, task and options."""
        ...

    @property
    def sizes(self) -> tuple[float, ...]:
        """Shares of the graph's edges on the curves."""
        ...

    @property
    def how(self) -> str:
        """How edges were chosen at each size."""
        ...

    @property
    def held_out(self) -> bool | None:
        """Whether none of the prompts was there when it was found."""
        ...

    @property
    def held_out_why(self) -> str:
        """How that is known."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        ...

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest faithfulness over the choices."""
        ...
