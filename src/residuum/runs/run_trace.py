"""What a run leaves behind so that a later run can go on from it: its ground, its edits by site.

A run that kept the whole stream somewhere gets a trace; it costs a walk over the model's tensors,
whose places and version counters it notes. A write through ``.data`` moves no counter and leaves no
trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, Edit
from residuum.models import Adapted, Batch
from residuum.runs.apply import Planned
from residuum.runs.capture import Capture, Kept

STREAMS = ("resid_pre", "resid_post")


@dataclass(frozen=True)
class Reuse:
    """How much of a run was taken from the run that it was made after.

    Attributes:
        layer: first block that was run; the blocks before it were not. 0: all were run.
        reason: why it is not the first block at which the edits differ; empty where it is.

    Shows: what was computed. Does not show: whether another base would have saved more.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> base = model.run("Mary went to the store .", capture=["resid_pre"])
    >>> model.run("Mary went to the store .", edits=rz.Zero("L2.z[H3]"), after=base).reuse
    Reuse(layer=2, reason='')
    """

    layer: int
    reason: str = ""


@dataclass(frozen=True)
class Ground:
    """What the numbers of a run stand on, beside prompts and edits.

    Attributes:
        hf: the model.
        weights: place and version counter of every parameter and buffer.
        settings: what decides which kernels run.
        hooks: names of modules on which somebody's forward hooks stood.
    """

    hf: Any
    weights: tuple[tuple[int, int], ...]
    settings: tuple[Any, ...]
    hooks: tuple[str, ...]

    @classmethod
    def of(cls, adapted: Adapted) -> Ground:
        """The ground as it is now."""
        with adapted.lock:
            tensors = chain(adapted.hf.parameters(), adapted.hf.buffers())
            weights = tuple((each.data_ptr(), version(each)) for each in tensors)
            return cls(adapted.hf, weights, _settings(adapted), tuple(adapted.hooked()))


def _settings(adapted: Adapted) -> tuple[Any, ...]:
    config = adapted.hf.config.get_text_config()
    device = next(adapted.parts.embed.parameters()).device.type
    return (
        config._attn_implementation,
        getattr(config, "_experts_implementation", None),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_autocast_enabled(device),
    )


def version(tensor: Tensor) -> int:
    """How often a tensor was written to in place; inference tensors do not count."""
    return 0 if tensor.is_inference() else tensor._version


@dataclass(frozen=True)
class Written:
    """One edit at one site of a finished run.

    Attributes:
        fired: whether it wrote something.
        coded: whether a dictionary took part, which may be another one by now.
    """

    edit: Edit
    address: Address
    fired: bool
    coded: bool


@dataclass(frozen=True)
class Trace:
    """What a later run must know of this one to go on from it.

    Attributes:
        ground: model, weights, settings and hooks at the start of the run.
        batch: a copy of ids and mask.
        edits: each edit at each site.
        requests: how each captured site was asked for.
        versions: version counter of each captured tensor at the end of the run.
        kernels: layers whose attention was written out, see :func:`written_out`.
        size: prompts in one pass.
        grad: whether gradients were taken.
    """

    ground: Ground
    batch: Batch
    edits: tuple[Written, ...]
    requests: Mapping[Address, Capture]
    versions: Mapping[Address, int]
    kernels: frozenset[int]
    size: int
    grad: bool

    def edited(self, site: Address) -> bool:
        """Whether an edit wrote anywhere in the site."""
        return any(each.address.base == site for each in self.edits)


def is_raw(request: Capture, address: Address) -> bool:
    """Whether a capture keeps the whole site as the model made it."""
    whole = address == address.base and address.dictionary is None
    return whole and request.dtype is None and request.reduce is None


def keeps_stream(kept: Iterable[Kept]) -> bool:
    """Whether a later run can go on from a run that keeps these."""
    return any(each.address.name in STREAMS and is_raw(each.request, each.address) for each in kept)


def written_out(adapted: Adapted, sites: Iterable[Address]) -> frozenset[int]:
    """Layers whose attention does not run on the model's own kernel when these sites are visited.

    Where a kernel is replaced in every layer (one whose mask cannot be read), all of them.
    """
    layers: set[int] = set()
    slots = ("q", "k", "v", "z") if adapted.family.door == "module" else ()
    for site in sites:
        if site.name in ("scores", "pattern", *slots) and isinstance(site.layer, int):
            layers.add(site.layer)
    own = adapted.hf.config.get_text_config()._attn_implementation
    if layers and adapted.family.door == "interface" and own not in ("eager", "sdpa"):
        return frozenset(range(len(adapted.parts.layers)))
    return frozenset(layers)


def written(planned: Iterable[Planned]) -> tuple[Written, ...]:
    """The edits of a finished run, each at each of its sites."""
    return tuple(
        Written(each.edit, each.address, each.fired > 0, each.coder is not None) for each in planned
    )
