"""Forked runs: continue a base run from a changed stream, computing only what can have changed.

A change at layer l and position p leaves layers before l and positions before p as they were. A
fork takes the changed stream at positions p … and runs the model's own later blocks on those
positions alone; the attention door joins the base run's keys and values for the positions before.
What comes out equals a full pass to the model's own numerical noise; where that cannot be shown for
a model, :meth:`Forks.proven` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address
from residuum.models import Adapted, AttentionCall, Batch, LayerCall, open_door
from residuum.runs.fork_base import Base, record_base

_BY_ROW = ("alibi",)
_QKV_SHARE = 0.25
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
        short_last_block: whether the last block computes the answer's query, output and MLP alone.
    """

    def __init__(self, adapted: Adapted, batch: Batch, sites: list[Address] | None = None) -> None:
        self.adapted = adapted
        self.base = record_base(adapted, batch, sites or [])
        self.work = 1.0
        self._called: set[int] = set()
        self.causal = adapted.parts.causal
        self.short_last_block = self.causal and adapted.family.door == "interface"
        self.width = batch.ids.shape[1]

    @property
    def ends(self) -> Tensor:
        """Column of each prompt's last real token, where the answer is read."""
        return self.base.batch.starts + self.base.batch.lengths - 1

    def finish(self, change: Change) -> Tensor:
        """Run the remaining blocks; the last stream at each row's last token, ``[row d_model]``."""
        return self.finish_all([change])

    def finish_all(self, changes: Sequence[Change]) -> Tensor:
        """Finish several changes in one batch that later changes join at their own block.

        Args:
            changes: in the order of their blocks; those with blocks left to run all start at the
                same position.

        Returns:
            The last stream at each row's last token, ``[row d_model]``, change after change.
        """
        n_layers = len(self.adapted.parts.layers)
        waiting = [change for change in changes if change.layer < n_layers]
        ended = [self._answers(each) for each in changes if each.layer >= n_layers]
        if not waiting:
            return torch.cat(ended)
        join = _Join(self.base, waiting[0].rows[:0], waiting[0].start)
        batch = Change(0, join.start, join.rows, waiting[0].stream[:0])
        with self.adapted.passing(), torch.no_grad(), open_door(self.adapted.parts, join):
            for layer in range(waiting[0].layer, n_layers):
                batch = _joined(batch, [each for each in waiting if each.layer == layer])
                join.rows = batch.rows
                if layer == n_layers - 1 and self.short_last_block:
                    break
                batch = replace(batch, stream=self._block(layer, batch))
        if self.short_last_block:
            with self.adapted.passing(), torch.no_grad():
                return torch.cat([self._last_block(batch), *ended])
        return torch.cat([self._answers(batch), *ended])

    def _block(self, layer: int, batch: Change) -> Tensor:
        """One block of the model on a fork's rows and positions."""
        arguments = self._arguments(self.base.arguments[layer], batch)
        out = self.adapted.parts.layers[layer].block(batch.stream, **arguments)
        self.spend(batch, layers=1.0)
        return out[0] if isinstance(out, tuple) else out

    def _last_block(self, batch: Change) -> Tensor:
        """The last block where only the answer is read: one query, one output, one MLP a row."""
        layer = len(self.adapted.parts.layers) - 1
        seam, call = self.adapted.seam, self.base.calls[layer].call
        mine = LayerCall(self._arguments(call.kwargs, batch), AttentionCall())
        q, k, v = seam.qkv(layer, seam.norm(layer, batch.stream), mine)
        if batch.start:
            kept = (self.base.keys[layer], self.base.values[layer])
            k, v = (
                torch.cat([base[batch.rows, : batch.start], own], dim=1)
                for base, own in zip(kept, (k, v), strict=True)
            )
        mine.attention.mask = self._answer_mask(mine.attention.mask, batch)
        z = seam.attend_natively(layer, self._at_answers(q, batch), k, v, mine)
        self.spend(batch, layers=_QKV_SHARE)
        stream = self._at_answers(batch.stream, batch)
        self.spend(replace(batch, stream=stream), layers=1 - _QKV_SHARE)
        return seam.rest(layer, stream, seam.out(layer, z))[:, 0]

    def _answer_mask(self, mask: Tensor | None, batch: Change) -> Tensor:
        """What each row's last token may attend to, ``[row head 1 pos]``."""
        if mask is None:
            ends = self.ends[batch.rows].to(batch.stream.device)
            key = torch.arange(self.width, device=ends.device)
            return (key <= ends[:, None])[:, None, None]
        at = (self.ends[batch.rows] - batch.start).to(mask.device)
        mine = mask.expand(len(at), *mask.shape[1:])
        return mine[torch.arange(len(at), device=mask.device), :, at].unsqueeze(2)

    def _at_answers(self, value: Tensor, change: Change) -> Tensor:
        """``[row 1 ...]`` at each row's last token, of ``[row pos ...]`` from ``start`` on."""
        at = (self.ends[change.rows] - change.start).to(value.device)
        return value[torch.arange(len(at), device=value.device), at].unsqueeze(1)

    def at_answers(self, stream: Tensor, rows: Tensor, start: int) -> tuple[Tensor, int]:
        """The answer's position alone, and where it is, if it is the same in these rows.

        Otherwise the stream ``[row pos d_model]`` and its start as they are.
        """
        end = int(self.ends[rows].min())
        if not self.causal or end != int(self.ends[rows].max()):
            return stream, start
        return stream[:, end - start : end - start + 1], end

    def _answers(self, change: Change) -> Tensor:
        return self._at_answers(change.stream, change)[:, 0]

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

    def _arguments(self, arguments: dict[str, Any], batch: Change) -> dict[str, Any]:
        """The base call's arguments, cut to the fork's rows and positions."""
        rows, start = batch.rows, batch.start
        cut: dict[str, Any] = {}
        for name, value in arguments.items():
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

        The shortest and the longest prompt of the base run are forked before the first block,
        unchanged, from one position on; every block runs, and the result must be the base run's
        last stream. The short way through the last block is given up where it alone fails.

        Args:
            bound: largest difference relative to the stream.
            start: position to fork at; the middle by default.
        """
        start = self.width // 2 if start is None else start
        start = min(start, int(self.ends.min())) if self.causal else 0
        why = self._gap(start, bound)
        if why and self.short_last_block:
            self.short_last_block = False
            why = self._gap(start, bound)
        return why

    def _gap(self, start: int, bound: float) -> str:
        """Empty if an unchanged fork of the shortest and the longest prompt is the base run."""
        lengths = self.base.batch.lengths
        rows = torch.unique(torch.stack([lengths.argmin(), lengths.argmax()]))
        last = self.base.calls[-1].output
        truth = last[rows, self.ends[rows].to(last.device)]
        try:
            made = self.finish(Change(0, start, rows, self.base.calls[0].stream[rows, start:]))
        except (CannotFork, RuntimeError, TypeError, ValueError, IndexError) as error:
            return (str(error).splitlines() or [type(error).__name__])[0]
        gap = float((made - truth).abs().max() / truth.abs().max().clamp_min(1e-30))
        return "" if gap <= bound else f"a fork without changes is off by {gap:.1e}"


def _joined(batch: Change, more: Sequence[Change]) -> Change:
    """A batch with further changes of the same start behind it."""
    if not more:
        return batch
    return replace(
        batch,
        rows=torch.cat([batch.rows, *(each.rows for each in more)]),
        stream=torch.cat([batch.stream, *(each.stream for each in more)]),
    )


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_holds_tensor(each) for each in value)
    return isinstance(value, Tensor)
