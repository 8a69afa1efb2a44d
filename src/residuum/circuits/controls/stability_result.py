"""The result of finding a circuit again: how much the circuits share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.circuits.controls.overlap import pairwise, to_one
from residuum.circuits.graph.circuit import Circuit
from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.figures import Bars

if TYPE_CHECKING:
    import pandas as pd

BAR = 0.8
"""Mean pairwise Jaccard's index of edges above which a circuit counts as stable."""

BAR_SAMPLES = 100
"""Samples that the bar asks for."""

_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Overlap:
    """Jaccard's index of many pairs.

    Attributes:
        mean: over the pairs, 0 to 1.
        low, high: between which 95 % of the pairs lie (not an interval of the mean).
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} (95 % of pairs {self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, eq=False)
class Refound:
    """Circuits found again, beside the circuit itself.

    Attributes:
        masks: bool ``[found edge]``.
        circuit: bool ``[edge]``.
        names: of the parts that are counted.
        parts: bool ``[found part]``.
        circuit_parts: bool ``[part]``.
    """

    masks: np.ndarray
    circuit: np.ndarray
    names: tuple[str, ...]
    parts: np.ndarray
    circuit_parts: np.ndarray

    @property
    def n(self) -> int:
        """How many were found again."""
        return len(self.masks)

    @cached_property
    def edges(self) -> Overlap:
        """Edges, over all pairs of circuits found again."""
        return _overlap(pairwise(self.masks))

    @cached_property
    def nodes(self) -> Overlap:
        """Parts, over all pairs of circuits found again."""
        return _overlap(pairwise(self.parts))

    @cached_property
    def edges_to_circuit(self) -> Overlap:
        """Edges, of each with the circuit itself."""
        return _overlap(to_one(self.masks, self.circuit))

    @cached_property
    def nodes_to_circuit(self) -> Overlap:
        """Parts, of each with the circuit itself."""
        return _overlap(to_one(self.parts, self.circuit_parts))

    @property
    def edge_frac(self) -> np.ndarray:
        """Share of the circuits found again that hold each edge, ``[edge]``."""
        return self.masks.mean(axis=0)

    @property
    def node_frac(self) -> np.ndarray:
        """Share of the circuits found again that hold each part, ``[part]``."""
        return self.parts.mean(axis=0)


@dataclass(frozen=True, eq=False, repr=False)
class CircuitStability:
    """How much circuits share that were found on samples of the prompts, and with other seeds.

    The bar: mean pairwise Jaccard's index of edges above .8 over at least 100 samples.

    Shows: whether these edges would be found again on prompts from the same source, and, with
    seeds, by the same method started otherwise. Does not show: that they carry the behaviour, or
    that prompts of other templates would give them.

    Attributes:
        circuit: that was found.
        prompts: found again on samples of the prompts.
        seeds: found again with other seeds; None where that was not asked.
        chance: random connected circuits of the size; None where there are none.
        how: ``"scores drawn again"`` or ``"discovery on each sample"``.
        unit: what was drawn, ``"pair"`` or ``"template"``.
        task: name of the task.
        passes: forward-pass equivalents that were spent.
        provenance: of model, task and options.
    """

    circuit: Circuit
    prompts: Refound
    seeds: Refound | None
    chance: Refound | None
    how: str
    unit: str
    task: str
    passes: float
    provenance: Provenance

    @property
    def stable(self) -> bool | None:
        """Whether the bar is reached; None with too few samples to say."""
        return self.prompts.edges.mean > BAR if self.prompts.n >= BAR_SAMPLES else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know of the circuit before quoting a figure."""
        return self.circuit.own_warnings

    @property
    def groups(self) -> dict[str, Refound]:
        """What was compared, by name."""
        found = {"prompts": self.prompts, "seeds": self.seeds, "chance": self.chance}
        return {name: each for name, each in found.items() if each is not None}

    def summary(self) -> str:
        """The figures in words, with the bar."""
        said = {True: "above the bar", False: "below the bar", None: "too few samples for the bar"}
        lines = [
            f"{self.task}: {self.circuit.n_edges} edges, {said[self.stable]} (mean pairwise "
            f"Jaccard of edges > {BAR:g} over at least {BAR_SAMPLES} samples); {self.how}"
        ]
        lines += [
            f"  {name} ({each.n}): edges {each.edges}, nodes {each.nodes}"
            for name, each in self.groups.items()
        ]
        lines += [f"  warning: {each}" for each in self.warnings]
        lines.append("  Does not show: that these edges carry the behaviour.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each edge of any circuit: ``edge, kept, prompts_frac[, seeds_frac]``.

        The shares of circuits found again that hold it, largest first.
        """
        import pandas as pd

        table = {"kept": self.circuit.kept, "prompts_frac": self.prompts.edge_frac}
        if self.seeds is not None:
            table["seeds_frac"] = self.seeds.edge_frac
        some = np.flatnonzero(np.any([np.asarray(each) > 0 for each in table.values()], axis=0))
        rows = pd.DataFrame({name: np.asarray(each)[some] for name, each in table.items()})
        rows.insert(0, "edge", [self.circuit.graph.name(at) for at in some.tolist()])
        return rows.sort_values("prompts_frac", ascending=False, kind="stable", ignore_index=True)

    def figure(self) -> Bars:
        """Mean Jaccard's index of edges and of nodes; whiskers hold 95 % of the pairs."""
        found = [
            (f"{what}, {name}", getattr(each, what))
            for what in ("edges", "nodes")
            for name, each in self.groups.items()
        ]
        return Bars(
            [name for name, _ in found],
            [each.mean for _, each in found],
            lo=[each.low for _, each in found],
            hi=[each.high for _, each in found],
            x="Jaccard's index of two circuits found again",
            order="given",
            title=f"{self.task}: is the circuit found again?",
            caption=f"{self.prompts.n} samples of {self.unit}s, {self.how}; whiskers hold 95 % of "
            f"the pairs. The bar: edges above {BAR:g} over at least {BAR_SAMPLES} samples.",
            does_not_show="That these edges carry the behaviour.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data: figures, and how often each edge of any circuit was found again."""
        overlaps = ("edges", "nodes", "edges_to_circuit", "nodes_to_circuit")
        return {
            "kind": "circuit_stability",
            "circuit": self.circuit.hash,
            "n_edges": self.circuit.n_edges,
            "task": self.task,
            "how": self.how,
            "unit": self.unit,
            "bar": {"jaccard_edges": BAR, "samples": BAR_SAMPLES, "reached": self.stable},
            "groups": {
                name: {"n": each.n, **{what: vars(getattr(each, what)) for what in overlaps}}
                for name, each in self.groups.items()
            },
            "edges": self.to_dataframe().to_dict("records"),
            "nodes": dict(zip(self.prompts.names, self.prompts.node_frac.tolist(), strict=True)),
            "passes": self.passes,
            "warnings": list(self.warnings),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv`` (the edges), or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: a path that cannot be written to.
        """
        save_result(self, path, "a circuit's stability")

    def _repr_html_(self) -> str | None:
        return html_of(self)


def _overlap(values: np.ndarray) -> Overlap:
    low, high = np.quantile(values, _QUANTILES)
    return Overlap(float(values.mean()), float(low), float(high))
