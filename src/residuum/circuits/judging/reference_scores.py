"""One reference's verdict on a circuit: what was measured, example by example, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from residuum.circuits.judging.ratios import Draws, Estimate, estimate, spread, with_ratio
from residuum.circuits.judging.sizes import area, distance_area

AVERAGES = ("ratio of means", "mean of ratios")
"""How examples are put together."""


@dataclass(frozen=True, eq=False)
class ReferenceScores:
    """The metric with and without the circuit's edges, under one reference.

    Every figure is a share of full - empty, which is 1.

    Attributes:
        reference: what edges outside carry.
        full, empty: the metric with all edges and with none, ``[example]``.
        circuit, rest: with the circuit's edges alone, and with all others alone, ``[example]``.
        removed: with the circuit's edges less one group, ``[group example]``.
        groups: names of the groups.
        circuit_less, model_less: with a random set of parts taken out of the circuit, and of the
            whole model, ``[subset example]``.
        curves: ``"signed"`` and ``"absolute"`` -> the metric at each size, ``[size example]``.
        sizes: shares of the graph's edges.
        draws: of the intervals.
    """

    reference: str
    full: np.ndarray
    empty: np.ndarray
    circuit: np.ndarray
    rest: np.ndarray
    removed: np.ndarray
    groups: tuple[str, ...]
    circuit_less: np.ndarray
    model_less: np.ndarray
    curves: Mapping[str, np.ndarray]
    sizes: tuple[float, ...]
    draws: Draws = field(repr=False)

    @property
    def distance(self) -> np.ndarray:
        """Full less empty: what there is to explain, ``[example]``."""
        return self.full - self.empty

    @property
    def left_out(self) -> int:
        """Examples without a ratio of their own, for full and empty hardly differ there."""
        return int((~with_ratio(self.distance)).sum())

    def share(self, values: np.ndarray, average: str = AVERAGES[0]) -> Estimate:
        """A difference of metrics ``[example]`` as a share of full - empty.

        Args:
            average: ``"ratio of means"`` or ``"mean of ratios"``.
        """
        ratio = self.draws.ratio if average == AVERAGES[0] else self.draws.mean_of_ratios
        return ratio(values, self.distance)

    def faithfulness(self, average: str = AVERAGES[0]) -> Estimate:
        """(circuit - empty) / (full - empty): 1 where the circuit does what the model does."""
        return self.share(self.circuit - self.empty, average)

    def completeness(self, average: str = AVERAGES[0]) -> Estimate:
        """(full - rest) / (full - empty): 1 where the others alone do nothing of it."""
        return self.share(self.full - self.rest, average)

    @property
    def gap(self) -> Estimate:
        """Circuit less full, in the metric's unit: 0 where they agree."""
        return self.draws.mean(self.circuit - self.full)

    @property
    def incompleteness(self) -> tuple[Estimate, ...]:
        """For each random set K, circuit without K less model without K, as a share."""
        each = self.circuit_less - self.model_less
        return tuple(self.share(row) for row in each)

    @property
    def minimality(self) -> tuple[Estimate, ...]:
        """For each group, what the circuit loses without it, as a share; 0 for an idle one."""
        return tuple(self.share(self.circuit - row) for row in self.removed)

    def curve(self, by: str, average: str = AVERAGES[0]) -> tuple[Estimate, ...]:
        """Faithfulness at each size."""
        return tuple(self.share(row - self.empty, average) for row in self.curves[by])

    def cpr(self, by: str) -> Estimate:
        """Area under the curve of faithfulness; rewards leaving out what works against."""
        return self._area(by, area)

    def cmd(self, by: str) -> Estimate:
        """Area between the curve and 1: how far circuits of all sizes are from the model."""
        return self._area(by, distance_area)

    def _area(self, by: str, of: Any) -> Estimate:
        above = self.curves[by] - self.empty
        value = of(self.sizes, above.mean(axis=1) / self.distance.mean())
        drawn = of(self.sizes, self.draws.ratios(above, self.distance))
        return estimate(float(value), np.atleast_1d(drawn), len(self.empty))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every figure as a row of a table."""
        for average in AVERAGES:
            yield self._row("faithfulness", self.faithfulness(average), average)
            yield self._row("completeness", self.completeness(average), average)
        for number, each in enumerate(self.incompleteness):
            yield self._row("incompleteness", each, AVERAGES[0], of=f"set {number}")
        for name, each in zip(self.groups, self.minimality, strict=True):
            yield self._row("minimality", each, AVERAGES[0], of=name)
        for by in self.curves:
            yield self._row("CPR", self.cpr(by), AVERAGES[0], by=by)
            yield self._row("CMD", self.cmd(by), AVERAGES[0], by=by)
            for average in AVERAGES:
                for size, each in zip(self.sizes, self.curve(by, average), strict=True):
                    yield self._row("faithfulness at size", each, average, by=by, size=size)

    def _row(
        self,
        measure: str,
        found: Estimate,
        average: str,
        *,
        by: str = "",
        size: Any = None,
        of: str = "",
    ) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "measure": measure,
            "average": average,
            "selection": by,
            "size": size,
            "of": of,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "examples": found.examples,
        }

    def worst_incompleteness(self) -> float:
        """The largest absolute incompleteness over the random sets; NaN without any."""
        found = self.incompleteness
        return max(map(abs, spread(found))) if found else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Plain data: what was measured, example by example."""
        return {
            "reference": self.reference,
            "full": self.full.tolist(),
            "empty": self.empty.tolist(),
            "circuit": self.circuit.tolist(),
            "rest": self.rest.tolist(),
            "groups": list(self.groups),
            "removed": self.removed.tolist(),
            "circuit_less": self.circuit_less.tolist(),
            "model_less": self.model_less.tolist(),
            "curves": {by: values.tolist() for by, values in self.curves.items()},
        }
