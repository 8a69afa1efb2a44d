"""A circuit as a NetworkX graph of its parts, and back; GraphML is written and read through it.

Nodes are parts (``embed``, ``L1.head_out[H2]``, ``L1.mlp_out``, ``logits``), so a path in it is a
path of the model. Edges carry what they arrive at; where a key/value head of a grouped model is
shared, one edge of ours is one edge to each of its heads, all with the same name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import parts_of
from residuum.core import StoreError
from residuum.core.paths import as_path

if TYPE_CHECKING:
    from networkx import MultiDiGraph

_MEND = "give what circuit.to_networkx() made, or a .graphml that circuit.save(...) wrote"
_RECORD = "residuum"


def network(
    graph: Graph,
    kept: np.ndarray,
    values: np.ndarray | None,
    record: Mapping[str, Any],
    whole: bool = False,
) -> MultiDiGraph:
    """A circuit as a ``networkx.MultiDiGraph``.

    Args:
        graph: all edges.
        kept: bool ``[edge]``.
        values: scores ``[edge]``, or None.
        record: what else belongs to the circuit, plain data; a text on the graph.
        whole: also the edges outside the circuit, with ``kept`` false.
    """
    import networkx as nx

    held = {"graph": graph.to_json(), "whole": whole, **record}
    made = nx.MultiDiGraph()
    made.graph[_RECORD] = json.dumps(held, ensure_ascii=False)
    for edge in np.flatnonzero(np.ones_like(kept) if whole else kept).tolist():
        sender, receiver, *place = graph.edges[edge].tolist()
        source, target = graph.senders[sender], graph.receivers[receiver]
        told: dict[str, Any] = {
            "edge": graph.name(edge),
            "into": target.name,
            "kept": bool(kept[edge]),
        }
        if place:
            told["position"] = graph.positions[place[0]]
        if values is not None:
            told |= {"score": float(values[edge]), "sign": 1 if values[edge] >= 0 else -1}
        for part in parts_of(target, graph.group):
            made.add_edge(str(source), str(part), key=graph.name(edge), **told)
    for part in graph.parts:
        if str(part) in made:
            made.add_node(str(part), layer=-1 if part.layer is None else part.layer, site=part.name)
    return made


def from_network(made: Any) -> tuple[Graph, np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Graph, kept edges, scores (None unless every edge has one) and the rest of the record.

    Raises:
        StoreError: no record of ours on it, an edge that the model does not have, or none kept.
    """
    try:
        record = json.loads(made.graph[_RECORD])
        graph, whole = Graph.from_json(record.pop("graph")), bool(record.pop("whole"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError("a network that holds no circuit", mend=_MEND) from error
    places = {name: edge for edge, name in enumerate(graph.names)}
    kept = np.zeros(graph.n_edges, dtype=bool)
    values = np.full(graph.n_edges, np.nan)
    for _, _, told in made.edges(data=True):
        edge = places.get(str(told.get("edge")))
        if edge is None:
            raise StoreError(f"the model has no edge {told.get('edge')!r:.80}", mend=_MEND)
        kept[edge] = bool(told.get("kept", True))
        values[edge] = float(told.get("score", np.nan))
    if not kept.any():
        raise StoreError("an empty circuit: no edge is kept", mend="keep at least one edge")
    known = whole and bool(np.isfinite(values).all())
    return graph, kept, values if known else None, record


def write_graphml(made: Any, path: Path) -> None:
    """Write a network as GraphML."""
    import networkx as nx

    nx.write_graphml(made, path)


def read_graphml(path: str | Path) -> Any:
    """The network in a GraphML file.

    Raises:
        StoreError: no such file, or no GraphML.
    """
    from xml.etree.ElementTree import ParseError

    import networkx as nx

    try:
        return nx.read_graphml(as_path(path), force_multigraph=True)
    except FileNotFoundError as error:
        raise StoreError(
            "there is no such file, so it cannot be read as a circuit", mend=_MEND, where=str(path)
        ) from error
    except (OSError, ParseError, nx.NetworkXError, KeyError, ValueError) as error:
        raise StoreError(
            f"no GraphML of a circuit: {error}", mend=_MEND, where=str(path)
        ) from error
