"""A circuit: the edges of a model's graph that are claimed to carry a behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.circuits.graph import circuit_file
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import parts_of
from residuum.circuits.graph.scores import REFERENCES, EdgeScores
from residuum.circuits.graph.selection import dangling, keep
from residuum.core import Address, LoadError, OptionError, Provenance
from residuum.core.saving import save_result
from residuum.runs import Model, need_model, shown

if TYPE_CHECKING:
    import pandas as pd


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
        kept = np.array(self.kept)
        if kept.shape != (self.graph.n_edges,) or kept.dtype != np.bool_:
            raise OptionError(
                f"kept is {kept.dtype} of shape {list(kept.shape)}, "
                f"the graph has {self.graph.n_edges} edges",
                mend="give one yes or no for each edge, in the graph's order",
            )
        if self.reference not in REFERENCES:
            raise OptionError(
                f"reference={self.reference!r} is unknown", mend=f"use {', '.join(REFERENCES)}"
            )
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
        """Its edges as a share of the graph's, 0 to 1."""
        return self.n_edges / max(self.graph.n_edges, 1)

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
        edges = self.graph.edges[self.kept]
        sending = {self.graph.senders[i] for i in np.unique(edges[:, 0])}
        receiving = [self.graph.receivers[i] for i in np.unique(edges[:, 1])]
        found = set(sending)
        for receiver in receiving:
            own = parts_of(receiver, self.graph.group)
            found |= set(own) if len(own) == 1 else (set(own) & sending or set(own))
        return tuple(part for part in self.graph.parts if part in found)

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
        """Of its model's tokenizer."""
        return self.provenance.tokenizer_hash

    @property
    def task_hash(self) -> str:
        """Of the task it was found on."""
        return self.provenance.task_hash

    def __contains__(self, edge: str) -> bool:
        return bool(self.kept[self.graph.index(edge)])

    def __len__(self) -> int:
        return self.n_edges

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Circuit) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        names = self.edge_names
        more = f", and {len(names) - 4:,} more" if len(names) > 4 else ""
        how = f", {self.selection['how']} by {self.selection['by']}" if self._chosen else ""
        return (
            f"Circuit({self.n_edges:,} of {self.graph.n_edges:,} edges "
            f"({100 * self.share:.2g} %), {len(self.nodes)} nodes, {self.reference}{how}\n"
            f"  {', '.join(names[:4])}{more})"
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all of it, scores and provenance included; the file's own."""
        return str(self.to_json()["sha256"])

    @property
    def _chosen(self) -> bool:
        return {"how", "by"} <= set(self.selection)

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
        given = {"how": how, "by": by, "prune": prune}
        usual = {"how": "greedy", "by": "absolute", "prune": "none"}
        options = {k: v or self.selection.get(k, usual[k]) for k, v in given.items()}
        found = circuit_of(self.scores, n_edges, share, **options)
        return replace(found, reference=self.reference, provenance=self.provenance)

    def with_kept(self, kept: np.ndarray, **selection: Any) -> Circuit:
        """The same graph and scores with other edges, and how these were chosen."""
        return replace(self, kept=kept, selection=selection)

    def check_fits(self, model: Model) -> None:
        """Refuse another model.

        Raises:
            OptionError: no model.
            LoadError: another model than the circuit is of.
        """
        need_model(model, "a circuit")
        if self.weight_hash and model.adapted.weight_hash != self.weight_hash:
            raise LoadError(
                f"the circuit is of {self.model_name} ({self.weight_hash[:8]}), this is "
                f"{model.name} ({model.adapted.weight_hash[:8]})",
                mend="find it again on this model: rz.discover(model, task)",
            )

    def to_dataframe(self) -> pd.DataFrame:
        """Its edges, one row each: ``edge, sender, receiver, position`` and ``score, se`` if known.

        Largest absolute score first.
        """
        import pandas as pd

        names = ["edge", "sender", "receiver", "position"]
        if self.scores is not None:
            table = self.scores.to_dataframe()[self.kept]
            order = np.argsort(-np.abs(table["score"].to_numpy()), kind="stable")
            return table.iloc[order].reset_index(drop=True)
        graph, edges = self.graph, self.graph.edges[self.kept]
        places = [graph.positions[p] for p in edges[:, 2]] if graph.positions else ""
        columns = [
            self.edge_names,
            [str(graph.senders[i]) for i in edges[:, 0]],
            [str(graph.receivers[i]) for i in edges[:, 1]],
            places,
        ]
        return pd.DataFrame(dict(zip(names, columns, strict=True)))

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

    def save(self, path: str | Path) -> None:
        """Write ``.json`` (with hashes of model, task and content), ``.csv`` or a picture.

        Raises:
            OptionError: another suffix, or a circuit without edges.
            StoreError: a path that cannot be written to.
        """
        self.need_edges()
        save_result(self, path, "a circuit")

    def need_edges(self) -> None:
        """Refuse an empty circuit.

        Raises:
            OptionError: it has no edges.
        """
        if not self.n_edges:
            raise OptionError(
                "an empty circuit: no edge is kept",
                mend="keep at least one: circuit.resized(n_edges=...)",
            )

    def figure(self) -> Any:
        """To come."""
        raise NotImplementedError


def circuit_of(
    scores: EdgeScores,
    n_edges: int | None = None,
    share: float | None = None,
    *,
    how: str = "greedy",
    by: str = "absolute",
    prune: str = "none",
) -> Circuit:
    """The circuit of this many edges, chosen from scores as :func:`keep` says.

    Args:
        scores: of every edge.
        n_edges, share: number of edges, or share of the graph's (0 to 1); one of them.
        how, by, prune: as of :func:`residuum.circuits.keep`.

    Raises:
        OptionError: no size or two, or an option that is none.
    """
    n = _size(scores.graph.n_edges, n_edges, share)
    kept = keep(scores.graph, scores.values, n, how=how, by=by, prune=prune)
    return Circuit(
        scores.graph,
        kept,
        scores,
        {
            "how": how,
            "by": by,
            "prune": prune,
            "asked": n,
            "found": int(kept.sum()),
            "dangling": dangling(scores.graph, kept),
        },
        scores.reference,
        scores.provenance,
    )


def load_circuit(path: str | Path, model: Model | None = None) -> Circuit:
    """Read a circuit that :meth:`Circuit.save` wrote as JSON.

    Args:
        path: the file.
        model: refused where the circuit is another model's; None puts that off to its use.

    Raises:
        StoreError: no such file, no circuit, an empty one, or one that was changed after it was
            written.
        LoadError: another model's.
    """
    found = Circuit.from_json(circuit_file.read(path))
    if model is not None:
        found.check_fits(model)
    return found


def _size(total: int, n_edges: Any, share: Any) -> int:
    if (n_edges is None) == (share is None):
        raise OptionError(
            "a circuit needs a size, either n_edges or share",
            mend="give n_edges=200, or share=0.05 for 5 % of the edges",
        )
    if n_edges is not None:
        return n_edges
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise OptionError(f"share={shown(share)} is no share", mend="use 0 to 1")
    return round(share * total)
