"""How each activation behaves while it is trained: what is active, and where gradients go.

A rule reads the vectors ``[latent]`` of its activation by name. Pre-activations hold the vector
that ``Rule.bias`` names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function

from residuum.core import OptionError
from residuum.dictionaries.coding.batch_share import BatchShare
from residuum.dictionaries.coding.entries import AllEntries, Entries, entries_of_mask
from residuum.dictionaries.record.activations import BatchTopK, Gated, JumpReLU, ReLU, TopK
from residuum.dictionaries.record.top_entries import top_entries

Vectors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Active:
    """Latents at the entries, with their graph: ``[entry]``, or ``[n latent]`` of all entries.

    Attributes:
        latents: ``[entry]``, 0 where an entry turns out not to be active.
        sizes: ``[entry]``, what an L1 penalty counts.
        counted: ``[entry]``, what an L0 penalty counts; None where it has no gradient.
        alone: ``[entry]``, values that must rebuild the target by themselves, the decoder held
            fixed; None: there are none.
    """

    latents: Tensor
    sizes: Tensor
    counted: Tensor | None = None
    alone: Tensor | None = None


class Rule(Protocol):
    """An activation in training."""

    @property
    def bias(self) -> str:
        """Name of the vector that is part of the pre-activations."""
        ...

    def start(self, like: Tensor) -> dict[str, Tensor]:
        """The vectors that are learnt, of the shape of ``like [latent]``."""
        ...

    def select(self, pre: Tensor, vectors: Vectors, share: BatchShare) -> Entries | AllEntries:
        """The entries of ``pre [n latent]``, this share of a batch, that may be active or get a
        gradient.
        """
        ...

    def active(self, pre: Tensor, cols: Tensor | slice, vectors: Vectors) -> Active:
        """Latents of ``pre [entry]``."""
        ...

    def finished(self, vectors: Vectors, threshold: float | None) -> dict[str, Tensor]:
        """The vectors of the record."""
        ...


@dataclass(frozen=True)
class ReLURule:
    """All above zero."""

    bias: str = "b_enc"

    def start(self, like: Tensor) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {"b_enc": torch.zeros_like(like)}

    def select(self, pre: Tensor, vectors: Vectors, share: BatchShare) -> Entries | AllEntries:
        """See :class:`Rule`."""
        return entries_of_mask(pre > 0)

    def active(self, pre: Tensor, cols: Tensor | slice, vectors: Vectors) -> Active:
        """See :class:`Rule`."""
        latents = pre.relu()
        return Active(latents, latents)

    def finished(self, vectors: Vectors, threshold: float | None) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {"b_enc": vectors["b_enc"]}


@dataclass(frozen=True)
class TopKRule:
    """The ``k`` largest of each row, at least zero."""

    k: int
    bias: str = "b_enc"

    def start(self, like: Tensor) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {"b_enc": torch.zeros_like(like)}

    def select(self, pre: Tensor, vectors: Vectors, share: BatchShare) -> Entries | AllEntries:
        """See :class:`Rule`."""
        return Entries.of_indices(top_entries(pre, self.k)[1], pre.shape[1])

    def active(self, pre: Tensor, cols: Tensor | slice, vectors: Vectors) -> Active:
        """See :class:`Rule`."""
        latents = pre.relu()
        return Active(latents, latents)

    def finished(self, vectors: Vectors, threshold: float | None) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {"b_enc": vectors["b_enc"]}


@dataclass(frozen=True)
class BatchTopKRule:
    """The ``k`` times batch largest of the whole batch, at least zero."""

    k: int
    bias: str = "b_enc"

    def start(self, like: Tensor) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {"b_enc": torch.zeros_like(like)}

    def select(self, pre: Tensor, vectors: Vectors, share: BatchShare) -> Entries | AllEntries:
        """See :class:`Rule`."""
        n, m = pre.shape
        wanted = self.k * share.whole
        values, places = top_entries(pre.reshape(-1), min(wanted, pre.numel()))
        if share.whole > n:
            values, order = values.sort(descending=True)
            places = places[order[: share.cut(values)]]
        places = places.sort().values
        return Entries(places // m, places % m, (n, m))

    def active(self, pre: Tensor, cols: Tensor | slice, vectors: Vectors) -> Active:
        """See :class:`Rule`."""
        latents = pre.relu()
        return Active(latents, latents)

    def finished(self, vectors: Vectors, threshold: float | None) -> dict[str, Tensor]:
        """See :class:`Rule`.

        Raises:
            OptionError: no step was made that could tell the threshold.
        """
        if threshold is None:
            raise OptionError(
                "the threshold of a BatchTopK coder is not known before its first step",
                mend="train it first",
            )
        b_enc = vectors["b_enc"]
        return {"b_enc": b_enc, "threshold": torch.full_like(b_enc, threshold)}


@dataclass(frozen=True)
class JumpReLURule:
    """Above each latent's own threshold; pseudo-derivatives inside the window around it."""

    bandwidth: float
    first: float
    bias: str = "b_enc"

    def start(self, like: Tensor) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {
            "b_enc": torch.zeros_like(like),
            "log_threshold": torch.full_like(like, math.log(self.first)),
        }

    def select(self, pre: Tensor, vectors: Vectors, share: BatchShare) -> Entries | AllEntries:
        """See :class:`Rule`."""
        return entries_of_mask(pre > vectors["log_threshold"].exp() - self.bandwidth / 2)

    def active(self, pre: Tensor, cols: Tensor | slice, vectors: Vectors) -> Active:
        """See :class:`Rule`."""
        threshold = vectors["log_threshold"].exp()[cols]
        latents: Any = _Jump.apply(pre, threshold, self.bandwidth)
        counted: Any = _Step.apply(pre, threshold, self.bandwidth)
        return Active(latents, latents, counted)

    def finished(self, vectors: Vectors, threshold: float | None) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {"b_enc": vectors["b_enc"], "threshold": vectors["log_threshold"].exp()}


