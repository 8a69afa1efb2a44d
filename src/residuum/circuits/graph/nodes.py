"""Nodes of a circuit's graph: what sends, what receives, to which part each belongs, in what order.

A *part* (the node that a picture shows) sends under one name and receives under several: head 2 of
layer 1 sends ``L1.head_out[H2]`` and receives at ``L1.q_in[H2]``, ``L1.k_in[H2]``, ``L1.v_in[H2]``
(in a grouped model at the key/value head that it shares).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from residuum.core import Address

SENDERS = ("embed", "head_out", "mlp_out", "mlp_act")
"""Sites whose output is sent; of ``mlp_act`` single neurons (what each adds to the stream)."""

QUERIES = ("q_in",)
KEYS_VALUES = ("k_in", "v_in")
HEAD_RECEIVERS = (*QUERIES, *KEYS_VALUES)
RECEIVERS = (*HEAD_RECEIVERS, "mlp_in", "mlp_pre", "logits")
"""Sites at which an edge arrives; of ``mlp_pre`` single neurons (gate and linear branch alike)."""

_RECEIVES_AS = {"mlp_out": "mlp_in", "mlp_act": "mlp_pre"}
_SENDS_AS = {there: here for here, there in _RECEIVES_AS.items()}


def written(sender: Address) -> int:
    """Place in the forward pass at which a sender adds to the stream: embed -1, heads ``2 l``."""
    if not isinstance(sender.layer, int):
        return -1
    return 2 * sender.layer + int(sender.name.startswith("mlp_"))


def read(receiver: Address, parallel: bool = False) -> float:
    """Place in the forward pass whose stream a receiver reads; of the logits after all.

    Args:
        parallel: whether the layer's MLP reads the same stream as its attention.
    """
    if not isinstance(receiver.layer, int):
        return math.inf
    after_attention = receiver.name.startswith("mlp_") and not parallel
    return 2 * receiver.layer + int(after_attention)


def parts_of(receiver: Address, group: int) -> tuple[Address, ...]:
    """The parts that read at a receiver, each named as a sender (``logits`` as itself).

    Args:
        group: query heads that share a key/value head.

    >>> [str(part) for part in parts_of(Address("L1.k_in[H1]"), group=2)]
    ['L1.head_out[H2]', 'L1.head_out[H3]']
    """
    if receiver.name in KEYS_VALUES and isinstance(receiver.part, int):
        shared = range(receiver.part * group, (receiver.part + 1) * group)
        return tuple(Address("head_out", receiver.layer, head) for head in shared)
    if receiver.name in QUERIES:
        return (Address("head_out", receiver.layer, receiver.part),)
    name = _SENDS_AS.get(receiver.name, receiver.name)
    return (Address(name, receiver.layer, receiver.part, dictionary=receiver.dictionary),)


def inputs_of(part: Address, group: int) -> tuple[Address, ...]:
    """The receivers of a part; none for ``embed``.

    >>> [str(each) for each in inputs_of(Address("L1.head_out[H3]"), group=2)]
    ['L1.q_in[H3]', 'L1.k_in[H1]', 'L1.v_in[H1]']
    """
    if part.name == "embed":
        return ()
    if part.name == "logits":
        return (part,)
    if part.name == "head_out" and isinstance(part.part, int):
        shared = part.part // group
        keys = tuple(Address(name, part.layer, shared) for name in KEYS_VALUES)
        return (Address("q_in", part.layer, part.part), *keys)
    name = _RECEIVES_AS[part.name]
    return (Address(name, part.layer, part.part, dictionary=part.dictionary),)


def reaches(
    senders: tuple[Address, ...], receivers: tuple[Address, ...], parallel: Any = False
) -> np.ndarray:
    """Bool ``[sender receiver]``: whether what the sender adds is in the stream that is read.

    Args:
        parallel: bool ``[receiver]``: whether its layer's MLP reads the stream of its attention.
    """
    adds = np.array([written(each) for each in senders], dtype=np.float64)
    flags = np.broadcast_to(parallel, len(receivers))
    reads = np.array(
        [read(each, bool(flag)) for each, flag in zip(receivers, flags, strict=True)],
        dtype=np.float64,
    )
    return adds[:, None] < reads
