"""The damage matrix: what each task loses with each circuit, and which pairs dissociate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.circuits.controls.damage_dissociation import Dissociation
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.judging.ratios import Estimate, estimate
from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.figures import HeatMap

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Damage:
    """One cell.

    Attributes:
        circuit, task: names.
        reference: what the removed edges carried.
        unit: of the task's metric.
        damage: share of the task's full - empty that is lost.
        lost: full - rest, in the metric's unit (for a loss: its rise).
        draws: the share in each bootstrap sample, ``[resample]``.
    """

    circuit: str
    task: str
    reference: str
    unit: str
    damage: Estimate
    lost: Estimate
    draws: np.ndarray


@dataclass(frozen=True)
class RandomDamage:
    """Damage by random circuits of a circuit's size.

    Attributes:
        circuit: whose size; ``task``: what was lost.
        shares: of full - empty, one for each random circuit.
    """

    circuit: str
    task: str
    shares: tuple[float, ...]

    @property
    def largest(self) -> float:
        """The largest."""
        return max(self.shares)

    @property
    def median(self) -> float:
        """The median."""
        return float(np.median(self.shares))


@dataclass(frozen=True, eq=False, repr=False)
class DamageMatrix:
    """What each task loses when each circuit is removed and the rest is kept.

    A pair of circuits dissociates doubly if each harms its own task, more than the other's, and
    more than the other circuit does: both harms and all four differences with their 95 % intervals
    above 0.

    Shows: whether the circuits are specific, among these tasks and under this reference. Does not
    show: that a circuit is enough for its task (``rz.evaluate``), or what it does on tasks that
    are not here; full - empty is each task's own, so shares of different tasks are no common unit.

    Attributes:
        circuits: by name.
        tasks: names, in order.
        reference: what the removed edges carried.
        cells: one for each circuit and task.
        random: damage by random circuits, if asked for.
        outside: whether these lie outside the circuit.
        examples: task -> how many pairs.
        metrics: task -> metric.
        provenance: of model and options.
        warnings: what a reader must know of the prompts before quoting a number.
    """

    circuits: Mapping[str, Circuit]
    tasks: tuple[str, ...]
    reference: str
    cells: tuple[Damage, ...]
    random: tuple[RandomDamage, ...]
    outside: bool
    examples: Mapping[str, int]
    metrics: Mapping[str, str]
    provenance: Provenance
    warnings: tuple[str, ...] = ()

    def __getitem__(self, key: tuple[str, str]) -> Damage:
        """The cell of a circuit and a task.

        Raises:
            OptionError: no such cell.
        """
        for each in self.cells:
            if (each.circuit, each.task) == key:
                return each
        raise OptionError(
            f"no cell {key!r}",
            mend=f"circuits: {', '.join(self.circuits)}; tasks: {', '.join(self.tasks)}",
        )

    @property
    def values(self) -> np.ndarray:
        """Damage, ``[circuit task]``."""
        return np.array(
            [[self[name, task].damage.value for task in self.tasks] for name in self.circuits]
        )

    @property
    def dissociations(self) -> tuple[Dissociation, ...]:
        """One for each pair of circuits that both have their own task here."""
        own = [name for name in self.circuits if name in self.tasks]
        return tuple(self.dissociation(*pair) for pair in combinations(own, 2))

    def dissociation(self, first: str, second: str) -> Dissociation:
        """Of two circuits, whose tasks have their names.

        Raises:
            OptionError: no such cells.
        """
        return Dissociation(
            first,
            second,
            self[first, first].damage,
            self[second, second].damage,
            self._less((first, first), (first, second)),
            self._less((second, second), (second, first)),
            self._less((first, first), (second, first)),
            self._less((second, second), (first, second)),
        )

    def _less(self, one: tuple[str, str], other: tuple[str, str]) -> Estimate:
        """Difference of two cells; tasks are drawn apart, samples of one task together."""
        above, below = self[one], self[other]
        value = above.damage.value - below.damage.value
        draws = above.draws, below.draws
        if one[1] != other[1]:  # else the same seed would draw the same rows of different tasks
            draws = draws[0], np.random.default_rng(0).permutation(draws[1])
        few = min(len(each) for each in draws)
        n = min(above.damage.examples, below.damage.examples)
        return estimate(value, draws[0][:few] - draws[1][:few], n)

    def summary(self) -> str:
        """The matrix in words."""
        lines = [f"share of full - empty that is lost, removed edges at {self.reference}"]
        for name in self.circuits:
            cells = ", ".join(f"{task} {self[name, task].damage}" for task in self.tasks)
            lines.append(f"  without {name} ({self.circuits[name].n_edges} edges): {cells}")
        where = "outside it" if self.outside else "of the whole graph"
        lines += [
            f"  {len(each.shares)} random circuits of the size of {each.circuit}, {where}, on "
            f"{each.task}: median {each.median:.2f}, largest {each.largest:.2f}"
            for each in self.random
            if each.circuit == each.task
        ]
        lines += [f"  {each}" for each in self.dissociations]
        lines += [f"  warning: {each}" for each in self.warnings]
        return "\n".join([*lines, "  Does not show: tasks that are not here."])

    def __repr__(self) -> str:
        return self.summary()

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each cell.

        Columns: ``circuit, task, reference, damage, low, high, lost, lost_low, lost_high, unit,
        examples``, and ``random_median, random_max`` where random circuits were removed.
        """
        import pandas as pd

        random = {(each.circuit, each.task): each for each in self.random}
        rows = []
        for each in self.cells:
            row: dict[str, Any] = {
                "circuit": each.circuit,
                "task": each.task,
                "reference": each.reference,
                "damage": each.damage.value,
                "low": each.damage.low,
                "high": each.damage.high,
                "lost": each.lost.value,
                "lost_low": each.lost.low,
                "lost_high": each.lost.high,
                "unit": each.unit,
                "examples": each.damage.examples,
            }
            found = random.get((each.circuit, each.task))
            if found is not None:
                row |= {"random_median": found.median, "random_max": found.largest}
            rows.append(row)
        return pd.DataFrame(rows)

    def figure(self) -> HeatMap:
        """Circuits by tasks."""
        texts = [
            [f"{self[name, task].damage.value:.2f}" for task in self.tasks]
            for name in self.circuits
        ]
        held, of = sum(each.holds for each in self.dissociations), len(self.dissociations)
        pairs = f" {held} of {of} pairs of circuits dissociate doubly." if of else ""
        return HeatMap(
            self.values,
            row_labels=[f"without {name}" for name in self.circuits],
            col_labels=list(self.tasks),
            x="task",
            unit="share",
            cell_text=texts,
            title=f"Damage: share of full - empty lost, removed edges at {self.reference}",
            caption=f"Intervals: in the table.{pairs}",
            does_not_show="Tasks that are not here; that a circuit is enough for its task.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN as None."""
        rows = self.to_dataframe().to_dict("records")
        return {
            "kind": "damage_matrix",
            "circuits": {name: each.hash for name, each in self.circuits.items()},
            "tasks": list(self.tasks),
            "metrics": dict(self.metrics),
            "examples": dict(self.examples),
            "reference": self.reference,
            "cells": [{k: None if v != v else v for k, v in row.items()} for row in rows],
            "random": [vars(each) | {"shares": list(each.shares)} for each in self.random],
            "outside": self.outside,
            "dissociations": [
                {"first": each.first, "second": each.second, "holds": each.holds, "why": str(each)}
                for each in self.dissociations
            ],
            "warnings": list(self.warnings),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv`` or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: a path that cannot be written to.
        """
        save_result(self, path, "a damage matrix")

    def _repr_html_(self) -> str | None:
        return html_of(self)
