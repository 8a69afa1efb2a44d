"""The graph of a loaded model: its nodes are the sites that were proven on it.

>>> import residuum as rz
>>> graph = graph_of(rz.load("microworld", check=False))
>>> str(graph.senders[0]), str(graph.receivers[-1])
('embed', 'logits')
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from residuum.circuits.graph.fitting import shape_of
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import HEAD_RECEIVERS, inputs_of
from residuum.circuits.graph.positions import end_of, positions_for
from residuum.circuits.graph.shape import GraphShape
from residuum.core import Address, AddressError, OptionError, SiteRefused
from residuum.runs import Model, Task, need_model, need_task, resolve, shown
from residuum.runs.apply import Placed

_STREAM = Address("resid_pre", 0)
"""The sender ``embed`` is the whole stream before the first block: tokens and positions."""

_OF_LAYER = (*HEAD_RECEIVERS, "head_out")
_OF_MLP = ("mlp_in", "mlp_out")


def graph_of(
    model: Model,
    task: Task | None = None,
    *,
    by_position: Any = False,
    finer: Any = (),
) -> Graph:
    """Every edge over the residual stream of a model.

    Args:
        model: any whose stream is the sum of its parts and whose heads have their own inputs.
        task: whose positions are meant; only with ``by_position``.
        by_position: True for an edge at each of the task's named positions (and one for the rest of
            the tokens), or some of their names.
        finer: single neurons (``"L1.mlp_act[N3]"``) or latents of a loaded dictionary
            (``"L1.mlp_out/NAME[F31]"``) that are nodes of their own; ``L1.mlp_out`` is then the
            rest of that MLP.

    Returns:
        Senders in forward order; edges receiver by receiver. GPT-2-small's has 157 senders, 445
        receivers and 32,491 edges. Of a parallel block, attention does not feed the MLP; keys and
        values have the (fewer) heads of a grouped model; a mixture's MLP is one node. By position,
        edges that nothing reads are left out: into the logits at any but the last token, and
        into queries and MLP of the last layer there.

    Raises:
        OptionError: no model; a finer part of another kind.
        TaskError: positions without a task, or ones that are no partition of its tokens.
        SiteRefused: a site that a graph needs was not proven on this model; the reason is named.
        AddressError: a finer part that the model does not have.

    Shows: what can reach what. Does not show: what does; edges are scored by ``rz.discover``.
    """
    need_model(model, "graph_of")
    _refuse_unproven(model)
    names: tuple[str, ...] = ()
    if by_position is not False:
        need_task(task, "graph_of(by_position=...)")
        assert task is not None
        names = positions_for(task, by_position)
    parts, shape = _finer_parts(model, finer), shape_of(model)
    graph = Graph.of(
        _in_order(shape.senders, parts),
        _in_order(shape.receivers, [each for part in parts for each in inputs_of(part, 1)]),
        names,
        parallel=shape.parallel,
        group=shape.group,
        shape=shape,
    )
    if not names or task is None:
        return graph
    return _read_ones(graph, shape, end_of(task, names))


def _refuse_unproven(model: Model) -> None:
    """Refuse a model that lacks a site which a graph needs, with the reason."""
    adapted = model.adapted
    layers = adapted.parts.layers
    encoder = [layer.index for layer in layers if layer.wiring == "post_norm_encoder"]
    if encoder:
        raise SiteRefused(
            f"{model.name} normalises its stream after each sum, so the stream is no sum of parts "
            "and has no edges",
            mend="use a model whose norms stand before attention and MLP (or on what they add)",
        )
    need = [_STREAM, Address("logits")]
    for layer in layers:
        names = _OF_LAYER + _OF_MLP * layer.has_mlp
        need += [Address(name, layer.index) for name in names]
    for address in need:
        if address not in adapted.taps:
            reason = adapted.refused.get(address, "its family has no such site")
            raise SiteRefused(
                f"{model.name} has no graph: {address} is not available on it: {reason}",
                mend="residuum doctor MODEL lists the sites that are; edges need "
                + ", ".join((*_OF_LAYER, *_OF_MLP, "logits")),
                where=str(address),
            )


def _in_order(nodes: tuple[Address, ...], finer: list[Address]) -> list[Address]:
    """Nodes of whole parts, and after those of each layer the finer ones."""
    found, late = [], [each for each in nodes if each.name == "logits"]
    for layer in (None, *sorted({each.layer for each in nodes if isinstance(each.layer, int)})):
        found += [each for each in nodes if each.layer == layer and each not in late]
        found += [each for each in finer if each.layer == layer]
    return found + late


def _finer_parts(model: Model, finer: Any) -> list[Address]:
    """Single neurons and latents, each once, in forward order."""
    given = [finer] if isinstance(finer, (str, Address)) else finer
    if not isinstance(given, Iterable):
        raise OptionError(f"finer={shown(finer)} names no parts", mend="give addresses")
    found: dict[Address, None] = {}
    for query in given:
        address = Address.parse(query)
        latent = address.name == "mlp_out" and address.dictionary is not None
        if not (latent or address.name == "mlp_act") or address.pos is not None:
            raise OptionError(
                f"{query} is no finer part of a graph",
                mend="give neurons, L1.mlp_act[N3], or latents, L1.mlp_out/NAME[F31]",
            )
        found.update(dict.fromkeys(_single(model, address)))
    return sorted(found, key=lambda part: (part.layer, part.name, part.dictionary or "", part.part))


def _single(model: Model, address: Address) -> list[Address]:
    """The single neurons or latents that an address or query means."""
    if not isinstance(address.part, int):
        raise OptionError(
            f"{address} means every one of them", mend="name single neurons or latents, [N3]"
        )
    found = list(resolve(model.adapted, address))
    for each in found:
        _need_latent(model, each)
    return found


def _need_latent(model: Model, address: Address) -> None:
    """Refuse a latent of a dictionary that is not there, writes elsewhere, or has fewer."""
    if address.dictionary is None:
        return
    coder = model.dictionaries.get(address.dictionary)
    if coder is None:
        raise OptionError(
            f"the model has no dictionary {address.dictionary!r}",
            mend=f"attach it first; it has: {', '.join(model.dictionaries) or 'none'}",
            where=str(address),
        )
    place = Address(address.name, address.layer)
    if isinstance(coder, Placed) and place not in coder.writes:
        raise OptionError(
            f"dictionary {address.dictionary!r} writes {', '.join(map(str, coder.writes))}, "
            f"not {place}",
            mend=f"use one that rebuilds {place}: latents elsewhere are no parts of an MLP",
            where=str(address),
        )
    with torch.no_grad():
        stream = torch.zeros(1, model.dims.d_model, dtype=model.dtype, device=model.device)
        count = coder.encode(stream).shape[-1]
    if isinstance(address.part, int) and address.part >= count:
        raise AddressError(
            f"latent {address.part} is out of range: {address.dictionary} has {count}",
            mend=f"use 0 to {count - 1}",
            where=str(address),
        )


def _read_ones(graph: Graph, shape: GraphShape, end: int) -> Graph:
    """The graph by position without the edges whose reading nothing can use."""
    late = np.array([shape.reads_late(each) for each in graph.receivers])
    unread = late[graph.edges[:, 1]] & (graph.edges[:, 2] != end)
    return replace(graph, edges=graph.edges[~unread])
