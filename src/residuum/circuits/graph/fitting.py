"""Whether a graph or a circuit is of the model that it is used on, and what a partial one means."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from residuum.circuits.graph.graph import Graph, need_graph
from residuum.circuits.graph.nodes import KEYS_VALUES, reaches
from residuum.circuits.graph.shape import GraphShape
from residuum.core import LoadError, OptionError, Provenance
from residuum.runs import Model, need_model


def shape_of(model: Model) -> GraphShape:
    """What of a model decides which edges it has."""
    layers = model.adapted.parts.layers
    return GraphShape(
        model.n_layers,
        model.n_heads,
        model.dims.n_kv_heads,
        tuple(layer.index for layer in layers if layer.wiring == "parallel"),
        tuple(layer.index for layer in layers if not layer.has_mlp),
    )


def graph_on(graph: Any, model: Model, noun: str = "graph") -> Graph:
    """The graph, if it is one of this model, with the model's shape.

    Args:
        noun: what it was given as.

    Raises:
        OptionError: no graph, one of another model, or an edge that the model does not have.
    """
    graph = need_graph(graph, noun)
    shape, mend = shape_of(model), "make the graph of this model: graph_of(model)"
    if graph.shape == shape:
        return graph
    if graph.shape is not None:
        raise OptionError(
            f"the graph is of a model of {graph.shape}; {model.name} has {shape}", mend=mend
        )
    strange = shape.missing_node(graph.senders, graph.receivers)
    if strange:
        raise OptionError(f"{model.name} has no {strange}, which the graph has", mend=mend)
    if graph.group != shape.group and any(each.name in KEYS_VALUES for each in graph.receivers):
        raise OptionError(
            f"in {model.name} {shape.group} heads share keys and values, in the graph "
            f"{graph.group}",
            mend=mend,
        )
    parallel = np.array([each.layer in shape.parallel for each in graph.receivers])
    there = reaches(graph.senders, graph.receivers, parallel)
    wrong = np.flatnonzero(~there[graph.edges[:, 0], graph.edges[:, 1]])
    if len(wrong):
        raise OptionError(f"{model.name} has no edge {graph.name(int(wrong[0]))}", mend=mend)
    return replace(graph, group=shape.group, shape=shape)


def partial_graph(graph: Graph) -> tuple[str, ...]:
    """What must be known of a graph that leaves some of its model's edges out; else nothing."""
    n = len(graph.left_out)
    if not n:
        return ()
    first = ", ".join(graph.left_out[:2]) + ", ..." * (n > 2)
    return (
        f"the graph leaves out {n:,} of the model's {n + graph.n_edges:,} edges ({first}): they "
        "carry the run's own value in every circuit, whatever is kept",
    )


def dictionary_hashes(graph: Graph, model: Model) -> dict[str, str]:
    """Name -> SHA-256 over sites and weights, of the dictionaries whose latents are nodes.

    Those without weights of their own (coders that others wrote) are left out.
    """
    names = sorted({each.dictionary for each in graph.senders if each.dictionary})
    there: Any = {name: model.dictionaries.get(name) for name in names}
    return {name: _hash(each) for name, each in there.items() if hasattr(each, "tensors")}


def _hash(coder: Any) -> str:
    digest = hashlib.sha256(f"{coder.reads} {coder.writes}".encode())
    for name, value in coder.tensors().items():
        digest.update(f"{name} {list(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_weights(provenance: Provenance, model: Model, noun: str, again: str) -> None:
    """Refuse another model than a result is of, by its weights; a result without a hash fits.

    Args:
        provenance: of the result.
        noun: what the result is called, in an error.
        again: how to get it for this model.

    Raises:
        OptionError: no model.
        LoadError: another model.
    """
    need_model(model, f"a {noun}")
    here, there = model.adapted.weight_hash, provenance.weight_hash
    if not there or here == there:
        return
    own, mend = str(model.dtype).removeprefix("torch."), again
    names = [provenance.model_id, model.name]
    if provenance.dtype and provenance.dtype != own:
        names = [f"{names[0]} in {provenance.dtype}", f"{names[1]} in {own}"]
        mend = f'load it as it was: rz.load(..., dtype="{provenance.dtype}"), or {again}'
    raise LoadError(
        f"the {noun} is of {names[0]} ({there[:8]}), this is {names[1]} ({here[:8]})", mend=mend
    )


def check_fits(
    graph: Graph, provenance: Provenance, model: Model, method: Mapping[str, Any]
) -> None:
    """Refuse another model than a circuit is of: by its weights, and by the graph's shape.

    Args:
        provenance: of the circuit; without a hash of weights only the shape is compared.
        method: record of how it was found, with hashes of dictionaries whose latents are nodes.

    Raises:
        OptionError: no model.
        LoadError: another model.
    """
    again = "find it again on this model: rz.discover(model, task)"
    check_weights(provenance, model, "circuit", again)
    try:
        graph_on(graph, model)
    except OptionError as error:
        raise LoadError(f"a circuit of another model: {error.what}", mend=again) from error
    known: Mapping[str, str] = method.get("dictionaries", {})
    for name, own in dictionary_hashes(graph, model).items() if known else ():
        if known.get(name, own) != own:
            raise LoadError(
                f"the dictionary {name!r} on {model.name} is another than the circuit's",
                mend=f"hang the circuit's on it as {name!r}, or {again}",
            )
