"""The layout of circuits that the MIB benchmark and EAP-IG read and write, to and from ours.

There, ``input``, ``a{l}.h{h}``, ``m{l}`` and ``logits`` are nodes, an edge is ``a0.h1->a1.h2<k>``,
every query head has keys and values of its own, every layer has an MLP, and there are no positions.

Source: EAP-IG (Hanna et al. 2024) and the MIB circuit track (Mueller et al. 2025), the JSON of
their ``Graph``. Their score has our sign where, as there, the metric is given as a loss (negated):
positive supports the clean behaviour. Deviation: in a grouped model a key/value head is one
receiver here and one per query head there. Going there its score is shared out equally; coming back
scores are summed, and the edge is kept where any of them is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import HEAD_RECEIVERS, KEYS_VALUES
from residuum.core import Address, OptionError, StoreError

_MEND = "give the JSON that the benchmark's Graph.to_json wrote"
_NODE = re.compile(r"a(\d+)\.h(\d+)|m(\d+)|input|logits")
_CFG = ("n_layers", "n_heads", "parallel_attn_mlp")


@dataclass(frozen=True)
class Shape:
    """What the layout calls ``cfg``.

    Attributes:
        parallel: whether attention and MLP of a layer read the same stream.
        d_model: width of the stream; 0 where it is not known.
    """

    n_layers: int
    n_heads: int
    parallel: bool
    d_model: int = 0


def is_mib(data: Any) -> bool:
    """Whether JSON looks like this layout."""
    return isinstance(data, Mapping) and {"cfg", "nodes", "edges"} <= set(data)


def to_mib(graph: Graph, kept: np.ndarray, values: np.ndarray | None, d_model: int = 0) -> Any:
    """A circuit in the layout: ``{"cfg", "nodes", "edges"}``, plain data.

    Args:
        graph: of whole heads and MLPs, at all positions.
        kept: bool ``[edge]``.
        values: scores ``[edge]``, or None.
        d_model: of the model.

    Raises:
        OptionError: positions, neurons or latents, or layers of different make.
    """
    shape = _shape_of(graph, d_model)
    ours = _numbered(graph)
    edges: dict[str, Any] = {}
    for name, edge, share in _there(shape, ours, graph.group):
        known = edge is not None and values is not None
        score = float(values[edge]) * share if known and values is not None else None
        edges[name] = {
            "score": 0.0 if edge is None else score,
            "in_graph": edge is not None and bool(kept[edge]),
        }
    senders = graph.edges[np.asarray(kept, dtype=bool), 0]
    used = {_text(graph.senders[i]) for i in np.unique(senders)}
    names = [*_nodes(shape), "logits"]
    nodes = {name: {"in_graph": name == "logits" or name in used} for name in names}
    cfg = {
        "n_layers": shape.n_layers,
        "n_heads": shape.n_heads,
        "parallel_attn_mlp": shape.parallel,
    }
    if d_model:
        cfg["d_model"] = d_model
    return {"cfg": cfg, "nodes": nodes, "edges": edges}


def graph_from(data: Mapping[str, Any]) -> Graph:
    """The graph that the layout's ``cfg`` means: no grouped heads, an MLP in every layer.

    Raises:
        StoreError: a ``cfg`` that lacks a number.
    """
    shape = _read_shape(data)
    senders, receivers = [Address("embed")], []
    for layer in range(shape.n_layers):
        heads = range(shape.n_heads)
        senders += [Address("head_out", layer, h) for h in heads] + [Address("mlp_out", layer)]
        receivers += [Address(name, layer, h) for name in HEAD_RECEIVERS for h in heads]
        receivers.append(Address("mlp_in", layer))
    parallel = range(shape.n_layers) if shape.parallel else ()
    return Graph.of(senders, [*receivers, Address("logits")], parallel=parallel)


def from_mib(data: Any, graph: Graph) -> tuple[np.ndarray, np.ndarray | None]:
    """Kept edges, bool ``[edge]``, and scores ``[edge]`` (None if any is missing).

    Args:
        data: JSON of the layout.
        graph: that it is of.

    Raises:
        StoreError: another layout, a node or edge that the graph does not have and the circuit
            keeps, edges missing, or no edge kept.
    """
    theirs, ours = _read_shape(data), _numbered(graph)
    shape = _shape_of(graph, 0)
    same = (theirs.n_layers, theirs.n_heads) == (shape.n_layers, shape.n_heads)
    if not same or theirs.parallel != shape.parallel:
        raise StoreError(
            f"a circuit of {theirs.n_layers} layers × {theirs.n_heads} heads"
            f"{' in parallel blocks' * theirs.parallel}, for a model of {shape.n_layers} × "
            f"{shape.n_heads}{' in parallel blocks' * shape.parallel}",
            mend="give the model that the circuit was found on",
        )
    kept = np.zeros(graph.n_edges, dtype=bool)
    values = np.zeros(graph.n_edges)
    left = dict(data["edges"])
    for name, edge, _ in _there(shape, ours, graph.group):
        score, inside = _entry(left.pop(name, None), name)
        if edge is not None:
            kept[edge] |= inside
            values[edge] += score
        elif inside:
            raise StoreError(
                f"the circuit keeps {name}, of which this model has neither end nor edge",
                mend="give the model that the circuit was found on",
            )
    if left:
        raise StoreError(f"there is no edge {next(iter(left))!r} in such a model", mend=_MEND)
    if not kept.any():
        raise StoreError(
            "an empty circuit: no edge is in_graph", mend="write it with edges in the circuit"
        )
    return kept, values if np.isfinite(values).all() else None


def _entry(entry: Any, name: str) -> tuple[float, bool]:
    if not isinstance(entry, Mapping) or not {"score", "in_graph"} <= set(entry):
        raise StoreError(f"the edge {name} is missing, or has no score and in_graph", mend=_MEND)
    score = entry["score"]
    if score is not None and not isinstance(score, (int, float)):
        raise StoreError(f"the edge {name} has the score {score!r:.40}", mend=_MEND)
    return (math.nan if score is None else float(score)), bool(entry["in_graph"])


def _nodes(shape: Shape) -> list[str]:
    found = ["input"]
    for layer in range(shape.n_layers):
        found += [f"a{layer}.h{head}" for head in range(shape.n_heads)] + [f"m{layer}"]
    return found


def _there(shape: Shape, ours: dict[tuple[str, str], int], group: int) -> Any:
    """Every edge of the layout: its name, ours (or None) and its share of our score."""
    stream: list[str] = ["input"]
    for layer in range(shape.n_layers):
        heads = [f"a{layer}.h{head}" for head in range(shape.n_heads)]
        for sender in stream:
            for head in range(shape.n_heads):
                for name in HEAD_RECEIVERS:
                    shared = group if name in KEYS_VALUES else 1
                    receiver = str(Address(name, layer, head // shared))
                    edge = ours.get((sender, receiver))
                    yield f"{sender}->a{layer}.h{head}<{name[0]}>", edge, 1 / shared
        read = stream if shape.parallel else [*stream, *heads]
        for sender in read:
            yield f"{sender}->m{layer}", ours.get((sender, f"L{layer}.mlp_in")), 1.0
        stream = [*stream, *heads, f"m{layer}"]
    for sender in stream:
        yield f"{sender}->logits", ours.get((sender, "logits")), 1.0


def _numbered(graph: Graph) -> dict[tuple[str, str], int]:
    """(sender in the layout, receiver in our words) -> number of the edge."""
    texts = [_text(sender) for sender in graph.senders]
    ends = [str(receiver) for receiver in graph.receivers]
    return {(texts[e[0]], ends[e[1]]): i for i, e in enumerate(graph.edges.tolist())}


def _text(sender: Address) -> str:
    if sender.name == "embed":
        return "input"
    head = sender.name == "head_out"
    return f"a{sender.layer}.h{sender.part}" if head else f"m{sender.layer}"


def _shape_of(graph: Graph, d_model: int) -> Shape:
    finer = [each for each in graph.senders if each.name == "mlp_act" or each.dictionary]
    if graph.positions or finer:
        what = "positions" if graph.positions else "single neurons or latents"
        raise OptionError(
            f"the MIB layout has no {what}",
            mend="export a circuit of whole heads and MLPs at all positions, or save it as .json",
        )
    layers = [each.layer for each in graph.senders if isinstance(each.layer, int)]
    heads = [each.part for each in graph.senders if each.name == "head_out"]
    n_heads = 1 + max((part for part in heads if isinstance(part, int)), default=-1)
    if len(heads) != n_heads * (1 + max(layers, default=-1)):
        raise OptionError(
            "the MIB layout needs equally many heads in every layer",
            mend="export a circuit of the model's whole graph",
        )
    inside = [
        edge
        for edge in graph.edges
        if graph.receivers[edge[1]].name == "mlp_in"
        and graph.senders[edge[0]].layer == graph.receivers[edge[1]].layer
    ]
    has_mlp = any(each.name == "mlp_in" for each in graph.receivers)
    return Shape(1 + max(layers, default=-1), n_heads, has_mlp and not inside, d_model)


def _read_shape(data: Any) -> Shape:
    cfg = data["cfg"] if is_mib(data) else None
    if not isinstance(cfg, Mapping) or not set(_CFG) <= set(cfg):
        raise StoreError("not a circuit in the MIB layout", mend=_MEND)
    numbers = [cfg[name] for name in ("n_layers", "n_heads")]
    if any(type(each) is not int or not 0 < each < 10_000 for each in numbers):
        raise StoreError(f"a circuit of {numbers[0]!r} layers × {numbers[1]!r} heads", mend=_MEND)
    strange = [name for name in data["nodes"] if not _NODE.fullmatch(str(name))]
    if strange or not isinstance(data["edges"], Mapping):
        raise StoreError(f"there is no node {strange[:1]} in such a model", mend=_MEND)
    return Shape(
        numbers[0], numbers[1], bool(cfg["parallel_attn_mlp"]), int(cfg.get("d_model") or 0)
    )
