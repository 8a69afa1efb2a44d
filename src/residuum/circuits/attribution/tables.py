"""An attribution graph in words, as tables and as a NetworkX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Bool, Float

from residuum.circuits.attribution.drawn_edges import flow_of
from residuum.circuits.attribution.influence import GraphScores
from residuum.circuits.attribution.nodes import GraphEdge, GraphNode, Kind
from residuum.core import Provenance

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd


class Drawn(Protocol):
    """What is read of an attribution graph to draw or to list it."""

    @property
    def prompt(self) -> str:
        """As text."""
        ...

    @property
    def tokens(self) -> Sequence[str]:
        """Token by token."""
        ...

    @property
    def all_nodes(self) -> Sequence[GraphNode]:
        """Every node."""
        ...

    @property
    def edges(self) -> Sequence[GraphEdge]:
        """Kept edges."""
        ...

    @property
    def weights(self) -> Float[np.ndarray, "node node"]:
        """Direct effects."""
        ...

    @property
    def bias(self) -> Float[np.ndarray, " node"]:
        """What no source brings."""
        ...

    @property
    def kept(self) -> Bool[np.ndarray, " node"]:
        """Whether a node was kept."""
        ...

    @property
    def kept_edges(self) -> Bool[np.ndarray, "node node"]:
        """Whether an edge was kept."""
        ...

    @property
    def shares(self) -> Float[np.ndarray, " node"]:
        """Weights of the targets."""
        ...

    @property
    def strengths(self) -> Float[np.ndarray, "node node"]:
        """Absolute weights, each row divided by its sum."""
        ...

    @property
    def scores(self) -> GraphScores:
        """Of the whole graph."""
        ...

    @property
    def pruned_scores(self) -> GraphScores:
        """Of what pruning kept."""
        ...

    @property
    def influence(self) -> Float[np.ndarray, " node"]:
        """Of each node."""
        ...

    @property
    def influence_reached(self) -> Float[np.ndarray, " node"]:
        """Share of influence that the node and all stronger ones hold."""
        ...

    @property
    def node_threshold(self) -> float:
        """Share of influence kept."""
        ...

    @property
    def edge_threshold(self) -> float:
        """The same of edges."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Where it comes from."""
        ...

    def of_kind(self, kind: Kind) -> Bool[np.ndarray, " node"]:
        """Which nodes are of a kind."""
        ...


def summary(graph: Any) -> str:
    """A graph in a few lines: its size, its scores, what errors hold, and its warnings."""
    features, errors = graph.of_kind("feature"), graph.of_kind("error")
    logits = ", ".join(each.words for each in graph.all_nodes if each.kind == "logit")
    kept, whole, left = graph.kept, graph.scores, graph.pruned_scores
    lines = [
        f"AttributionGraph({len(graph.tokens)} tokens -> {logits}; {graph.kind})",
        f"  {features.sum()} of {graph.n_active} active features are nodes; pruning kept "
        f"{(features & kept).sum()} features, {(errors & kept).sum()} errors, "
        f"{graph.kept_edges.sum()} edges",
        f"  replacement {whole.replacement:.2f}, completeness {whole.completeness:.2f}; errors "
        f"start {whole.error_share:.0%} of the paths, which the graph does not explain",
        *_unexplained(graph.unexplained),
        f"  of what pruning kept: replacement {left.replacement:.2f}, completeness "
        f"{left.completeness:.2f}",
    ]
    return "\n".join([*lines, *(f"  {each}" for each in graph.warnings)])


def _unexplained(shares: Mapping[str, float]) -> list[str]:
    told = ", ".join(f"{layer} {share:.0%}" for layer, share in shares.items())
    return [f"  left to errors of the MLPs' variance on this prompt: {told}"] if told else []


def edge_table(graph: Drawn) -> pd.DataFrame:
    """Kept edges, largest first: ``source, target, weight``, the kinds of both ends, and ``paths``:
    the share of all paths to the targets, by strength, that take the edge."""
    import pandas as pd

    nodes, flow = graph.all_nodes, flow_of(graph.strengths, graph.influence, graph.shares)
    rows = [
        (nodes[e.source].name, nodes[e.target].name, e.weight, nodes[e.source].kind,
         nodes[e.target].kind, float(flow[e.target, e.source]))
        for e in graph.edges
    ]  # fmt: skip
    columns = ["source", "target", "weight", "source_kind", "target_kind", "paths"]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def node_table(graph: Drawn) -> pd.DataFrame:
    """All nodes, most influential first."""
    import pandas as pd

    plain = ("name", "kind", "layer", "pos", "index", "value", "words")
    columns = {key: [getattr(each, key) for each in graph.all_nodes] for key in plain}
    columns |= {"influence": graph.influence, "bias": graph.bias, "kept": graph.kept}
    table = pd.DataFrame(columns)
    return table.sort_values("influence", ascending=False, kind="stable").reset_index(drop=True)


def networkx_graph(graph: Drawn) -> nx.DiGraph:
    """Kept nodes by name, and kept edges."""
    import networkx as nx

    made: nx.DiGraph = nx.DiGraph(prompt=graph.prompt)
    for i in np.flatnonzero(graph.kept).tolist():
        node = graph.all_nodes[i]
        layer = -1 if node.layer is None else node.layer
        made.add_node(
            node.name, kind=node.kind, layer=layer, pos=node.pos, value=node.value,
            words=node.words, influence=float(graph.influence[i]),
        )  # fmt: skip
    for edge in graph.edges:
        ends = (graph.all_nodes[i].name for i in (edge.source, edge.target))
        made.add_edge(*ends, weight=edge.weight)
    return made
