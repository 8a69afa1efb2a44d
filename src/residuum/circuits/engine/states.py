"""What of a masked run must be computed: parts that differ from runs that are known, and matter.

Two runs are known of every prompt: *whole*, with every edge kept, and *empty*, with none. A part
whose inputs are those of either is as it was there. A part from which no kept path leads to the
logits does not matter. Only the others are computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residuum.circuits.engine.order import Order, Wiring

_SLOTS = ("q", "k", "v")


@dataclass(frozen=True, eq=False)
class Joint:
    """Layers whose heads cannot be computed one by one.

    Attributes:
        inputs: for each layer, whether its queries or keys are normed over all heads together.
        outputs: for each layer, whether what its heads write goes through one norm.
        beside: for each layer, whether a bias goes through that norm too: it belongs to no head,
            so every later part reads this run's own.
    """

    inputs: tuple[bool, ...]
    outputs: tuple[bool, ...]
    beside: tuple[bool, ...]

    def at(self, layer: int) -> bool:
        """Whether the layer's heads hang together."""
        return self.inputs[layer] or self.outputs[layer]


@dataclass(frozen=True, eq=False)
class States:
    """For each circuit, what each part is.

    Attributes:
        changed: bool ``[circuit sender]``: whether it may differ from its reference value.
        whole, empty: bool ``[circuit sender]``: whether it is as with all edges, or with none.
        own: bool ``[circuit sender]``: whether it must be computed.
        whole_in, empty_in, own_in: bool ``[circuit receiver]``: the same of what receivers read.
    """

    changed: np.ndarray
    whole: np.ndarray
    empty: np.ndarray
    own: np.ndarray
    whole_in: np.ndarray
    empty_in: np.ndarray
    own_in: np.ndarray


def all_own(order: Order, circuits: int) -> States:
    """Everything is computed."""
    senders = np.ones((circuits, order.n_senders), dtype=bool)
    receivers = np.ones((circuits, order.n_receivers), dtype=bool)
    return States(senders, ~senders, ~senders, senders, ~receivers, ~receivers, receivers)


def states_of(wiring: Wiring, masks: np.ndarray, joint: Joint, *, run_like: bool) -> States:
    """What each part is, from the edges that are kept.

    Args:
        masks: bool ``[circuit receiver sender position]``.
        run_like: whether the references are one run's values, so that a part of the empty circuit
            is its own reference.
    """
    order, n = wiring.order, len(masks)
    some = np.any(masks & wiring.read, axis=3)
    every = np.all(masks | ~wiring.read, axis=3)
    whole = np.zeros((n, order.n_senders), dtype=bool)
    empty = np.zeros_like(whole)
    whole_in = np.zeros((n, order.n_receivers), dtype=bool)
    empty_in = np.zeros_like(whole_in)
    whole[:, 0] = True
    beside_whole, beside_empty = np.ones((2, n, 1), dtype=bool)

    def read(receivers: slice, senders: int) -> None:
        unlike = ~empty[:, None, :senders] if run_like else True
        moved = np.any(some[:, receivers, :senders] & unlike, axis=2)
        empty_in[:, receivers] = ~moved & beside_empty
        kept = every[:, receivers, :senders] & whole[:, None, :senders]
        whole_in[:, receivers] = np.all(kept, axis=2) & beside_whole & ~empty_in[:, receivers]

    for layer in range(order.n_layers):
        for slot in _SLOTS:
            read(order.reading(layer, slot), order.before_attention(layer))
        at = order.sending(layer)
        whole[:, at] = _heads(order, whole_in, layer, joint.at(layer))
        empty[:, at] = _heads(order, empty_in, layer, joint.at(layer))
        if joint.beside[layer]:
            beside_whole &= whole[:, at].all(axis=1, keepdims=True)
            beside_empty &= empty[:, at].all(axis=1, keepdims=True)
        if order.mlp[layer]:
            here, there = order.reading_mlp(layer), order.sending_mlp(layer)
            parts = 1 + order.n_finer(layer)
            read(slice(here, here + parts), order.before_mlp(layer))
            whole[:, there : there + parts] = whole_in[:, here : here + parts]
            empty[:, there : there + parts] = empty_in[:, here : here + parts]
    read(slice(order.logits, order.logits + 1), order.n_senders)
    needed, own_in = _needed(order, some, ~(whole_in | empty_in), joint)
    changed = ~empty if run_like else np.ones_like(whole)
    own = needed & ~whole & ~empty
    return States(changed & needed, whole, empty, own, whole_in, empty_in, own_in)


def _heads(order: Order, inputs: np.ndarray, layer: int, joint: bool) -> np.ndarray:
    """Whether all that a layer's heads read is so, bool ``[circuit head]``."""
    group = order.heads // order.groups
    found = inputs[:, order.reading(layer, "q")].copy()
    for slot in ("k", "v"):
        found &= np.repeat(inputs[:, order.reading(layer, slot)], group, axis=1)
    if joint:
        found[:] = found.all(axis=1, keepdims=True)
    return found


def _needed(
    order: Order, some: np.ndarray, new: np.ndarray, joint: Joint
) -> tuple[np.ndarray, np.ndarray]:
    """Senders and new receivers from which kept edges lead to the logits.

    Args:
        new: bool ``[circuit receiver]``: receivers whose stream is not known already.
    """
    n = len(some)
    sent = np.zeros((n, order.n_senders), dtype=bool)
    read = np.zeros((n, order.n_receivers), dtype=bool)

    def mark(receivers: slice, wanted: np.ndarray) -> None:
        read[:, receivers] = wanted & new[:, receivers]
        sent[:] |= (some[:, receivers] & read[:, receivers, None]).any(axis=1)

    mark(slice(order.logits, order.logits + 1), np.ones((n, 1), dtype=bool))
    group = order.heads // order.groups
    for layer in reversed(range(order.n_layers)):
        if order.mlp[layer]:
            at, sender = order.reading_mlp(layer), order.sending_mlp(layer)
            parts = 1 + order.n_finer(layer)
            mark(slice(at, at + parts), sent[:, sender : sender + parts])
        heads = sent[:, order.sending(layer)]
        if joint.beside[layer]:
            heads |= read[:, order.after_attention(layer) :].any(axis=1, keepdims=True)
        if joint.at(layer):
            heads[:] = heads.any(axis=1, keepdims=True)
        shared = np.any(heads.reshape(n, -1, group), axis=2)
        for slot in _SLOTS:
            mark(order.reading(layer, slot), heads if slot == "q" else shared)
    return sent, read
