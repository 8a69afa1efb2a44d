"""An attribution graph as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from residuum.circuits.attribution.nodes import GraphNode
from residuum.core import Provenance, StoreError

_PLAIN = ("prompt", "node_threshold", "edge_threshold", "n_active", "gap", "fingerprint", "kind")
_LISTS = ("ids", "tokens", "sites", "warnings")
_REST = ("nodes", "terms", "bias", "edges", "unexplained", "provenance")


def graph_record(graph: Any) -> dict[str, Any]:
    """All nodes and all edges; weights to nine digits."""
    targets, sources = np.nonzero(graph.weights)
    weights = graph.weights[targets, sources]
    return {
        **{name: getattr(graph, name) for name in _PLAIN},
        **{name: list(getattr(graph, name)) for name in _LISTS},
        "nodes": [each.to_json() for each in graph.all_nodes],
        "terms": [[list(term) for term in own] for own in graph.terms],
        "bias": [float(x) for x in graph.bias],
        "edges": {
            "target": targets.tolist(),
            "source": sources.tolist(),
            "weight": [float(f"{x:.9g}") for x in weights],
        },
        "unexplained": dict(graph.unexplained),
        "provenance": graph.provenance.to_json(),
    }


def fields_of(data: Any) -> dict[str, Any]:
    """The fields of the graph that :func:`graph_record` wrote.

    Raises:
        StoreError: keys that are missing or unknown, or edges of no node.
    """
    if not isinstance(data, Mapping) or set(data) != {*_PLAIN, *_LISTS, *_REST}:
        raise StoreError("this is no attribution graph", mend="give what graph.save(...) wrote")
    nodes = tuple(map(GraphNode.from_json, data["nodes"]))
    weights, edges = np.zeros((len(nodes), len(nodes))), data["edges"]
    try:
        weights[edges["target"], edges["source"]] = edges["weight"]
        bias = np.array(data["bias"], float)
        terms = tuple(tuple((int(t), float(w)) for t, w in own) for own in data["terms"])
        if bias.shape != (len(nodes),) or not np.isfinite(weights).all():
            raise ValueError("another number of biases, or weights that are no numbers")
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the file's edges do not fit its nodes: {error}",
            mend="copy the file again from where it came",
        ) from error
    return {
        **{name: data[name] for name in _PLAIN},
        **{name: tuple(data[name]) for name in _LISTS},
        "all_nodes": nodes,
        "terms": terms,
        "weights": weights,
        "bias": bias,
        "unexplained": dict(data["unexplained"]),
        "provenance": Provenance.from_json(dict(data["provenance"])),
    }
