"""Circuits from files: this package's own, the MIB benchmark's layout, GraphML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from residuum.circuits.graph import mib_layout, network
from residuum.circuits.graph.building import graph_of
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.circuit_saving import read_json
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.scores import EdgeScores
from residuum.circuits.graph.seen_prompts import SeenPrompts
from residuum.core import OptionError, Provenance, StoreError
from residuum.runs import Model, need_model


def load_circuit(path: str | Path, model: Model | None = None) -> Circuit:
    """Read a circuit from ``.json`` (this package's or the MIB layout) or ``.graphml``.

    Args:
        path: the file.
        model: refused where the circuit is another model's; None puts that off to its use. The MIB
            layout says nothing of weights: there only the shape is compared.

    Raises:
        StoreError: no such file, no circuit, an empty one, or one that was changed after it was
            written (GraphML, which other tools edit, has no hash).
        LoadError: another model's.
    """
    if model is not None:
        need_model(model, "load_circuit")
    if str(path).endswith(".graphml"):
        found = circuit_from_networkx(network.read_graphml(path))
    else:
        data = read_json(path, "a circuit")
        if mib_layout.is_mib(data):
            return circuit_from_mib(data, model)
        found = Circuit.from_json(data)
    if model is not None:
        found.check_fits(model)
    return found


def circuit_from_mib(
    data: Mapping[str, Any], model: Model | None = None, *, reference: str = "counterfactual"
) -> Circuit:
    """A circuit from the layout of the MIB benchmark and EAP-IG.

    Args:
        data: the JSON that their ``Graph.to_json`` wrote.
        model: that it is of; without it, one of equally many key/value as query heads.
        reference: what an edge outside it carries, which the layout does not say.

    Raises:
        StoreError: another layout or shape, a kept edge that the model does not have, none kept.
    """
    graph = mib_layout.graph_from(data) if model is None else graph_of(model)
    kept, values = mib_layout.from_mib(data, graph)
    strategy = "read in the MIB layout"
    record = Provenance("") if model is None else model.provenance(strategy=strategy)
    return _made(graph, kept, values, {"name": strategy}, "not said", reference, {}, record)


def circuit_from_networkx(made: Any) -> Circuit:
    """A circuit from what :meth:`Circuit.to_networkx` made: its edges as they are there now.

    Raises:
        StoreError: a network of another kind, an edge that the model does not have, none kept.
    """
    graph, kept, values, record = network.from_network(made)
    try:
        return _made(
            graph,
            kept,
            values,
            dict(record["method"]),
            str(record["metric"]),
            str(record["reference"]),
            dict(record["selection"]),
            Provenance.from_json(dict(record["provenance"])),
            SeenPrompts.from_json(record["seen"]) if record.get("seen") else None,
        )
    except (KeyError, TypeError, ValueError, OptionError) as error:
        raise StoreError(
            "a network whose record of the circuit was changed",
            mend="give what circuit.to_networkx() made; its edges may differ, its record not",
        ) from error


def _made(
    graph: Graph,
    kept: np.ndarray,
    values: np.ndarray | None,
    method: dict[str, Any],
    metric: str,
    reference: str,
    selection: dict[str, Any],
    provenance: Provenance,
    seen: SeenPrompts | None = None,
) -> Circuit:
    scores = None
    if values is not None:
        scores = EdgeScores(
            graph,
            values,
            method=method,
            metric=metric,
            reference=reference,
            provenance=provenance,
            seen=seen,
        )
    return Circuit(graph, kept, scores, selection, reference, provenance)
