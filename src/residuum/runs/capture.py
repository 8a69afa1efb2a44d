"""What to keep of a run: addresses, slices, dtype, device, or a reduction made on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from residuum.core import Address, AddressError, OptionError, Span
from residuum.runs.apply import Coder, encoded, latents_site
from residuum.runs.places import Columns, View

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
        k: for ``top_k``; None means 10.

    What is kept is a copy, taken after the edits of that site. ``run[at]`` has the site's shape
    without the axes that a part or a position picked; a mean loses ``batch`` and ``pos``,
    ``"mean_by_pos"`` loses ``batch`` alone, ``"top_k"`` is a ``TopK``.

    Raises:
        AddressError, OptionError: no address; an unknown reduction, ``k``, dtype or device.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> run = model.run("Mary went to the store .", capture=[Capture("L1.z", reduce="mean")])
    >>> tuple(run["L1.z"].shape) == (model.n_heads, model.dims.d_head)
    True
    """

    at: Any
    dtype: torch.dtype | None = None
    device: Any = None
    reduce: Reduction | None = None
    k: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", Address.parse(self.at))
        if self.reduce is not None and self.reduce not in REDUCTIONS:
            raise OptionError(
                f"unknown reduction {self.reduce!r}", mend=f"one of: {', '.join(REDUCTIONS)}"
            )
        if self.k is not None and (type(self.k) is not int or self.k < 1):
            raise OptionError(f"k={self.k!r} is out of range", mend="give a whole number from 1")
        if self.k is not None and self.reduce != "top_k":
            raise OptionError("k is for reduce='top_k'", mend="leave k out, or ask for top_k")
        if self.dtype is not None and not _is_float(self.dtype):
            raise OptionError(
                f"cannot cast a captured site to {self.dtype!r}",
                mend="give a floating dtype such as torch.float16",
            )
        _check_device(self.device)


def _is_float(dtype: Any) -> bool:
    return isinstance(dtype, torch.dtype) and dtype.is_floating_point


def _check_device(device: Any) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise OptionError(
            f"cannot move a captured site to {device!r}: {str(error).splitlines()[0]}",
            mend='give a device that is there, such as "cpu"',
        ) from error


@dataclass(frozen=True)
class TopK:
    """Largest values of each unit: ``values``, ``prompts``, ``positions``, all ``[k ...unit]``.

    Positions count from each prompt's first real token.
    """

    values: Tensor
    prompts: Tensor
    positions: Tensor


@dataclass
class Kept:
    """What has been kept for one address so far, over the chunks of a run.

    Attributes:
        coder: the dictionary, where the address is of its latents.
    """

    request: Capture
    address: Address
    coder: Coder | None = None
    chunks: list[Tensor] = field(default_factory=list)
    total: Tensor | None = None
    count: int = 0
    top: TopK | None = None

    def take(self, site: Tensor, columns: Columns, real: Tensor | None, first_row: int) -> None:
        """Keep what is asked for of one forward call's site: a copy, never a view.

        Args:
            site: the whole site's tensor.
            columns: where each prompt's tokens stand.
            real: ``[batch pos]`` true at real tokens, None when all are; where it is longer than
                the site, the site holds its last tokens.
            first_row: index of the chunk's first prompt in the run.
        """
        value = self._part(site.detach(), columns)
        if value is None:
            return
        if self.request.reduce is None:
            self.chunks.append(self._copied(value))
            return
        if self.request.reduce == "mean_by_pos" and self.address.pos is None:
            _refuse_ragged(real, self.address)
        flat, mask = _tokens(value, real, self.address)
        if self.request.reduce == "top_k":
            self._take_top(flat, _places(value, mask, columns, self.address, first_row))
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

    def _part(self, site: Tensor, columns: Columns) -> Tensor | None:
        if self.coder is None:
            return View(self.address, columns).read(site)
        vectors = View(latents_site(self.address), columns).read(site)
        if vectors is None:
            return None
        latents = encoded(self.coder, self.address, vectors).detach()
        return latents[..., self.address.part] if isinstance(self.address.part, int) else latents

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
        values, order = flat.topk(min(self.request.k or 10, flat.shape[0]), dim=0)
        self.top = TopK(values, prompts.gather(0, order), positions.gather(0, order))

    def result(self) -> Tensor | TopK:
        """The kept tensor, or the reduction.

        Raises:
            AddressError: the pass never came by.
        """
        if self.chunks:
            return self.chunks[0] if len(self.chunks) == 1 else torch.cat(self.chunks)
        device, dtype = self.request.device, self.request.dtype
        if self.top is not None:
            values = self.top.values.to(device=device, dtype=dtype or self.top.values.dtype)
            where = (each.to(values.device) for each in (self.top.prompts, self.top.positions))
            return TopK(values, *where)
        if self.total is None:
            raise AddressError(
                f"{self.address} was never reached in the pass",
                mend="leave it out; the model did not call that module",
            )
        mean = self.total / self.count
        return mean.to(device=device, dtype=dtype or mean.dtype)


def _refuse_ragged(real: Tensor | None, address: Address) -> None:
    if real is not None and not bool(real.all()):
        raise OptionError(
            "mean_by_pos is over prompts of one length, and these are padded",
            mend="run prompts of one length together, or reduce by mean",
            where=str(address),
        )


def _tokens(value: Tensor, real: Tensor | None, address: Address) -> tuple[Tensor, Tensor | None]:
    """Real tokens in one row each ``[token ...unit]``, and which they are, ``[batch pos]``."""
    if isinstance(address.pos, int):
        return value, None
    if isinstance(address.pos, Span):
        return value.flatten(0, 1), None
    axis, part_axis = address.site.pos_axis, address.site.part_axis
    if isinstance(address.part, int) and part_axis is not None and address.dictionary is None:
        axis -= part_axis < axis
    moved = value.movedim(axis, 1)
    if real is None:
        real = torch.ones(moved.shape[:2], dtype=torch.bool)
    mask = real[:, -moved.shape[1] :].to(moved.device)
    return moved[mask], mask


def _places(
    value: Tensor, mask: Tensor | None, columns: Columns, address: Address, first_row: int
) -> Tensor:
    """Prompt and position of each real token, ``[token 2]``."""
    rows = torch.arange(value.shape[0], device=value.device)
    if mask is not None:
        first = mask.int().argmax(dim=1)
        row, column = mask.nonzero(as_tuple=True)
        return torch.stack([row + first_row, column - first[row]], dim=1)
    lengths = columns.lengths.to(value.device)
    if isinstance(address.pos, int):
        at = torch.full_like(rows, address.pos) + (lengths if address.pos < 0 else 0)
        return torch.stack([rows + first_row, at], dim=1)
    assert isinstance(address.pos, Span)
    spans = [list(address.pos.indices(length)) for length in lengths.tolist()]
    at = torch.tensor(spans, device=value.device).flatten()
    return torch.stack([(rows + first_row).repeat_interleave(value.shape[1]), at], dim=1)
