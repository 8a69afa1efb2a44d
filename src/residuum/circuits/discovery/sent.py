"""What every sender adds to the stream in a run, and how it differs from its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from residuum.core import Address
from residuum.models import Adapted, Batch, LayerCall
from residuum.models.norms import frozen_scale
from residuum.models.weights import output_heads
from residuum.runs import Capture, record_calls
from residuum.runs.capture import Kept


@dataclass
class Recorded:
    """One plain pass of the model itself: what its senders sent, and how its blocks were called.

    Attributes:
        streams: what each block reads, ``[row pos d_model]``, and the last stream behind them.
        z: of each layer, ``[row pos head d_head]``.
        added: what each layer's attention added.
        mlp: what each layer's MLP added; None without an MLP.
        calls: of each layer's attention.
        logits: ``[row d_vocab]`` at each prompt's last token.
    """

    streams: list[Tensor]
    z: list[Tensor]
    added: list[Tensor]
    mlp: list[Tensor | None]
    calls: list[LayerCall]
    logits: Tensor


def record(adapted: Adapted, batch: Batch) -> Recorded:
    """Run the model itself once and keep what its senders sent."""
    layers = adapted.parts.layers
    sites = [Address(name, a.index) for a in layers for name in ("z", "attn_out")]
    sites += [Address("mlp_out", a.index) for a in layers if a.has_mlp]
    kept = {site: Kept(Capture(site), site) for site in sites}
    calls, logits = record_calls(adapted, batch, list(kept.values()), answers_only=True)

    def value(name: str, layer: int) -> Tensor:
        found = kept[Address(name, layer)].result()
        assert isinstance(found, Tensor)
        return found

    return Recorded(
        streams=[*(each.stream for each in calls), calls[-1].output],
        z=[value("z", a.index) for a in layers],
        added=[value("attn_out", a.index) for a in layers],
        mlp=[value("mlp_out", a.index) if a.has_mlp else None for a in layers],
        calls=[each.call for each in calls],
        logits=logits[:, 0],
    )


def heads_sent(adapted: Adapted, layer: int, z: Tensor, added: Tensor) -> Tensor:
    """What each head adds to the stream, ``[head row pos d_model]``.

    A post-norm is gone through at the run's own scale, so that the heads' sum is what attention
    adds (less the output projection's bias).

    Args:
        z: ``[row pos head d_head]``.
        added: what attention added in this run.
    """
    part = adapted.parts.layers[layer]
    weight = output_heads(part).detach().to(z.dtype)
    heads = torch.bmm(z.movedim(2, 0).flatten(1, 2), weight).unflatten(1, z.shape[:2])
    if part.attn_writer is not part.o_proj:
        raw = part.o_proj(z.flatten(-2))
        heads = heads * frozen_scale(part.attn_writer, raw, added / part.scale)
    return heads if part.scale == 1 else heads * part.scale


@dataclass
class Sending:
    """Something for every sender of a graph, filled layer by layer.

    Attributes:
        senders: of the graph.
        values: ``[sender row pos d_model]``, in at least float32; of senders not yet put, zero.
    """

    senders: tuple[Address, ...]
    values: Tensor
    _at: dict[Address, int] = field(init=False)

    def __post_init__(self) -> None:
        self._at = {sender: index for index, sender in enumerate(self.senders)}

    @staticmethod
    def like(senders: tuple[Address, ...], stream: Tensor) -> Sending:
        """Empty, for streams of this shape."""
        work = torch.promote_types(stream.dtype, torch.float32)
        shape = (len(senders), *stream.shape)
        return Sending(senders, torch.zeros(shape, dtype=work, device=stream.device))

    def has(self, name: str, layer: int | None = None) -> bool:
        """Whether any sender has this name (in this layer)."""
        return any(a.name == name and layer in (a.layer, None) for a in self.senders)

    def put_each(self, senders: Sequence[Address], values: Tensor) -> None:
        """Put what some senders send, ``[sender row pos d_model]``."""
        for sender, value in zip(senders, values, strict=True):
            index = self._at.get(sender)
            if index is not None:
                self.values[index] = value

    def put(self, name: str, layer: int | None, value: Tensor) -> None:
        """Put what the embedding or an MLP sends, ``[row pos d_model]``, or a layer's heads do,
        ``[head row pos d_model]``."""
        if name != "head_out":
            index = self._at.get(Address(name, layer))
            if index is not None:
                self.values[index] = value
            return
        for head, own in enumerate(value):
            index = self._at.get(Address(name, layer, head))
            if index is not None:
                self.values[index] = own
