"""The result of a search for rivals: other circuits, how faithful they are and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.judging.ratios import Estimate
from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.figures import Bars

if TYPE_CHECKING:
    import pandas as pd

HALF = 0.5
"""Faithfulness below which a circuit has nothing for a rival to match."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """Another circuit of the size.

    Attributes:
        origin: which search it comes from.
        kept: bool ``[edge]``.
        edges, nodes: Jaccard's index with the circuit (nodes without embedding and logits).
        faithfulness: by reference, ratio of means.
    """

    origin: str
    kept: np.ndarray
    edges: float
    nodes: float
    faithfulness: Mapping[str, Estimate]


@dataclass(frozen=True, eq=False, repr=False)
class RivalCircuits:
    """Candidates beside a circuit; rivals are as faithful and share little.

    Shows: whether these edges are one of several sets that do the same on these prompts. Does not
    show: that there is no rival where none was found: the searches are narrow.

    Attributes:
        circuit: that was found.
        faithfulness: of the circuit, by reference, ratio of means.
        candidates: all that were looked at.
        tolerance: how much less faithful a rival may be, and how much further from 1.
        shared: how much a rival may share, Jaccard's index of edges.
        task: name of the task.
        examples: how many pairs.
        provenance: of model, task and options.
    """

    circuit: Circuit
    faithfulness: Mapping[str, Estimate]
    candidates: tuple[Candidate, ...]
    tolerance: float
    shared: float
    task: str
    examples: int
    provenance: Provenance

    def as_faithful(self, candidate: Candidate) -> bool:
        """Whether a candidate does as well as the circuit under every reference."""
        return all(
            candidate.faithfulness[kind].value >= own.value - self.tolerance
            and abs(candidate.faithfulness[kind].value - 1) <= abs(own.value - 1) + self.tolerance
            for kind, own in self.faithfulness.items()
        )

    @property
    def rivals(self) -> tuple[Candidate, ...]:
        """Candidates that are as faithful and share little."""
        return tuple(
            each for each in self.candidates if self.as_faithful(each) and each.edges <= self.shared
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before quoting a number of rivals."""
        return (
            *self.circuit.own_warnings,
            *(
                f"under {kind} the circuit itself has faithfulness {own}: to do as well is no feat"
                for kind, own in self.faithfulness.items()
                if own.value < HALF
            ),
        )

    def circuit_of(self, candidate: Candidate | int) -> Circuit:
        """A candidate as a circuit, to be judged and saved; by itself or its number.

        Raises:
            OptionError: no such candidate.
        """
        if isinstance(candidate, int):
            if not 0 <= candidate < len(self.candidates):
                raise OptionError(
                    f"candidate {candidate} of {len(self.candidates)}",
                    mend="give a number from 0, or a candidate itself",
                )
            candidate = self.candidates[candidate]
        return self.circuit.with_kept(candidate.kept, how="rival", by=candidate.origin)

    def summary(self) -> str:
        """The search in words."""
        own = ", ".join(f"{kind} {each}" for kind, each in self.faithfulness.items())
        lines = [
            f"{self.task}: {len(self.rivals)} of {len(self.candidates)} candidates are rivals (at "
            f"most {self.tolerance:g} less faithful, Jaccard of edges at most {self.shared:g})",
            f"  the circuit, {self.circuit.n_edges} edges: {own}",
        ]
        lines += [
            f"  {each.origin}: shares {each.edges:.2f} of edges, {each.nodes:.2f} of nodes; "
            + ", ".join(f"{kind} {value}" for kind, value in each.faithfulness.items())
            for each in self.candidates
        ]
        lines += [f"  warning: {each}" for each in self.warnings]
        return "\n".join([*lines, "  Does not show: that no other circuit does as well."])

    def __repr__(self) -> str:
        return self.summary()

    def to_dataframe(self) -> pd.DataFrame:
        """A row for the circuit and for each candidate, and each reference.

        Columns: ``origin, edges_jaccard, nodes_jaccard, reference, faithfulness, low, high,
        rival``.
        """
        import pandas as pd

        own = Candidate("the circuit", self.circuit.kept, 1.0, 1.0, self.faithfulness)
        rivals = self.rivals
        rows = [
            {
                "origin": each.origin,
                "edges_jaccard": each.edges,
                "nodes_jaccard": each.nodes,
                "reference": kind,
                "faithfulness": found.value,
                "low": found.low,
                "high": found.high,
                "rival": each in rivals,
            }
            for each in (own, *self.candidates)
            for kind, found in each.faithfulness.items()
        ]
        return pd.DataFrame(rows)

    def figure(self) -> Bars:
        """Faithfulness of the circuit and of each candidate, with what they share."""
        table = self.to_dataframe()
        columns = (table[name] for name in ("origin", "edges_jaccard", "reference"))
        names = [
            f"{origin} (shares {share:.2f}), {reference}"
            for origin, share, reference in zip(*columns, strict=True)
        ]
        banded = bool(np.isfinite(table["low"]).all())
        return Bars(
            names,
            table["faithfulness"].to_numpy(),
            lo=table["low"].to_numpy() if banded else None,
            hi=table["high"].to_numpy() if banded else None,
            x="faithfulness, ratio of means",
            order="given",
            title=f"{self.task}: {len(self.rivals)} rivals among {len(self.candidates)} candidates",
            caption=f"{self.examples} pairs; 95 % bootstrap intervals; shares: Jaccard's index of "
            f"edges with the circuit. Rivals are at most {self.tolerance:g} less faithful and "
            f"share at most {self.shared:g}.",
            does_not_show="That no other circuit does as well.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN as None."""
        return {
            "kind": "rival_circuits",
            "circuit": self.circuit.hash,
            "n_edges": self.circuit.n_edges,
            "task": self.task,
            "examples": self.examples,
            "tolerance": self.tolerance,
            "shared": self.shared,
            "faithfulness": _plain(self.faithfulness),
            "candidates": [
                {
                    "origin": each.origin,
                    "kept": np.flatnonzero(each.kept).tolist(),
                    "edges_jaccard": each.edges,
                    "nodes_jaccard": each.nodes,
                    "faithfulness": _plain(each.faithfulness),
                    "rival": each in self.rivals,
                }
                for each in self.candidates
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
        save_result(self, path, "a search for rivals")

    def _repr_html_(self) -> str | None:
        return html_of(self)


def _plain(found: Mapping[str, Estimate]) -> dict[str, dict[str, float | int | None]]:
    return {
        kind: {name: None if value != value else value for name, value in vars(each).items()}
        for kind, each in found.items()
    }
