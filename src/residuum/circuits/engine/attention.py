"""One layer's heads when each reads its own stream: projections first, then the model's own code.

Each head's projection is computed from what that head reads; the layer seam then puts all of them
in the place of what the model's projection modules make (``Seam.qkv_from``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.models import Adapted, AttentionCall, Layer, LayerCall
from residuum.runs import CannotFork

_BY_HEAD = ("alibi",)


def projected(part: Layer, slot: str, head: list[int], normed: Tensor) -> Tensor:
    """Some heads of a slot from what they read behind the norm: ``[... head d_head]``."""
    weight = part.projections.weight(slot).detach()[head].to(normed)
    made = torch.matmul(normed, weight.transpose(0, 1).flatten(1))
    made = made.unflatten(-1, (len(head), -1))
    bias = part.projections.bias(slot)
    return made if bias is None else made + bias.detach()[head].to(normed)


def heads_joined(adapted: Adapted, layer: int, call: LayerCall, like: Tensor) -> bool:
    """Whether one head's query or key depends on another head's projection.

    Args:
        call: the layer's call for one row.
        like: ``[1 pos d_model]``, whose dtype and positions are taken.
    """
    part = adapted.parts.layers[layer]
    generator = torch.Generator().manual_seed(0)
    own: dict[str, Tensor] = {}
    for slot in "qkv":
        shape = (1, like.shape[1], part.projections.heads(slot), part.projections.d_head)
        own[slot] = torch.randn(shape, generator=generator).to(like)
    before = adapted.seam.qkv_from(layer, own, call)
    for place, slot in enumerate("qk"):
        other = own[slot].clone()
        other[:, :, 0] = 3.0 * other[:, :, 0]
        after = adapted.seam.qkv_from(layer, own | {slot: other}, call)
        if not torch.equal(before[place][:, :, 1:], after[place][:, :, 1:]):
            return True
    return False


@dataclass(frozen=True)
class Copies:
    """Several copies of some prompts (copies outermost), from a position on.

    Attributes:
        prompts: how many prompts are copied.
        copies: how often.
        start: first position.
        width: positions of a whole prompt.
    """

    prompts: int
    copies: int
    start: int
    width: int

    def call(self, call: LayerCall, device: torch.device) -> LayerCall:
        """A layer's call on the whole prompts, as it is for the copies.

        Raises:
            CannotFork: an argument that can be neither cut nor repeated.
        """
        made = {name: self._argument(name, value) for name, value in call.kwargs.items()}
        if call.kwargs.get("attention_mask") is None and self.start:
            query, key = (torch.arange(n, self.width, device=device) for n in (self.start, 0))
            made["attention_mask"] = (key[None, :] <= query[:, None])[None, None]
        return LayerCall(made, AttentionCall())

    def first(self, call: LayerCall, device: torch.device) -> LayerCall:
        """The call for the first prompt alone."""
        made = self.call(call, device)
        one = {name: _first(value, self.prompts) for name, value in made.kwargs.items()}
        return LayerCall(one, AttentionCall())

    def _argument(self, name: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._argument(name, each) for each in value)
        if not isinstance(value, Tensor):
            return value
        if name in _BY_HEAD:
            return self.repeated(value.unflatten(0, (self.prompts, -1))).flatten(0, 1)
        mask = name == "attention_mask"
        fits = value.ndim == 4 if mask else value.ndim > 1 and value.shape[1] == self.width
        if not fits or value.shape[0] not in (1, self.prompts):
            raise CannotFork(f"attention takes {name} of shape {list(value.shape)}")
        return self.repeated(value[..., self.start :, :] if mask else value[:, self.start :])

    def repeated(self, value: Tensor) -> Tensor:
        """``[prompt ...]`` for each copy; what all prompts share (one row) stays one row."""
        if self.prompts > 1 and value.shape[0] == 1:
            return value
        return value.repeat(self.copies, *[1] * (value.ndim - 1))


def _first(value: Any, rows: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_first(each, rows) for each in value)
    if not isinstance(value, Tensor) or value.shape[0] % rows:
        return value
    return value[: value.shape[0] // rows]
