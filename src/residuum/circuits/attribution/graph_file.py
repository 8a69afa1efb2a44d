"""An attribution graph as plain data under a hash, so that an edited file is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from residuum.circuits.attribution.nodes import GraphNode
from residuum.core import Provenance, StoreError, content_hash

_PLAIN = ("prompt", "node_threshold", "edge_threshold", "n_active", "gap", "fingerprint", "kind")
_LISTS = ("ids", "tokens", "sites", "warnings")
_FORMAT, _HASH = 1, "sha256"
_REST = ("nodes", "terms", "bias", "edges", "unexplained", "provenance")


def graph_record(graph: Any) -> dict[str, Any]:
    """All nodes and all edges; weights to nine digits."""
    targets, sources = np.nonzero(graph.weights)
    weights = graph.weights[targets, sources]
    data = {
        "format": _FORMAT,
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
    return data | {_HASH: content_hash(data)}


def fields_of(data: Any) -> dict[str, Any]:
    """The fields of the graph that :func:`graph_record` wrote.

    Raises:
        StoreError: keys that are missing or unknown, edges of no node, or another content than the
            hash is of.
    """
    keys = {*_PLAIN, *_LISTS, *_REST, "format", _HASH}
    if not isinstance(data, Mapping) or set(data) != keys or data["format"] != _FORMAT:
        raise StoreError(
            f"this is no attribution graph of format {_FORMAT}",
            mend="give what graph.save(...) wrote",
        )
    if data[_HASH] != content_hash({key: value for key, value in data.items() if key != _HASH}):
        raise StoreError(
            "the graph was changed after it was written: its hash is of another content",
            mend="give the file as graph.save(...) wrote it, or make the graph again",
        )
    try:
        nodes = tuple(map(GraphNode.from_json, data["nodes"]))
        weights = _weights(len(nodes), data["edges"])
        bias = np.array(data["bias"], float)
        if bias.shape != (len(nodes),) or not np.isfinite(bias).all():
            raise ValueError("another number of biases, or some that are no numbers")
        return {
            **{name: data[name] for name in _PLAIN},
            **{name: tuple(data[name]) for name in _LISTS},
            "all_nodes": nodes,
            "terms": tuple(tuple((int(t), float(w)) for t, w in own) for own in data["terms"]),
            "weights": weights,
            "bias": bias,
            "unexplained": dict(data["unexplained"]),
            "provenance": Provenance.from_json(dict(data["provenance"])),
        }
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"an attribution graph with values of another kind: {error}",
            mend="copy the file again from where it came",
        ) from error


def _weights(n: int, edges: Mapping[str, Any]) -> np.ndarray:
    ends = np.array(edges["target"], int), np.array(edges["source"], int)
    weights = np.zeros((n, n))
    weights[ends] = edges["weight"]
    if not np.isfinite(weights).all() or min(each.min(initial=0) for each in ends) < 0:
        raise ValueError("edges of no node, or weights that are no numbers")
    return weights
