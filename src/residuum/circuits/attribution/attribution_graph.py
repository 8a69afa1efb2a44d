"""An attribution graph: what brought about one prompt's answer, as far as transcoders tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from residuum.circuits.attribution.graph_file import fields_of, graph_record
from residuum.circuits.attribution.influence import (
    GraphScores,
    cumulative,
    influence_of,
    normalised,
    pruned,
    scores_of,
)
from residuum.circuits.attribution.nodes import GraphEdge, GraphNode, Kind, index_of
from residuum.circuits.attribution.tables import summary
from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.paths import writing
from residuum.core.saving import save_result

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

    from residuum.circuits.attribution.edge_test import EdgeTest
    from residuum.figures import LayeredGraph


@dataclass(frozen=True, eq=False, repr=False)
class AttributionGraph:
    """The linear flow to a prompt's answer through transcoder features.

    Attention patterns and all norms' scales are frozen at this run, MLPs are replaced by their
    transcoders, and what those do not rebuild is added as error nodes. Then everything is linear,
    and what flows into a node sums, with its bias, to its pre-activation exactly.

    Shows: an exact account of this answer, given the patterns and the norms, and how much of it
    the features do not explain. Does not show: why heads attend where they do; what inactive
    features would have done; that the model computes by these features (try that with ``test``).
    Errors are part of the model's answer that the graph leaves dark. The scores alone do not tell
    trained transcoders from random ones, whose many features outweigh the errors they cause: read
    ``unexplained`` and the test beside them.

    Attributes:
        prompt, ids, tokens: as text, as ids, token by token.
        all_nodes: every node: features by layer and token, errors, tokens, logits.
        terms: of each logit, its tokens' ids with their weights (a contrast has several).
        weights: ``[target source]`` direct effects among all nodes, in the target's unit: of a
            feature its pre-activation, of a logit the centred logit (before a soft cap).
        bias: ``[node]`` what no source brings: biases of the model and of the transcoders.
        node_threshold, edge_threshold: shares of influence kept by pruning.
        n_active: latents active on the prompt; those that are no nodes are part of the errors.
        gap: largest difference between a node's value and the sum of what flows in, relative to
            the sum of its absolute inputs (or to the mean node's, if that is more).
        unexplained: of each layer with a transcoder, the part of its MLP's variance over this
            prompt's tokens (those skipped apart) that the nodes leave to errors; above 1 they are
            worse than its mean. Empty where one token is left, which does not vary.
        sites: what each transcoder reads and writes.
        kind, fingerprint: of the transcoders, and of their weights.
        warnings: what a reader must know before quoting a number.

    Source: Ameisen et al. 2025, "Circuit Tracing: Revealing Computational Graphs in Language
    Models" (attribution graphs, pruning, scores); Dunefsky et al. 2024, "Transcoders Find
    Interpretable LLM Feature Circuits" (single-layer transcoders).
    """

    prompt: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    all_nodes: tuple[GraphNode, ...]
    terms: tuple[tuple[tuple[int, float], ...], ...]
    weights: Float[np.ndarray, "node node"]
    bias: Float[np.ndarray, " node"]
    node_threshold: float
    edge_threshold: float
    n_active: int
    gap: float
    unexplained: Mapping[str, float]
    sites: tuple[str, ...]
    kind: str
    fingerprint: str
    warnings: tuple[str, ...]
    provenance: Provenance

    @property
    def nodes(self) -> tuple[GraphNode, ...]:
        """Nodes that pruning kept."""
        return tuple(self.all_nodes[i] for i in np.flatnonzero(self.kept).tolist())

    @property
    def edges(self) -> tuple[GraphEdge, ...]:
        """Edges that pruning kept, largest first; numbers count ``all_nodes``."""
        targets, sources = np.nonzero(self.kept_edges)
        weights = self.weights[targets, sources]
        order = np.argsort(-np.abs(weights), kind="stable")
        return tuple(GraphEdge(int(sources[i]), int(targets[i]), float(weights[i])) for i in order)

    def of_kind(self, kind: Kind) -> Bool[np.ndarray, " node"]:
        """Which of all nodes are of a kind."""
        return np.array([each.kind == kind for each in self.all_nodes], bool)

    def index(self, name: str) -> int:
        """Number of a node among all nodes, by its name.

        Raises:
            OptionError: no node has this name.
        """
        return index_of(self.all_nodes, name)

    @property
    def shares(self) -> Float[np.ndarray, " node"]:
        """``[node]`` weights of the targets in influence; they sum to 1."""
        return np.array([each.share for each in self.all_nodes])

    @property
    def strengths(self) -> Float[np.ndarray, "node node"]:
        """``[target source]`` absolute weights, each row divided by its sum."""
        return self._flow[0]

    @property
    def influence(self) -> Float[np.ndarray, " node"]:
        """``[node]`` share of all paths to the targets, by strength, that pass through it."""
        return self._flow[1]

    @property
    def influence_reached(self) -> Float[np.ndarray, " node"]:
        """``[node]`` share of all influence that the node and all stronger ones hold together."""
        return cumulative(self.influence)

    @cached_property
    def _flow(self) -> tuple[Float[np.ndarray, "node node"], Float[np.ndarray, " node"]]:
        strengths = normalised(self.weights)
        return strengths, influence_of(strengths, self.shares)

    @cached_property
    def _pruned(self) -> tuple[Bool[np.ndarray, " node"], Bool[np.ndarray, "node node"]]:
        fixed = self.of_kind("token") | self.of_kind("logit")
        return pruned(
            self.weights, self.shares, fixed, self.of_kind("feature"), self.node_threshold,
            self.edge_threshold,
        )  # fmt: skip

    @property
    def kept(self) -> Bool[np.ndarray, " node"]:
        """``[node]`` whether pruning kept it."""
        return self._pruned[0]

    @property
    def kept_edges(self) -> Bool[np.ndarray, "node node"]:
        """``[target source]`` whether pruning kept the edge."""
        return self._pruned[1]

    @property
    def scores(self) -> GraphScores:
        """Of the whole graph."""
        return self._scores[0]

    @property
    def pruned_scores(self) -> GraphScores:
        """Of what pruning kept; what it took out counts as not explained."""
        return self._scores[1]

    @cached_property
    def _scores(self) -> tuple[GraphScores, GraphScores]:
        both = self.strengths, self.strengths * self.kept_edges
        ends = self.shares, self.of_kind("token"), self.of_kind("error")
        return scores_of(both[0], *ends), scores_of(both[1], *ends)

    def __repr__(self) -> str:
        return summary(self)

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self, *, title: str = "", shown: int | None = None) -> LayeredGraph:
        """What pruning kept: tokens below, features by layer above them, targets on top.

        A slider leaves the edges that the most paths take, with the replacement score beside.

        Args:
            title: empty for one that names the targets.
            shown: edges drawn at first, and on paper; None for 60, or all of fewer.

        Raises:
            OptionError: pruning kept no edge; no number of edges.
        """
        from residuum.circuits.attribution.picture import graph_picture

        return graph_picture(self, title, shown)

    def to_dataframe(self, of: str = "edges") -> pd.DataFrame:
        """The kept ``"edges"`` or all ``"nodes"``, one row for each.

        Raises:
            OptionError: neither.
        """
        from residuum.circuits.attribution.tables import edge_table, node_table

        made = {"edges": edge_table, "nodes": node_table}.get(of)
        if made is None:
            raise OptionError(f"of={of!r:.40} is no table", mend='"edges" or "nodes"')
        return made(self)

    def to_networkx(self) -> nx.DiGraph:
        """The kept nodes, by name, and edges; attributes ``kind``, ``influence``, ``weight``."""
        from residuum.circuits.attribution.tables import networkx_graph

        return networkx_graph(self)

    def write_json(self, path: str | Path, *, slug: str = "", scan: str = "") -> None:
        """What pruning kept, in the JSON that Neuronpedia's and circuit-tracer's viewers read.

        Args:
            path: a file.
            slug: the graph's name there; empty: the file's.
            scan: the model's name there; empty: the model's.

        Raises:
            StoreError: no place to write to.
        """
        from residuum.circuits.attribution.viewer_json import viewer_json

        with writing(path) as target:
            made = viewer_json(self, slug or target.stem, scan or self.provenance.model_id)
            target.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """Plain data: all nodes, all edges, to nine digits."""
        return graph_record(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> AttributionGraph:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys that are missing or unknown, or numbers of no node.
        """
        return AttributionGraph(**fields_of(data))

    def save(self, path: str | Path) -> None:
        """Write as ``.json`` (all of it), ``.csv`` (kept edges), ``.html``, ``.svg`` or ``.png``.

        Raises:
            OptionError, StoreError: another suffix; no place to write to.
        """
        if Path(path).suffix == ".json":
            with writing(path) as target:
                target.write_text(json.dumps(self.to_json(), ensure_ascii=False), encoding="utf-8")
            return
        save_result(self, path, "an attribution graph")

    def test(
        self,
        model: Any,
        transcoders: Any,
        *,
        n: int = 16,
        times: float = 0.0,
        n_random: int = 99,
        seed: int = 0,
        batch_size: int = 64,
    ) -> EdgeTest:
        """Change features in the real model and compare with what the graph predicts.

        Each feature is multiplied by ``times`` at its token: its decoder's direction is added to
        the MLP's own output, so the error stays. Nothing is frozen then: attention, norms and the
        true MLPs answer. Measured are later features' pre-activations and the centred logits.

        Args:
            model, transcoders: those that the graph was made with.
            n: features to change: the most influential kept ones.
            times: 0 ablates.
            n_random: draws of the null, a random latent pushed as far in each feature's place.
            seed: of the null and the intervals.
            batch_size: prompts in one pass.

        Raises:
            OptionError: no kept feature; numbers out of range.
            LoadError: another model, or other transcoders.
        """
        from residuum.circuits.attribution.edge_testing import test_edges

        return test_edges(
            self, model, transcoders, n=n, times=times, n_random=n_random, seed=seed,
            batch_size=batch_size,
        )  # fmt: skip
