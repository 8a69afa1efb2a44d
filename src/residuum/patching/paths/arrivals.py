"""What has reached the stream from each sender, layer by layer, with what via components add."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from residuum.core import Address
from residuum.patching.paths.nodes import PathGrid, exchanged_at
from residuum.patching.paths.streams import PathStreams


@dataclass
class Arrivals:
    """The change of the stream that each sender causes, at the place reached so far.

    The layers are passed in order, attention before MLP. Where nothing is in ``via`` a change
    stays as it was sent, and is made when it is asked for.
    """

    streams: PathStreams
    grid: PathGrid
    _changes: dict[int, Tensor] = field(default_factory=dict)
    _pending: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.grid.via:
            self._send(None, "embed")
            self._merge()

    def at(self, sender: int) -> Tensor:
        """The change in the stream read next, ``[row pos d_model]``."""
        if self.grid.via:
            return self._changes[sender]
        return self.streams.sent(self.grid.senders[sender])

    def pass_attention(self, layer: int) -> None:
        """Add what the layer's heads send, and what those of via make of the changes."""
        heads = sorted(int(a.part or 0) for a in self._via(layer, "z"))
        if heads:
            for i, change in self._changes.items():
                self._pending[i] = self.streams.through_heads(layer, change, heads)
        self._send(layer, "z")
        if not self.grid.parallel[layer]:
            self._merge()

    def pass_mlp(self, layer: int) -> None:
        """Add what the layer's MLP sends, and what it makes of the changes if it is in via."""
        if self._via(layer, "mlp_out"):
            for i, change in self._changes.items():
                self._add(i, self.streams.through_mlp(layer, change))
        self._send(layer, "mlp_out")
        self._merge()

    def _via(self, layer: int, name: str) -> list[Address]:
        return [each for each in self.grid.via if each.base == Address(name, layer)]

    def _send(self, layer: int | None, name: str) -> None:
        if not self.grid.via:
            return
        for i, sender in enumerate(self.grid.senders):
            if exchanged_at(sender).base == Address(name, layer):
                self._add(i, self.streams.sent(sender))

    def _add(self, sender: int, change: Tensor) -> None:
        before = self._pending.get(sender)
        self._pending[sender] = change if before is None else before + change

    def _merge(self) -> None:
        """Put what was written into the stream."""
        for i, change in self._pending.items():
            before = self._changes.get(i)
            self._changes[i] = change if before is None else before + change
        self._pending = {}
