"""Forked runs: continue a base run from a changed stream, computing only what can have changed.

A change at layer l and position p leaves layers before l and positions before p as they were. A
fork takes the changed stream at positions p … and runs the model's own later blocks on those
positions alone; the attention door joins the base run's keys and values for the positions before.
What comes out equals a full pass to the model's own numerical noise; where that cannot be shown for
a model, :meth:`Forks.proven` says so.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address
from residuum.models import Adapted, Batch, open_door
from residuum.runs.capture import Capture, Kept
from residuum.runs.record import BlockCall, record_calls

_BY_ROW = ("alibi",)
_FIXED = ("past_key_values", "layer_past", "use_cache", "output_attentions")


class CannotFork(Exception):
    """This model's blocks take an argument that cannot be cut to fewer positions."""


@dataclass(frozen=True)
class Change:
    """A changed stream that a fork continues from.

    Attributes:
        layer: first block still to run.
        start: first position of ``stream`` in the prompt.
        rows: ``[row]`` index of each row's base prompt.
        stream: ``[row pos d_model]``, positions ``start`` to the end.
    """

    layer: int
    start: int
    rows: Tensor
    stream: Tensor


@dataclass
class Base:
    """What a fork needs of the base run.

    Attributes:
        calls: every block's call, arguments by name.
        keys, values: ``[batch pos head d_head]`` of each layer, as attention used them.
        sites: further captured sites, by address.
        logits: ``[batch pos d_vocab]``.
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
    calls, logits = record_calls(adapted, batch, list(kept.values()))
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
        logits=logits,
    )


def _by_name(block: Any, call: BlockCall) -> dict[str, Any]:
    """The block's arguments by name, without the stream."""
    bound = inspect.signature(block.forward).bind(call.stream, *call.args, **call.kwargs)
    named = dict(bound.arguments)
    named.update(named.pop("kwargs", {}))
    named.pop("hidden_states", None)
    return named


@dataclass
class _Join:
    """A visitor that puts the base run's keys and values before the fork's own."""

    base: Base
    rows: Tensor
    start: int

    def wants(self, layer: int) -> bool:
        return True

    def explicit(self, layer: int) -> bool:
        return False

    def visit(self, layer: int, slot: str, value: Tensor) -> Tensor:
        if slot not in ("k", "v") or self.start == 0:
            return value
        kept = (self.base.keys if slot == "k" else self.base.values)[layer]
        return torch.cat([kept[self.rows, : self.start], value], dim=1)


class Forks:
    """Forks of one base run.

    Attributes:
        work: forward-pass equivalents of the base run spent so far (1 = one whole pass over the
            base batch).
    """

    def __init__(self, adapted: Adapted, batch: Batch, sites: list[Address] | None = None) -> None:
        self.adapted = adapted
        self.base = record_base(adapted, batch, sites or [])
        self.work = 1.0
        self._called: set[int] = set()
        self.causal = adapted.parts.layers[0].wiring != "post_norm_encoder"
        self.width = batch.ids.shape[1]

    @property
    def ends(self) -> Tensor:
        """Column of each prompt's last real token, where the answer is read."""
        return self.base.batch.starts + self.base.batch.lengths - 1

    def finish(self, change: Change) -> Tensor:
        """Run the remaining blocks; the last stream at each row's last token, ``[row d_model]``."""
        stream = change.stream
        with (
            self.adapted.passing(),
            torch.no_grad(),
            open_door(self.adapted.parts, _Join(self.base, change.rows, change.start)),
        ):
            for layer in range(change.layer, len(self.adapted.parts.layers)):
                out = self.adapted.parts.layers[layer].block(
                    stream, **self._arguments(layer, change.rows, change.start)
                )
                stream = out[0] if isinstance(out, tuple) else out
                self.spend(change, layers=1.0)
        at = (self.ends[change.rows] - change.start).to(stream.device)
        return stream[torch.arange(len(at), device=stream.device), at]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """``z`` of a whole layer from other queries, keys or values, by the model's own kernel."""
        seam, call = self.adapted.seam, self.base.calls[layer].call
        with torch.no_grad():
            if layer not in self._called:
                seam.qkv(layer, seam.norm(layer, self.base.calls[layer].stream), call)
                self._called.add(layer)
            return seam.attend_natively(layer, q, k, v, call)

    def spend(self, change: Change, layers: float) -> None:
        """Count work: a share of a block on the change's rows and positions."""
        share = change.stream.shape[0] * change.stream.shape[1]
        total = self.base.batch.ids.numel() * len(self.adapted.parts.layers)
        self.work += layers * share / total

    def _arguments(self, layer: int, rows: Tensor, start: int) -> dict[str, Any]:
        """The base call's arguments, cut to the fork's rows and positions."""
        cut: dict[str, Any] = {}
        for name, value in self.base.arguments[layer].items():
            if name == "attention_mask":
                cut[name] = self._mask(value, rows, start)
            elif name in _FIXED or not _holds_tensor(value):
                cut[name] = value
            else:
                cut[name] = self._cut(name, value, rows, start)
        if "attention_mask" not in cut:
            cut["attention_mask"] = self._mask(None, rows, start)
        return cut

    def _cut(self, name: str, value: Any, rows: Tensor, start: int) -> Any:
        if isinstance(value, tuple):
            return tuple(self._cut(name, each, rows, start) for each in value)
        if not isinstance(value, Tensor):
            return value
        prompts = len(self.base.batch.ids)
        if name in _BY_ROW:
            by_prompt = value.unflatten(0, (prompts, -1))[rows]
            return by_prompt.flatten(0, 1)
        if value.ndim < 2 or value.shape[1] != self.width or value.shape[0] not in (1, prompts):
            raise CannotFork(f"a block takes {name} of shape {list(value.shape)}")
        mine = value if value.shape[0] == 1 else value[rows]
        return mine[:, start:]

    def _mask(self, mask: Any, rows: Tensor, start: int) -> Any:
        """Rows ``start`` … of the base mask; where the kernel was told "causal", that mask."""
        if mask is None:
            if not self.causal or start == 0:
                return None
            device = self.base.keys[0].device
            query = torch.arange(start, self.width, device=device)
            key = torch.arange(self.width, device=device)
            return (key[None, :] <= query[:, None])[None, None]
        if not isinstance(mask, Tensor) or mask.ndim != 4:
            raise CannotFork("the attention mask is not a tensor [batch head q_pos k_pos]")
        mine = mask if mask.shape[0] == 1 else mask[rows]
        return mine[..., start:, :]

    def proven(self, bound: float, start: int | None = None) -> str:
        """Empty if forks equal full passes on this base run, else why not.

        The base run is forked before its first block, unchanged, from one position on; every block
        runs, and the result must be the base run's last stream.

        Args:
            bound: largest difference relative to the stream.
            start: position to fork at; the middle by default.
        """
        start = self.width // 2 if start is None else start
        start = min(start, int(self.ends.min())) if self.causal else 0
        rows = torch.arange(len(self.base.batch.ids))
        last = self.base.calls[-1].output
        truth = last[rows, self.ends.to(last.device)]
        try:
            made = self.finish(Change(0, start, rows, self.base.calls[0].stream[:, start:]))
        except (CannotFork, RuntimeError, TypeError, ValueError) as error:
            return (str(error).splitlines() or [type(error).__name__])[0]
        gap = float((made - truth).abs().max() / truth.abs().max().clamp_min(1e-30))
        return "" if gap <= bound else f"a fork without changes is off by {gap:.1e}"


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_holds_tensor(each) for each in value)
    return isinstance(value, Tensor)
