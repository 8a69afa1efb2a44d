"""What to keep of a run: addresses, slices, dtype, device, or a reduction made on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from residuum.core import Address, OptionError

Reduction = Literal["mean", "mean_by_pos", "second_moment", "top_k"]
REDUCTIONS: tuple[str, ...] = ("mean", "mean_by_pos", "second_moment", "top_k")


@dataclass(frozen=True)
class Capture:
    """A request to keep a site.

    Attributes:
        at: address or query; a part or position keeps only that slice.
        dtype: to cast to; None keeps the model's.
        device: to move to, such as ``"cpu"``; None leaves it where it is.
        reduce: None keeps every prompt and token; ``"mean"`` and ``"second_moment"`` average over
            all real tokens; ``"mean_by_pos"`` over prompts of equal length; ``"top_k"`` keeps, for
            each unit, the ``k`` largest values with prompt and position.
        k: for ``top_k``.
    """

    at: Any
    dtype: torch.dtype | None = None
    device: Any = None
    reduce: Reduction | None = None
    k: int = 10

    def __post_init__(self) -> None:
        if self.reduce is not None and self.reduce not in REDUCTIONS:
            raise OptionError(
                f"unknown reduction {self.reduce!r}", mend=f"one of: {', '.join(REDUCTIONS)}"
            )
        object.__setattr__(self, "at", Address.parse(self.at))


@dataclass(frozen=True)
class TopK:
    """Largest values of each unit: ``values``, ``prompts``, ``positions``, all ``[k ...unit]``."""

    values: Tensor
    prompts: Tensor
    positions: Tensor


@dataclass
class Kept:
    """What has been kept for one address so far, over the chunks of a run."""

    request: Capture
    address: Address
    chunks: list[Tensor] = field(default_factory=list)
    total: Tensor | None = None
    count: int = 0
    top: TopK | None = None

    def take(self, value: Tensor, real: Tensor | None, first_row: int) -> None:
        """Keep one forward call's value ``[batch (pos) ...]``: a copy, never a view.

        Args:
            real: ``[batch pos]`` true at real tokens, None when all are.
            first_row: index of the chunk's first prompt in the run.
        """
        value = value.detach()
        if self.request.reduce is None:
            self.chunks.append(self._copied(value))
            return
        flat, where = _tokens(value, real, self.address, first_row)
        if self.request.reduce == "top_k":
            self._take_top(flat, where)
            return
        if self.request.reduce == "mean_by_pos":
            flat, amount = value, value.shape[0]
        else:
            amount = flat.shape[0]
        work = flat.to(torch.promote_types(flat.dtype, torch.float32))
        if self.request.reduce == "second_moment":
            work = work.square()
        summed = work.sum(dim=0)
        self.total = summed if self.total is None else self.total + summed
        self.count += amount

    def _copied(self, value: Tensor) -> Tensor:
        out = value.to(device=self.request.device, dtype=self.request.dtype)
        return out.clone() if out.data_ptr() == value.data_ptr() else out

    def _take_top(self, flat: Tensor, where: Tensor) -> None:
        prompts = where[:, :1].reshape(-1, *[1] * (flat.ndim - 1)).expand_as(flat)
        positions = where[:, 1:].reshape(-1, *[1] * (flat.ndim - 1)).expand_as(flat)
        if self.top is not None:
            flat = torch.cat([self.top.values, flat])
            prompts = torch.cat([self.top.prompts, prompts])
            positions = torch.cat([self.top.positions, positions])
        values, order = flat.topk(min(self.request.k, flat.shape[0]), dim=0)
        self.top = TopK(values, prompts.gather(0, order), positions.gather(0, order))

    def result(self) -> Tensor | TopK:
        """The kept tensor, or the reduction."""
        if self.request.reduce is None:
            return self.chunks[0] if len(self.chunks) == 1 else torch.cat(self.chunks)
        if self.top is not None:
            return self.top
        assert self.total is not None
        mean = self.total / self.count
        return mean.to(device=self.request.device, dtype=self.request.dtype or mean.dtype)


def _tokens(
    value: Tensor, real: Tensor | None, address: Address, first_row: int
) -> tuple[Tensor, Tensor]:
    """Real tokens in one row each ``[token ...unit]``, with (prompt, position) of each."""
    if isinstance(address.pos, int):
        rows = torch.arange(value.shape[0], device=value.device)
        return value, torch.stack([rows + first_row, torch.full_like(rows, address.pos)], dim=1)
    axis = address.site.pos_axis
    part_axis = address.site.part_axis
    if isinstance(address.part, int) and part_axis is not None:
        axis -= part_axis < axis
    moved = value.movedim(axis, 1)
    if real is None or real.shape[1] != moved.shape[1]:
        real = torch.ones(moved.shape[:2], dtype=torch.bool)
    mask = real.to(moved.device)
    where = mask.nonzero()
    first = mask.int().argmax(dim=1, keepdim=True)
    where = torch.stack([where[:, 0] + first_row, where[:, 1] - first[where[:, 0], 0]], dim=1)
    return moved[mask], where