@dataclass(frozen=True)
class GatedRule:
    """Active where the gate's pre-activation is above zero."""

    bias: str = "b_gate"

    def start(self, like: Tensor) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {name: torch.zeros_like(like) for name in ("b_gate", "b_mag", "r_mag")}

    def select(self, pre: Tensor, vectors: Vectors, share: BatchShare) -> Entries | AllEntries:
        """See :class:`Rule`."""
        return entries_of_mask(pre > 0)

    def active(self, pre: Tensor, cols: Tensor | slice, vectors: Vectors) -> Active:
        """See :class:`Rule`."""
        raw = pre - vectors["b_gate"][cols]
        size = (raw * vectors["r_mag"].exp()[cols] + vectors["b_mag"][cols]).relu()
        gate = pre.relu()
        return Active(size * (pre > 0), sizes=gate, alone=gate)

    def finished(self, vectors: Vectors, threshold: float | None) -> dict[str, Tensor]:
        """See :class:`Rule`."""
        return {name: vectors[name] for name in ("b_gate", "b_mag", "r_mag")}


class _Jump(Function):
    """``z`` above the threshold; d/d threshold: -threshold / width inside the window."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        z, threshold, width = given
        ctx.save_for_backward(z, threshold)
        ctx.width = width
        return z * (z > threshold)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        z, threshold = ctx.saved_tensors
        window = _window(z, threshold, ctx.width)
        to_threshold = -grads[0] * threshold * window / ctx.width
        return grads[0] * (z > threshold), to_threshold, None


class _Step(Function):
    """1 above the threshold; d/d threshold: -1 / width inside the window, d/dz: 0."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        z, threshold, width = given
        ctx.save_for_backward(z, threshold)
        ctx.width = width
        return (z > threshold).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        z, threshold = ctx.saved_tensors
        return None, -grads[0] * _window(z, threshold, ctx.width) / ctx.width, None


def _window(z: Tensor, threshold: Tensor, width: float) -> Tensor:
    return ((z - threshold).abs() < width / 2).to(z.dtype)


def rule_of(activation: Any) -> Rule:
    """The rule by which an activation is trained.

    Raises:
        OptionError: an activation without one.
    """
    if isinstance(activation, TopK):
        return TopKRule(activation.k)
    if isinstance(activation, BatchTopK):
        return BatchTopKRule(activation.k)
    if isinstance(activation, JumpReLU):
        return JumpReLURule(activation.bandwidth, activation.start)
    if isinstance(activation, ReLU):
        return ReLURule()
    if isinstance(activation, Gated):
        return GatedRule()
    raise OptionError(
        f"{type(activation).__name__} cannot be trained",
        mend="use ReLU, TopK, BatchTopK, JumpReLU or Gated",
    )
