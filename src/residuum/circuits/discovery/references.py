"""What senders add in the reference, for some prompts: a run's values as they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from residuum.circuits.discovery.sent import Recorded, heads_sent
from residuum.circuits.engine.finer import Finer
from residuum.circuits.engine.references import SenderValues
from residuum.models import Adapted


class ReferenceRows(Protocol):
    """What senders add in the reference; in the shape of ``own``, or one that broadcasts to it."""

    @property
    def recorded(self) -> Recorded | None:
        """The reference's own run, where it is one."""
        ...

    def embed(self) -> Tensor:
        """Of the embedding, ``[row pos d_model]``, at all positions."""
        ...

    def heads(self, layer: int, start: int) -> Tensor:
        """Of a layer's heads, ``[head row pos d_model]`` from ``start`` on."""
        ...

    def mlp(self, layer: int, start: int) -> Tensor:
        """Of a layer's MLP, beside its finer parts, ``[row pos d_model]`` from ``start`` on."""
        ...

    def finer(self, layer: int, start: int) -> Tensor:
        """Of these parts, ``[node row pos d_model]`` from ``start`` on."""
        ...


@dataclass
class RunRows:
    """Another run, row by row; what its heads add is made when it is asked for.

    Attributes:
        parts: neurons and latents that are nodes of their own, by layer.
    """

    adapted: Adapted
    recorded: Recorded | None
    parts: Finer

    @property
    def _run(self) -> Recorded:
        assert self.recorded is not None
        return self.recorded

    def embed(self) -> Tensor:
        """What the embedding adds there."""
        return self._run.streams[0]

    def heads(self, layer: int, start: int) -> Tensor:
        """What each head adds there."""
        z, added = (each[layer][:, start:] for each in (self._run.z, self._run.added))
        return heads_sent(self.adapted, layer, z, added)

    def mlp(self, layer: int, start: int) -> Tensor:
        """What the MLP adds there."""
        found = self._run.mlp[layer]
        assert found is not None
        if layer in self.parts:
            found = self.parts[layer].rest(found, self._numbers(layer))
        return found[:, start:]

    def finer(self, layer: int, start: int) -> Tensor:
        """What each of its finer parts adds there."""
        return self.parts[layer].sent(self._numbers(layer))[:, start:].movedim(-2, 0)

    def _numbers(self, layer: int) -> Tensor:
        streams, added = self._run.streams[layer], self._run.added[layer]
        read = self.adapted.seam.read_by_mlp(layer, streams, added)
        return self.parts[layer].split(read)[1]


@dataclass
class ConstantRows:
    """Zeros or means."""

    values: SenderValues
    recorded: Recorded | None = None

    def embed(self) -> Tensor:
        """Of the embedding."""
        return self.values.embed

    def heads(self, layer: int, start: int) -> Tensor:
        """Of a layer's heads."""
        return self.values.heads[layer][:, start:].movedim(2, 0)

    def mlp(self, layer: int, start: int) -> Tensor:
        """Of a layer's MLP."""
        found = self.values.mlps[layer]
        assert found is not None
        return found[:, start:]

    def finer(self, layer: int, start: int) -> Tensor:
        """Of its finer parts."""
        found = self.values.finer[layer]
        assert found is not None
        return found[:, start:].movedim(-2, 0)
