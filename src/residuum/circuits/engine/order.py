"""All senders and receivers of a model in forward order, and where a graph's edges lie among them.

A graph may leave some of a model's edges out, as wholes or at some positions. Those are not in
question: they always carry the run's own value. Only into the logits, and into queries and MLP of
the last layer, a position that is left out beside others is one that nothing reads; it carries
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from residuum.circuits.engine.finer import Finer
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import inputs_of
from residuum.core import Address, OptionError
from residuum.runs import Model

_SLOTS = ("q", "k", "v")


@dataclass(frozen=True)
class Order:
    """Numbers of a model's senders and receivers.

    Senders are numbered ``embed``, then by layer its heads, its MLP and finer parts of it;
    receivers by layer its heads' queries, keys, values, its MLP and finer parts of it, then the
    logits.

    Attributes:
        heads, groups: query heads and key/value heads of every layer.
        mlp: for each layer, whether it has an MLP.
        parallel: for each layer, whether its MLP reads the same stream as its attention.
        finer: layer -> its neurons or latents that are nodes of their own, as senders.
    """

    heads: int
    groups: int
    mlp: tuple[bool, ...]
    parallel: tuple[bool, ...]
    finer: Mapping[int, tuple[Address, ...]] = field(default_factory=dict)

    @staticmethod
    def of(model: Model, finer: Finer | None = None) -> Order:
        """The order of a model's parts."""
        layers = model.adapted.parts.layers
        return Order(
            model.n_heads,
            model.dims.n_kv_heads,
            tuple(layer.has_mlp for layer in layers),
            tuple(layer.wiring == "parallel" for layer in layers),
            {layer: each.nodes for layer, each in (finer or {}).items()},
        )

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.mlp)

    @cached_property
    def _bases(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """First sender and first receiver of each layer, and one past the last."""
        senders, receivers = [1], [0]
        for layer, has in enumerate(self.mlp):
            parts = has + self.n_finer(layer)
            senders.append(senders[-1] + self.heads + parts)
            receivers.append(receivers[-1] + self.heads + 2 * self.groups + parts)
        return tuple(senders), tuple(receivers)

    @property
    def n_senders(self) -> int:
        """Number of senders."""
        return self._bases[0][-1]

    @property
    def n_receivers(self) -> int:
        """Number of receivers, the logits among them."""
        return self._bases[1][-1] + 1

    def sending(self, layer: int) -> slice:
        """The senders that are a layer's heads."""
        first = self._bases[0][layer]
        return slice(first, first + self.heads)

    def sending_mlp(self, layer: int) -> int:
        """The sender that is a layer's MLP."""
        return self._bases[0][layer] + self.heads

    def n_finer(self, layer: int) -> int:
        """How many of a layer's neurons or latents are nodes of their own."""
        return len(self.finer.get(layer, ()))

    def sending_finer(self, layer: int) -> slice:
        """The senders that are finer parts of a layer's MLP."""
        first = self.sending_mlp(layer) + 1
        return slice(first, first + self.n_finer(layer))

    def of_slot(self, slot: str) -> int:
        """How many heads a slot has."""
        return self.heads if slot == "q" else self.groups

    def reading(self, layer: int, slot: str) -> slice:
        """The receivers that are one slot (``q``, ``k`` or ``v``) of a layer's heads."""
        first = self._bases[1][layer]
        for each in _SLOTS[: _SLOTS.index(slot)]:
            first += self.of_slot(each)
        return slice(first, first + self.of_slot(slot))

    def reading_mlp(self, layer: int) -> int:
        """The receiver that is a layer's MLP."""
        return self._bases[1][layer] + self.heads + 2 * self.groups

    def reading_finer(self, layer: int) -> slice:
        """The receivers that are finer parts of a layer's MLP."""
        first = self.reading_mlp(layer) + 1
        return slice(first, first + self.n_finer(layer))

    def after_attention(self, layer: int) -> int:
        """The first receiver after a layer's heads: of a sequential block, one that reads them."""
        return self.reading_mlp(layer)

    @property
    def logits(self) -> int:
        """The receiver that is the unembedding."""
        return self.n_receivers - 1

    @property
    def late(self) -> np.ndarray:
        """The receivers of which only what they read at the answer's token matters."""
        last = self.n_layers - 1
        queries = self.reading(last, "q")
        late = [*range(queries.start, queries.stop), self.logits]
        if self.mlp[last]:
            finer = self.reading_finer(last)
            late += [self.reading_mlp(last), *range(finer.start, finer.stop)]
        return np.array(late)

    def before_attention(self, layer: int) -> int:
        """How many of the senders are in the stream that a layer's attention reads."""
        return self._bases[0][layer]

    def before_mlp(self, layer: int) -> int:
        """How many of the senders are in the stream that a layer's MLP reads."""
        first = self._bases[0][layer]
        return first if self.parallel[layer] else first + self.heads

    @cached_property
    def sender_names(self) -> tuple[str, ...]:
        """Addresses of all senders."""
        found = ["embed"]
        for layer, has in enumerate(self.mlp):
            found += [f"L{layer}.head_out[H{head}]" for head in range(self.heads)]
            found += [f"L{layer}.mlp_out"] * has
            found += map(str, self.finer.get(layer, ()))
        return tuple(found)

    @cached_property
    def receiver_names(self) -> tuple[str, ...]:
        """Addresses of all receivers."""
        found: list[str] = []
        for layer, has in enumerate(self.mlp):
            for slot in _SLOTS:
                found += [f"L{layer}.{slot}_in[H{i}]" for i in range(self.of_slot(slot))]
            found += [f"L{layer}.mlp_in"] * has
            found += [str(at) for each in self.finer.get(layer, ()) for at in inputs_of(each, 1)]
        return (*found, "logits")

    @cached_property
    def feeds(self) -> np.ndarray:
        """Whether a receiver reads a sender: bool ``[receiver sender]``."""
        found = np.zeros((self.n_receivers, self.n_senders), dtype=bool)
        for layer, has in enumerate(self.mlp):
            for slot in _SLOTS:
                found[self.reading(layer, slot), : self.before_attention(layer)] = True
            if has:
                first = self.reading_mlp(layer)
                found[first : first + 1 + self.n_finer(layer), : self.before_mlp(layer)] = True
        found[self.logits] = True
        return found


@dataclass(frozen=True, eq=False)
class Wiring:
    """Where a graph's edges lie in a model.

    Attributes:
        order: the model's parts.
        places: ``[3 edge]``: receiver, sender and position of each of the graph's edges.
        read: bool ``[receiver sender position]``: where something reads.
        fixed: bool, of the same shape: edges that the graph leaves out, which are always kept.
    """

    order: Order
    places: np.ndarray
    read: np.ndarray
    fixed: np.ndarray

    @staticmethod
    def of(graph: Graph, order: Order) -> Wiring:
        """The places of a graph's edges.

        Raises:
            OptionError: nodes that the model does not have.
        """
        senders = _numbers(map(str, graph.senders), order.sender_names, "sender")
        receivers = _numbers(map(str, graph.receivers), order.receiver_names, "receiver")
        edges = np.asarray(graph.edges)
        position = edges[:, 2] if edges.shape[1] > 2 else np.zeros(len(edges), dtype=np.int64)
        places = np.stack([receivers[edges[:, 1]], senders[edges[:, 0]], position])
        _refuse_impossible(order, places)
        shape = (order.n_receivers, order.n_senders, max(1, len(graph.positions)))
        named = np.zeros(shape, dtype=bool)
        named[tuple(places)] = True
        late = np.zeros(order.n_receivers, dtype=bool)
        late[order.late] = True
        there = named | (late[:, None] & named.any(axis=2))[:, :, None]
        fixed = order.feeds[..., None] & ~there
        return Wiring(order, places, named | fixed, fixed)

    @property
    def n_edges(self) -> int:
        """Number of the graph's edges."""
        return self.places.shape[1]

    @property
    def whole(self) -> bool:
        """Whether the graph has every edge of the model."""
        return not self.fixed.any()

    def masks(self, kept: np.ndarray) -> np.ndarray:
        """Which edges carry the run's own value: bool ``[circuit receiver sender position]``.

        Args:
            kept: bool ``[circuit edge]``.
        """
        found = np.repeat(self.fixed[None], len(kept), axis=0)
        found[:, *self.places] = kept
        return found


def _numbers(given: map[str], known: tuple[str, ...], role: str) -> np.ndarray:
    at = {name: number for number, name in enumerate(known)}
    found = list(given)
    strange = [name for name in found if name not in at]
    if strange:
        raise OptionError(
            f"masked runs have no {role} {strange[0]}: the model has none",
            mend="make the graph of this model: graph_of(model)",
        )
    return np.array([at[name] for name in found], dtype=np.int64)


def _refuse_impossible(order: Order, places: np.ndarray) -> None:
    wrong = np.flatnonzero(~order.feeds[places[0], places[1]])
    if len(wrong):
        receiver, sender = places[0, wrong[0]], places[1, wrong[0]]
        raise OptionError(
            f"{order.receiver_names[receiver]} does not read {order.sender_names[sender]} "
            "in this model",
            mend="make the graph of this model: graph_of(model)",
        )
