"""A circuit: the edges of a model's graph that are claimed to carry a behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.circuits.graph import circuit_file, mib_layout, network
from residuum.circuits.graph.circuit_figure import circuit_picture, measured_at
from residuum.circuits.graph.circuit_parts import parts_between, told
from residuum.circuits.graph.circuit_saving import save_circuit
from residuum.circuits.graph.circuit_warnings import circuit_warnings
from residuum.circuits.graph.edge_table import edge_table
from residuum.circuits.graph.fitting import check_fits
from residuum.circuits.graph.graph import Graph, kept_of
from residuum.circuits.graph.scores import EdgeScores, check_reference
from residuum.circuits.graph.seen_prompts import SeenPrompts
from residuum.circuits.graph.selection import dangling, keep, size_of
from residuum.core import Address, OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.runs import Model, whole_number
from residuum.runs.arguments import need_text

if TYPE_CHECKING:
    import pandas as pd
    from networkx import MultiDiGraph

    from residuum.figures import LayeredGraph


@dataclass(frozen=True, eq=False, repr=False)
class Circuit:
    """Some edges of a model's graph; outside them every edge carries its reference value.

    Shows: which edges are claimed, and by which scores they were chosen. Does not show: that they
    carry the behaviour; ``rz.evaluate`` and ``rz.trial`` ask that.

    Attributes:
        graph: all edges of the model.
        kept: bool ``[edge]``: which belong to the circuit.
        scores: by which they were chosen; None where the edges were named otherwise.
        selection: how they were chosen, plain data.
        reference: what an edge outside carries, see :data:`residuum.circuits.REFERENCES`.
        provenance: of model, task and method.
    """

    graph: Graph
    kept: np.ndarray
    scores: EdgeScores | None = None
    selection: Mapping[str, Any] = field(default_factory=dict)
    reference: str = "counterfactual"
    provenance: Provenance = field(default_factory=lambda: Provenance(""))

    def __post_init__(self) -> None:
        kept = kept_of(self.graph, self.kept)
        check_reference(self.reference)
        if self.scores is not None and self.scores.graph != self.graph:
            raise OptionError(
                "the scores are of another graph than the circuit",
                mend="score the edges of the circuit's own graph",
            )
        kept.setflags(write=False)
        object.__setattr__(self, "kept", kept)

    @property
    def n_edges(self) -> int:
        """Number of edges in the circuit."""
        return int(self.kept.sum())

    @property
    def share(self) -> float:
        """Edges that carry the run's own value as a share of the model's, 0 to 1.

        Those that the graph leaves out always do, and count on both sides.
        """
        always = len(self.graph.left_out)
        return (self.n_edges + always) / max(self.graph.n_edges + always, 1)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before quoting the circuit; its scores' warnings among it."""
        of_scores = () if self.scores is None else self.scores.warnings
        return tuple(dict.fromkeys((*self.own_warnings, *of_scores)))

    @property
    def edge_names(self) -> tuple[str, ...]:
        """Names of its edges, in the graph's order."""
        return tuple(self.graph.name(edge) for edge in np.flatnonzero(self.kept).tolist())

    @property
    def nodes(self) -> tuple[Address, ...]:
        """Its parts in forward order: what sends along an edge, and what receives along one.

        A part is named as it sends: ``embed``, ``L1.head_out[H2]``, ``L1.mlp_out``, ``logits``. A
        key/value head of a grouped model belongs to those of its heads that also send or ask; to
        all of them where none does.
        """
        return parts_between(self.graph, self.kept)

    @property
    def model_name(self) -> str:
        """Name of its model, as loaded."""
        return self.provenance.model_id

    @property
    def weight_hash(self) -> str:
        """Of its model."""
        return self.provenance.weight_hash

    @property
    def tokenizer_hash(self) -> str:
        """Of its tokenizer."""
        return self.provenance.tokenizer_hash

    @property
    def task_hash(self) -> str:
        """Of the task it was found on."""
        return self.provenance.task_hash

    @property
    def seen(self) -> SeenPrompts | None:
        """The prompts that it was found on; None where that is not known."""
        return None if self.scores is None else self.scores.seen

    def __contains__(self, edge: str) -> bool:
        return bool(self.kept[self.graph.index(edge)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Circuit) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return "\n  ".join((told(self), *self.own_warnings))

    @property
    def own_warnings(self) -> tuple[str, ...]:
        """Those of its graph and its edges, without those of its scores."""
        return circuit_warnings(self.graph, self.kept, self.scores)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all of it, scores and provenance included; the file's own."""
        return str(self.to_json()["sha256"])

    def resized(
        self,
        n_edges: int | None = None,
        *,
        share: float | None = None,
        how: str | None = None,
        by: str | None = None,
        prune: str | None = None,
    ) -> Circuit:
        """The circuit of another size from the same scores.

        Args:
            n_edges, share: number of edges, or share of the graph's (0 to 1); one of them.
            how, by, prune: as of :func:`residuum.circuits.keep`; by default as this circuit was
                chosen.

        Raises:
            OptionError: no scores, no size or two.
        """
        if self.scores is None:
            raise OptionError(
                "a circuit without scores cannot be resized",
                mend="find it with rz.discover(...), which keeps the scores",
            )
        n = size_of(self.graph.n_edges, n_edges, share)
        usual = {"how": "greedy", "by": "absolute", "prune": "none"}
        asked = {"how": how, "by": by, "prune": prune}
        options = {k: v or self.selection.get(k, usual[k]) for k, v in asked.items()}
        kept = keep(self.graph, self.scores.values, n, **options)
        counts = {"asked": n, "found": int(kept.sum()), "dangling": dangling(self.graph, kept)}
        return replace(self, kept=kept, selection=options | counts)

    def with_kept(self, kept: np.ndarray, **selection: Any) -> Circuit:
        """The same graph and scores with other edges, and how these were chosen."""
        return replace(self, kept=kept, selection=selection)

    def check_fits(self, model: Model) -> None:
        """Refuse another model, as :func:`residuum.circuits.graph.fitting.check_fits` does."""
        method = {} if self.scores is None else self.scores.method
        check_fits(self.graph, self.provenance, model, method)

    def to_dataframe(self) -> pd.DataFrame:
        """Its edges, one row each: ``edge, sender, receiver, position`` and ``score, se`` if known.

        Largest absolute score first.
        """
        edges = np.flatnonzero(self.kept)
        if self.scores is None:
            return edge_table(self.graph, edges, None, None)
        order = np.argsort(-np.abs(self.scores.values[edges]), kind="stable")
        return edge_table(self.graph, edges[order], self.scores.values, self.scores.se)

    def to_json(self) -> dict[str, Any]:
        """Plain data, with a hash over all of it."""
        return circuit_file.written(
            {
                "graph": self.graph.to_json(),
                "kept": np.flatnonzero(self.kept).tolist(),
                "scores": None if self.scores is None else self.scores.to_json(),
                "selection": dict(self.selection),
                "reference": self.reference,
                "provenance": self.provenance.to_json(),
            }
        )

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Circuit:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys missing or unknown, another format, no edges, or a content that was
                changed after it was written.
        """
        return Circuit(**circuit_file.parts_of(data))

    def to_mib(self, d_model: int = 0) -> dict[str, Any]:
        """The circuit in the layout of the MIB benchmark and EAP-IG, plain data.

        Args:
            d_model: width of the model's stream, which the layout holds and a circuit does not.

        Raises:
            OptionError: an empty circuit, or one with positions, neurons or latents.
        """
        self.need_edges()
        return mib_layout.to_mib(self.graph, self.kept, self._values, d_model)

    def to_networkx(self, whole: bool = False) -> MultiDiGraph:
        """The circuit as a ``networkx.MultiDiGraph`` of its parts: its paths are the model's.

        Args:
            whole: also the edges outside the circuit, with ``kept`` false.
        """
        record = {
            "selection": dict(self.selection),
            "reference": self.reference,
            "provenance": self.provenance.to_json(),
            "method": {} if self.scores is None else dict(self.scores.method),
            "metric": "" if self.scores is None else self.scores.metric,
            "seen": None if self.seen is None else self.seen.to_json(),
        }
        return network.network(self.graph, self.kept, self._values, record, whole)

    @property
    def _values(self) -> np.ndarray | None:
        return None if self.scores is None else self.scores.values

    def save(self, path: str | Path) -> None:
        """Write the circuit in the format that the suffix names.

        ``.json`` (all of it, with hashes of model, task and content), ``.mib.json`` (the MIB
        benchmark's layout), ``.graphml``, ``.csv`` (its edges), ``.html``, ``.svg`` or ``.png``.

        Raises:
            OptionError: another suffix, or an empty circuit.
            StoreError: a path that cannot be written to.
        """
        self.need_edges()
        save_circuit(self, path)

    def need_edges(self) -> None:
        """Refuse an empty circuit (``OptionError``)."""
        if not self.n_edges:
            mend = circuit_file.mend_of_empty(self.scores is not None)
            raise OptionError("an empty circuit: no edge is kept", mend=mend)

    def figure(
        self, faithfulness: Any = None, *, title: str = "", shown: int | None = None
    ) -> LayeredGraph:
        """Layers from bottom to top, edges as wide as their scores; on a page with a slider.

        Args:
            faithfulness: drawn beside: ``{n_edges: value}``, or ``{n_edges: (value, low, high)}``.
            title: of the figure; by default model and size.
            shown: edges drawn at first; by default all, up to 150.

        Raises:
            OptionError: an empty circuit, or faithfulness of another form.
        """
        self.need_edges()
        need_text(title, "title")
        if shown is not None:
            whole_number(shown, "shown", 1)
        return circuit_picture(self, self.scores, measured_at(faithfulness), title, shown)

    def _repr_html_(self) -> str | None:
        return html_of(self) if self.n_edges else None
