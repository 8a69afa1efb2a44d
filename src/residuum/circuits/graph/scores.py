"""Scores of edges: how much each one supports the behaviour, and how that was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.circuits.graph.circuit_saving import read_json, write_json
from residuum.circuits.graph.edge_table import edge_table
from residuum.circuits.graph.graph import Graph, need_graph
from residuum.circuits.graph.score_figure import score_bars
from residuum.circuits.graph.seen_prompts import SeenPrompts
from residuum.circuits.graph.selection import BY
from residuum.core import OptionError, Provenance, StoreError
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.runs import bootstrap_mean_intervals, shown, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

REFERENCES = ("zero", "mean", "template_mean", "resample", "counterfactual")
"""What an edge outside the circuit carries; the circuit itself runs on the clean prompts."""

_FORMAT = 1


@dataclass(frozen=True)
class ScoredEdge:
    """One edge of :meth:`EdgeScores.top`.

    Attributes:
        name: of the edge.
        sender, receiver: addresses of its ends.
        position: name of the position, empty without positions.
        score: in the metric's unit, positive where the edge supports the clean behaviour.
        interval: 95 % bootstrap interval of the mean over examples; NaN without examples.
    """

    name: str
    sender: str
    receiver: str
    position: str
    score: float
    interval: tuple[float, float]


@dataclass(frozen=True, eq=False, repr=False)
class EdgeScores:
    """A score for every edge: metric(clean) - metric(the edge carrying its reference value).

    Shows: which edges support (above 0) or work against (below 0) the behaviour, one at a time, by
    this method and against this reference. Does not show: what several edges do together, nor (for
    an approximation) the exact effect.

    Attributes:
        graph: whose edges.
        values: float64 ``[edge]``, mean over the examples, in the metric's unit.
        examples: the same per example, float64 ``[example edge]``; None where a method has none.
        method: how they were found: name and options, plain data.
        reference: what an edge carries instead, one of :data:`REFERENCES`.
        metric: name of the metric.
        full, empty: mean metric of the whole model on the clean prompts, and with every edge at
            its reference value; NaN where that was not run.
        passes: forward-pass equivalents that were spent (a backward pass counts as two).
        warnings: what a reader must know before quoting a score.
        provenance: of model, task and method.
        clusters: template of each example, whole ones being drawn for intervals; may be empty.
        se: standard error of the mean over examples, float64 ``[edge]``; found from ``examples``,
            and kept in the file where they are not.
        seen: the prompts that they were found on; None where that is not known.
    """

    graph: Graph
    values: np.ndarray
    examples: np.ndarray | None = None
    method: Mapping[str, Any] = field(default_factory=dict)
    reference: str = "counterfactual"
    metric: str = "logit_diff"
    full: float = math.nan
    empty: float = math.nan
    passes: float = 0.0
    warnings: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance(""))
    clusters: tuple[str, ...] = ()
    se: np.ndarray | None = None
    seen: SeenPrompts | None = None

    def __post_init__(self) -> None:
        need_graph(self.graph, "EdgeScores(graph)")
        check_reference(self.reference)
        if self.se is None and self.examples is not None and len(self.examples) > 1:
            spread = np.std(self.examples, axis=0, ddof=1)
            object.__setattr__(self, "se", spread / math.sqrt(len(self.examples)))
        for name, ndim in (("values", 1), ("examples", 2), ("se", 1)):
            given = getattr(self, name)
            if given is None:
                continue
            array = _numbers(given, name)
            if array.ndim != ndim or array.shape[-1] != self.graph.n_edges:
                raise OptionError(
                    f"{name} of shape {list(array.shape)} for {self.graph.n_edges} edges",
                    mend="give one score for each edge (and example)",
                )
            if not np.isfinite(array).all():
                raise OptionError(
                    f"{int((~np.isfinite(array)).sum())} {name} are NaN or infinite",
                    mend="look at the metric: its value or its gradient is not finite somewhere",
                )
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        for name in ("warnings", "clusters"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def __repr__(self) -> str:
        top = ", ".join(f"{e.name} {e.score:+.3g}" for e in self._edges(self._order("absolute", 3)))
        how = self.method.get("name", "scores")
        return (
            f"EdgeScores({self.graph.n_edges:,} edges by {how}, {self.metric}, {self.reference}, "
            f"{self.passes:.1f} passes\n  top: {top})"
        )

    def score(self, edge: str) -> float:
        """The score of an edge by name.

        Raises:
            OptionError: no such edge.
        """
        return float(self.values[self.graph.index(edge)])

    def top(self, n: int = 10, by: str = "absolute") -> list[ScoredEdge]:
        """The ``n`` best edges, best first, by ``"absolute"`` or ``"signed"`` score.

        Raises:
            OptionError: ``n`` is no whole number from 0, or another ``by``.
        """
        whole_number(n, "n", 0)
        return self._edges(self._order(by, n))

    def to_dataframe(self) -> pd.DataFrame:
        """One row per edge: ``edge, sender, receiver, position, score, se`` (NaN without examples).

        ``se`` is the standard error of the mean over examples.
        """
        return edge_table(self.graph, np.arange(self.graph.n_edges), self.values, self.se)

    def figure(self, n: int = 20) -> Bars:
        """The ``n`` edges with the largest absolute scores as bars, with intervals."""
        whole_number(n, "n", 1)
        return score_bars(self.top(n), self.graph.n_edges, self.metric, self.reference)

    def to_json(self) -> dict[str, Any]:
        """Plain data; of scores per example, which are large, only their standard errors."""
        data = {
            "format": _FORMAT,
            "kind": "edge_scores",
            "graph": self.graph.to_json(),
            "values": self.values.tolist(),
            "se": None if self.se is None else self.se.tolist(),
            "method": dict(self.method),
            "reference": self.reference,
            "metric": self.metric,
            "full": _or_none(self.full),
            "empty": _or_none(self.empty),
            "passes": self.passes,
            "warnings": list(self.warnings),
            "provenance": self.provenance.to_json(),
            "clusters": list(self.clusters),
        }
        return data if self.seen is None else data | {"seen": self.seen.to_json()}

    @staticmethod
    def from_json(data: Mapping[str, Any], graph: Graph | None = None) -> EdgeScores:
        """Read what :meth:`to_json` wrote; scores per example are not in it.

        Args:
            graph: instead of the one in ``data``.

        Raises:
            StoreError: keys missing or unknown, another format, or values of another kind.
        """
        mend = "give what the scores' save() wrote as .json"
        names = {each.name for each in fields(EdgeScores)} - {"examples", "seen"}
        keys = names | {"format", "kind"}
        whole = isinstance(data, Mapping) and set(data) - {"seen"} == keys
        if not whole or data["format"] != _FORMAT:
            raise StoreError(f"no scores of edges of format {_FORMAT}", mend=mend)
        try:
            return EdgeScores(
                graph or Graph.from_json(data["graph"]),
                np.asarray(data["values"], dtype=np.float64),
                None,
                dict(data["method"]),
                str(data["reference"]),
                str(data["metric"]),
                _or_nan(data["full"]),
                _or_nan(data["empty"]),
                float(data["passes"]),
                tuple(data["warnings"]),
                Provenance.from_json(dict(data["provenance"])),
                tuple(data["clusters"]),
                None if data["se"] is None else np.asarray(data["se"], dtype=np.float64),
                SeenPrompts.from_json(data["seen"]) if "seen" in data else None,
            )
        except (TypeError, ValueError, OptionError) as error:
            what = error.what if isinstance(error, OptionError) else str(error)
            raise StoreError(f"scores of edges that do not hold: {what}", mend=mend) from error

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv`` or a picture.

        Raises:
            OptionError: another suffix.
            StoreError: a path that cannot be written to.
        """
        if str(path).endswith(".json"):
            return write_json(self.to_json(), path)
        return save_result(self, path, "scores of edges")

    @staticmethod
    def load(path: str | Path) -> EdgeScores:
        """Read what :meth:`save` wrote as ``.json``; scores per example are not in it.

        Raises:
            StoreError: no such file, or no scores.
        """
        return EdgeScores.from_json(read_json(path, "scores of edges"))

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def _order(self, by: str, n: int) -> np.ndarray:
        if by not in BY:
            raise OptionError(f"by={by!r} is unknown", mend=f"use {' or '.join(BY)}")
        key = np.abs(self.values) if by == "absolute" else self.values
        return np.argsort(-key, kind="stable")[:n]

    def _edges(self, order: np.ndarray) -> list[ScoredEdge]:
        graph, ends = self.graph, np.full((2, len(order)), math.nan)
        if self.examples is not None and len(self.examples) > 1 and len(order):
            chosen, clusters = self.examples[:, order].T, self.clusters or None
            ends = np.asarray(bootstrap_mean_intervals(chosen, clusters=clusters))
        return [
            ScoredEdge(
                graph.name(edge),
                str(graph.senders[graph.edges[edge, 0]]),
                str(graph.receivers[graph.edges[edge, 1]]),
                graph.positions[graph.edges[edge, 2]] if graph.positions else "",
                float(self.values[edge]),
                (float(ends[0, at]), float(ends[1, at])),
            )
            for at, edge in enumerate(order.tolist())
        ]


def check_reference(reference: Any) -> None:
    """Refuse a reference that an edge cannot carry.

    Raises:
        OptionError: it is none of :data:`REFERENCES`.
    """
    if reference not in REFERENCES:
        raise OptionError(
            f"reference={shown(reference)} is unknown", mend=f"use {', '.join(REFERENCES)}"
        )


def _numbers(given: Any, name: str) -> np.ndarray:
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{name}={shown(given)} are no numbers", mend="give one score for each edge"
        ) from error


def _or_none(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _or_nan(number: Any) -> float:
    return math.nan if number is None else float(number)
