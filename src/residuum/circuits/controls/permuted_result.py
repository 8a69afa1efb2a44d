"""The result of the control with permuted weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.judging.ratios import Estimate
from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.figures import Bars

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ChainScores:
    """What a circuit does in its model, under one reference; more of the metric being better.

    Attributes:
        model: its name.
        reference: what edges outside the circuit carried.
        n_edges: of the circuit.
        full: mean metric of the whole model.
        gap: full - empty, what there is to explain.
        kept: circuit - empty.
        faithfulness: kept / gap, ratio of means.
    """

    model: str
    reference: str
    n_edges: int
    full: Estimate
    gap: Estimate
    kept: Estimate
    faithfulness: Estimate


@dataclass(frozen=True, eq=False, repr=False)
class PermutedControl:
    """A circuit beside those that the same chain finds in models with permuted weights.

    A method always finds something, and shares of next to nothing can be any number: look at what
    there is to explain, ``gap``, before faithfulness. High faithfulness there says that the method
    can please the measure without a mechanism.

    Shows: what the chain says where there is nothing to find. Does not show: that the circuit is
    right.

    Attributes:
        circuit: that was found in the model.
        own: its scores, for each reference.
        permuted: those of the circuits found in the permuted models.
        task: name of the task.
        metric, unit: what was measured.
        examples: how many pairs.
        provenance: of model, task and options.
    """

    circuit: Circuit
    own: tuple[ChainScores, ...]
    permuted: tuple[ChainScores, ...]
    task: str
    metric: str
    unit: str
    examples: int
    provenance: Provenance

    @property
    def gap_frac(self) -> float:
        """Largest |full - empty| of a permuted model, as a share of the model's; references apart.

        What is left of the behaviour, at most.
        """
        own = {each.reference: abs(each.gap.value) for each in self.own}
        return max(abs(each.gap.value) / own[each.reference] for each in self.permuted)

    def summary(self) -> str:
        """The control in words."""
        lines = [
            f"{self.task}: with permuted weights at most {self.gap_frac:.1%} of full - empty is "
            "left to explain"
        ]
        lines += [
            f"  {each.model}, {each.reference}: full - empty {each.gap} {self.unit}, "
            f"circuit - empty {each.kept}, faithfulness {each.faithfulness}"
            for each in (*self.own, *self.permuted)
        ]
        return "\n".join([*lines, "  Does not show: that the circuit is right."])

    def __repr__(self) -> str:
        return self.summary()

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each model and reference.

        Columns: ``model, reference, n_edges`` and ``full, gap, kept, faithfulness``, each also with
        ``_low`` and ``_high``.
        """
        import pandas as pd

        rows = []
        for each in (*self.own, *self.permuted):
            row: dict[str, Any] = {
                "model": each.model,
                "reference": each.reference,
                "n_edges": each.n_edges,
            }
            for name in ("full", "gap", "kept", "faithfulness"):
                found = getattr(each, name)
                row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
            rows.append(row)
        return pd.DataFrame(rows)

    def figure(self) -> Bars:
        """What each model's circuit brings about beyond the empty one, in the metric's unit."""
        found = [*self.own, *self.permuted]
        low, high = ([getattr(each.kept, end) for each in found] for end in ("low", "high"))
        banded = bool(np.isfinite(low).all())
        return Bars(
            [f"{each.model}, {each.reference}" for each in found],
            [each.kept.value for each in found],
            lo=low if banded else None,
            hi=high if banded else None,
            x=f"{self.metric}, circuit - empty",
            unit=self.unit,
            order="given",
            title=f"{self.task}: the chain on models with permuted weights",
            caption=f"{self.examples} pairs; 95 % bootstrap intervals.",
            does_not_show="That the circuit is right.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN as None."""
        rows = self.to_dataframe().to_dict("records")
        return {
            "kind": "permuted_control",
            "circuit": self.circuit.hash,
            "task": self.task,
            "metric": self.metric,
            "unit": self.unit,
            "examples": self.examples,
            "gap_frac": self.gap_frac,
            "models": [{k: None if v != v else v for k, v in row.items()} for row in rows],
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv`` or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: a path that cannot be written to.
        """
        save_result(self, path, "a control with permuted weights")

    def _repr_html_(self) -> str | None:
        return html_of(self)
