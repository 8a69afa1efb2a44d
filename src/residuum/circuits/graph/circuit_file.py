"""A circuit as a file: plain data under a hash, so that an edited one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import Provenance, StoreError, content_hash

_FORMAT = 1
_HASH = "sha256"
_FIELDS = ("graph", "kept", "scores", "selection", "reference", "provenance")
_MEND = "give a file that circuit.save(...) wrote"


def written(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a circuit as plain data, with format and hash."""
    data = {"format": _FORMAT, "kind": "circuit", **fields}
    return data | {_HASH: content_hash(data)}


def parts_of(data: Any) -> dict[str, Any]:
    """What :func:`written` wrote, as the fields of a circuit.

    Raises:
        StoreError: keys missing or unknown, another format, no edges, or another content than the
            hash is of.
    """
    _need_whole(data)
    try:
        graph = Graph.from_json(data["graph"])
        kept = np.zeros(graph.n_edges, dtype=bool)
        kept[np.asarray(data["kept"], dtype=np.int64)] = True
        scores = data["scores"]
        return {
            "graph": graph,
            "kept": kept,
            "scores": None if scores is None else EdgeScores.from_json(scores),
            "selection": dict(data["selection"]),
            "reference": str(data["reference"]),
            "provenance": Provenance.from_json(dict(data["provenance"])),
        }
    except (TypeError, ValueError, IndexError) as error:
        raise StoreError(f"a circuit with values of another kind: {error}", mend=_MEND) from error


def _need_whole(data: Any) -> None:
    keys = {*_FIELDS, "format", "kind", _HASH}
    if not isinstance(data, Mapping) or set(data) != keys or data["format"] != _FORMAT:
        raise StoreError(f"not a circuit of format {_FORMAT}", mend=_MEND)
    plain = {key: value for key, value in data.items() if key != _HASH}
    if data[_HASH] != content_hash(plain):
        raise StoreError(
            "the circuit was changed after it was written: its hash is of another content",
            mend="give the file as circuit.save(...) wrote it, or find the circuit again",
        )
    if not data["kept"]:
        mend = mend_of_empty(data["scores"] is not None)
        raise StoreError("an empty circuit: no edge is kept", mend=mend)


def mend_of_empty(scored: bool) -> str:
    """How an empty circuit gets edges: from its scores, or by hand where it has none."""
    if scored:
        return "keep at least one: circuit.resized(n_edges=...)"
    return 'name at least one: circuit_from_edges(graph, ["embed -> logits", ...])'
