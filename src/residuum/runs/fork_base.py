"""The base run of forks: every block's call, keys and values, and the sites asked for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from residuum.core import Address
from residuum.models import Adapted, Batch
from residuum.runs.capture import Capture, Kept
from residuum.runs.record import BlockCall, record_calls


@dataclass
class Base:
    """What a fork needs of the base run.

    Attributes:
        calls: every block's call, arguments by name.
        keys, values: ``[batch pos head d_head]`` of each layer, as attention used them.
        sites: further captured sites, by address.
        logits: ``[batch d_vocab]`` at each prompt's last real token.
    """

    batch: Batch
    calls: list[BlockCall]
    arguments: list[dict[str, Any]]
    keys: list[Tensor]
    values: list[Tensor]
    sites: dict[Address, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None


def record_base(adapted: Adapted, batch: Batch, sites: list[Address]) -> Base:
    """Run the base once and keep what forks need, and the ``sites`` asked for."""
    n_layers = len(adapted.parts.layers)
    sites = [site for site in sites if site in adapted.taps]
    own = [Address(slot, layer) for layer in range(n_layers) for slot in ("k", "v")]
    kept = {a: Kept(Capture(a), a) for a in dict.fromkeys([*own, *sites])}
    calls, logits = record_calls(adapted, batch, list(kept.values()), answers_only=True)
    values = {address: each.result() for address, each in kept.items()}
    tensors = {a: v for a, v in values.items() if isinstance(v, Tensor)}
    return Base(
        batch=batch,
        calls=calls,
        arguments=[
            _by_name(layer.block, call)
            for layer, call in zip(adapted.parts.layers, calls, strict=True)
        ],
        keys=[tensors[Address("k", layer)] for layer in range(n_layers)],
        values=[tensors[Address("v", layer)] for layer in range(n_layers)],
        sites={a: v for a, v in tensors.items() if a in set(sites)},
        logits=logits[:, 0],
    )


def _by_name(block: Any, call: BlockCall) -> dict[str, Any]:
    """The block's arguments by name, without the stream."""
    bound = inspect.signature(block.forward).bind(call.stream, *call.args, **call.kwargs)
    named = dict(bound.arguments)
    named.update(named.pop("kwargs", {}))
    named.pop("hidden_states", None)
    return named
