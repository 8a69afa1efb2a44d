"""Groups of receivers in several places: their joint patch, carried from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor

from residuum.core import Address
from residuum.patching.paths.arrivals import Arrivals
from residuum.patching.paths.nodes import PathGrid, Receiver
from residuum.patching.paths.streams import Cell, PathStreams, replaced

Place = tuple[int, int]
"""Sender and receiver in the table."""


@dataclass
class SpreadGroups:
    """Runs in which the members of a group read what was sent, and all else what is live.

    Only from a group's first member to its last; the later layers are forked like any path's.

    Attributes:
        live: what has changed in the stream of each such run so far.
    """

    streams: PathStreams
    arrivals: Arrivals
    grid: PathGrid
    live: dict[Place, Tensor] = field(default_factory=dict)
    _added: dict[Place, Tensor] = field(default_factory=dict)

    def pass_attention(self, layer: int) -> None:
        """The layer's heads, before the arrivals pass them."""
        for place, receiver in self._open(layer):
            members = self._fed(place[0], receiver, layer, mlp=False)
            live = self.live.get(place)
            if live is None and not members:
                continue
            heads = self.streams.heads(layer, live)
            if members:
                sent = self.streams.heads(layer, self.arrivals.at(place[0]))
                heads = replaced(heads, sent, members)
            self._added[place] = self.streams.attention_change(layer, heads)

    def pass_mlp(self, layer: int) -> Iterator[Cell]:
        """The layer's MLP, after the arrivals have passed its heads; groups that end here."""
        for place, receiver in self._open(layer):
            live, added = self.live.get(place), self._added.pop(place, None)
            after = _sum(live, added)
            read = live if self.grid.parallel[layer] else after
            if self._fed(place[0], receiver, layer, mlp=True):
                read = self.arrivals.at(place[0])
            if read is not None and self.streams.has_mlp(layer):
                after = _sum(after, self.streams.through_mlp(layer, read))
            if after is not None:
                self.live[place] = after
            if _layers(receiver)[-1] == layer and place in self.live:
                yield Cell(*place, self.live.pop(place), "block")

    def _open(self, layer: int) -> Iterator[tuple[Place, Receiver]]:
        """Paths into spread groups that have a member in this layer, or before and after it."""
        for i, sender in enumerate(self.grid.senders):
            for j, receiver in enumerate(self.grid.receivers):
                if receiver.is_spread and self.grid.possible(sender, receiver):
                    layers = _layers(receiver)
                    if layers[0] <= layer <= layers[-1]:
                        yield (i, j), receiver

    def _fed(self, sender: int, receiver: Receiver, layer: int, *, mlp: bool) -> list[Address]:
        """Members in the layer's attention, or its MLP, that the sender lies before.

        The others read what they read in the receiving run; nothing has changed before them.
        """
        return [
            each
            for each in receiver.members
            if each.layer == layer
            and (each.name == "mlp_in") == mlp
            and self.grid.feeds(self.grid.senders[sender], each)
        ]


def _layers(receiver: Receiver) -> list[int]:
    return sorted(each.layer for each in receiver.members if isinstance(each.layer, int))


def _sum(one: Tensor | None, two: Tensor | None) -> Tensor | None:
    """The sum of two changes, None being none."""
    if one is None or two is None:
        return two if one is None else one
    return one + two
