"""The nodes of a graph as records, and what must be said of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from residuum.circuits.attribution.nodes import GraphNode
from residuum.circuits.attribution.sources import Sources
from residuum.circuits.attribution.targets import LogitTargets, soft_cap
from residuum.core import Address
from residuum.runs import Model


def node_list(
    model: Model, sources: Sources, targets: LogitTargets, ids: Tensor
) -> tuple[GraphNode, ...]:
    """Every node, in the order of the columns, then the targets."""
    last = len(ids) - 1
    return (
        *_features(sources),
        *_errors(sources),
        *_tokens(sources, ids.tolist(), model.to_str_tokens(ids)),
        *(_logit(targets, i, last) for i in range(len(targets.names))),
    )


def _features(sources: Sources) -> Iterator[GraphNode]:
    own = sources.features
    places = zip(own.layer.tolist(), own.pos.tolist(), own.latent.tolist(), strict=True)
    for (layer, pos, latent), value in zip(places, own.value.tolist(), strict=True):
        hung = sources.hangings.by_layer[layer]
        words, at = hung.label(latent), hung.address(latent, pos)
        yield GraphNode("feature", at, layer, pos, latent, value, words)


def _errors(sources: Sources) -> Iterator[GraphNode]:
    for layer in sources.mlp_layers:
        for pos, length in enumerate(sources.errors[layer].norm(dim=-1).tolist()):
            yield GraphNode("error", Address("mlp_out", layer, pos=pos), layer, pos, None, length)


def _tokens(sources: Sources, ids: list[int], words: list[str]) -> Iterator[GraphNode]:
    lengths = sources.frozen.embed.norm(dim=-1).tolist()
    for pos, token in enumerate(ids):
        at = Address("embed", pos=pos)
        yield GraphNode("token", at, None, pos, token, lengths[pos], repr(words[pos]))


def _logit(targets: LogitTargets, i: int, pos: int) -> GraphNode:
    chance = float(targets.probabilities[i])
    return GraphNode(
        kind="logit",
        at=Address("logits", pos=pos),
        layer=None,
        pos=pos,
        index=targets.terms[i][0][0],
        value=float(targets.values[i]),
        words=targets.names[i],
        share=float(targets.shares[i]),
        probability=None if np.isnan(chance) else chance,
    )


def warning_list(
    model: Model, sources: Sources, without: list[int], n_active: int
) -> tuple[str, ...]:
    """What a reader must know before quoting a number of the graph."""
    found: list[str] = []
    hangings, nodes = sources.hangings, len(sources.features)
    bare = [f"L{each}" for each in sources.mlp_layers if each not in hangings.by_layer]
    if bare:
        found.append(f"no transcoder for {', '.join(bare)}: their MLPs are errors as a whole")
    if without:
        where = ", ".join(map(str, without))
        found.append(f"at token {where} every MLP is an error as a whole (skip=)")
    if sources.frozen.n_pos - len(without) < 2:
        found.append("one token does not vary, so what is left unexplained is not known")
    if n_active > nodes:
        found.append(
            f"{n_active - nodes} active features are no nodes (max_nodes={nodes}) and "
            "count as errors"
        )
    if soft_cap(model) is not None:
        found.append("logits are those before the soft cap")
    unknown = [f"L{i}" for i, each in hangings.by_layer.items() if not each.coder.weight_hash]
    if unknown:
        found.append(
            f"the transcoders of {', '.join(unknown)} do not say what weights they were trained on"
        )
    return tuple(found)
