"""Tensors in one piece of memory that several processes of this machine see."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

_ALIGNED = 64


class SharedTensors:
    """Tensors by name, without a file that could be left behind.

    The memory belongs to no name on disk: it is gone with the last process that holds it, however
    that ends.

    Args:
        descriptor: of the memory.
        places: dtype, shape and first byte of each, as plain data.
    """

    def __init__(self, descriptor: int, places: Mapping[str, Any]) -> None:
        self.places = dict(places)
        memory = mmap.mmap(descriptor, _end(self.places))
        self._tensors = {name: _view(memory, *place) for name, place in self.places.items()}

    def __getitem__(self, name: str) -> Tensor:
        """The tensor itself; what is written to it, all see."""
        return self._tensors[name]

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Those whose names begin so, under the rest of their names."""
        found = self._tensors.items()
        return {k.removeprefix(prefix): v for k, v in found if k.startswith(prefix)}


def shared_places(wanted: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> dict[str, Any]:
    """Dtype, shape and first byte of tensors that lie one after the other.

    Args:
        wanted: dtype and shape of each; none may be empty.
    """
    places: dict[str, Any] = {}
    at = 0
    for name, (dtype, shape) in wanted.items():
        places[name] = (str(dtype).removeprefix("torch."), list(shape), at)
        at = -(-_last(*places[name]) // _ALIGNED) * _ALIGNED
    return places


def open_memory(places: Mapping[str, Any]) -> int:
    """A descriptor of memory for these places; the caller closes it.

    Raises:
        OSError: there is no room.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("residuum-training")
    else:
        with tempfile.TemporaryFile() as file:  # without a name wherever there is no memfd
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _end(places))
    return descriptor


def _view(memory: mmap.mmap, dtype: str, shape: list[int], at: int) -> Tensor:
    kind = getattr(torch, dtype)
    return torch.frombuffer(memory, dtype=kind, count=prod(shape), offset=at).view(shape)


def _last(dtype: str, shape: list[int], at: int) -> int:
    return at + prod(shape) * getattr(torch, dtype).itemsize


def _end(places: Mapping[str, Any]) -> int:
    return max(_last(*place) for place in places.values())
