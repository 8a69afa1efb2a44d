"""Streams of activations: what a dictionary is trained on, and a stream over a tensor in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from residuum.core import Address, OptionError, ShapeError, tensor_hash
from residuum.runs.arguments import shown, whole_number

_EPOCH_STRIDE = 1_000_003


@dataclass(frozen=True, eq=False)
class Batch:
    """Activations of some tokens at the sites of a source.

    Attributes:
        values: ``[n site d]`` float32.
    """

    values: Tensor


@runtime_checkable
class ActivationSource(Protocol):
    """A stream of activations that can be left and taken up again at the very same row.

    Attributes:
        sites: what the site axis counts.
        widths: size of each site; one number for all, since they share an array.
        weight_hash: of the model that the activations are from; None if there is none.
        record: plain data: where the activations come from.
    """

    @property
    def sites(self) -> tuple[Address, ...]:
        """What the site axis counts."""
        ...

    @property
    def widths(self) -> tuple[int, ...]:
        """The size of each site."""
        ...

    @property
    def weight_hash(self) -> str | None:
        """SHA-256 over the model's weights."""
        ...

    @property
    def record(self) -> dict[str, Any]:
        """Plain data: lineage."""
        ...

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of ``size`` rows from the present place on; it may end, or go on for ever."""
        ...

    def state(self) -> dict[str, Any]:
        """The place after the last batch handed out: plain data and tensors."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a place; the next batch is the one that followed it."""
        ...


class TensorSource:
    """Activations in memory, in a new order each time round, without end.

    Attributes:
        values: ``[row site d]``, or ``[row d]`` for one site; any floating dtype.
        sites: their addresses; given as such, or as text.
        weight_hash: of the model that they are from; None if unknown.
        record: plain data: lineage; the hash of the tensor is added.
        shuffle: draw each round's order anew; False keeps the order of the rows.
        seed: of the orders.

    >>> import torch
    >>> source = TensorSource(torch.arange(6.0)[:, None], "L0.resid_post", shuffle=False)
    >>> [batch.values.flatten().tolist() for _, batch in zip(range(2), source.batches(4))]
    [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 0.0, 1.0]]
    >>> source.state()
    {'row': 8}
    """

    def __init__(
        self,
        values: Tensor,
        sites: Sequence[Address | str] | Address | str,
        weight_hash: str | None = None,
        record: Mapping[str, Any] | None = None,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        self.sites: tuple[Address, ...] = as_sites(sites)
        self.values = _as_rows(values, self.sites)
        self.weight_hash, self.shuffle, self.seed = weight_hash, shuffle, seed
        whole_number(self.seed, "seed", 0)
        self._row = 0
        own = {"tensor": _identity(self.values), "rows": len(self)}
        self.record: dict[str, Any] = {
            **(record or {}),
            **own,
            "shuffle": self.shuffle,
            "seed": self.seed,
        }
        self._drawn = (-1, torch.empty(0, dtype=torch.long))

    def __len__(self) -> int:
        """Rows in one round."""
        return len(self.values)

    @property
    def widths(self) -> tuple[int, ...]:
        """The size of each site."""
        return (self.values.shape[-1],) * self.values.shape[1]

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of ``size`` rows without end; one may hold the last rows of a round and the
        first of the next.

        Raises:
            OptionError: a size below one.
        """
        whole_number(size, "batch_size", 1)
        while True:
            rows = self._rows(self._row, size)
            self._row += size
            yield Batch(self.values[rows].to(torch.float32))

    def state(self) -> dict[str, Any]:
        """Rows handed out so far, over all rounds."""
        return {"row": self._row}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a place that :meth:`state` named."""
        self._row = whole_number(state["row"], "row", 0)

    def _rows(self, start: int, size: int) -> Tensor:
        parts: list[Tensor] = []
        while size:
            epoch, first = divmod(start, len(self))
            part = self._order(epoch)[first : first + size]
            parts.append(part)
            start, size = start + len(part), size - len(part)
        return torch.cat(parts)

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self))
        if self._drawn[0] != epoch:
            drawn = torch.Generator().manual_seed(self.seed * _EPOCH_STRIDE + epoch)
            self._drawn = (epoch, torch.randperm(len(self), generator=drawn))
        return self._drawn[1]


def as_sites(sites: Any) -> tuple[Address, ...]:
    """Addresses, from one or several, as text or as they are.

    Raises:
        OptionError: none is given.
        AddressError: one cannot be read, or is a query.
    """
    several = [sites] if isinstance(sites, (str, Address)) else sites
    if not isinstance(several, Sequence) or not several:
        raise OptionError(
            f"sites={shown(sites)} names no site", mend='name one or more, such as "L5.resid_post"'
        )
    return tuple(Address.parse(each) for each in several)


def need_source(value: Any, verb: str) -> None:
    """Refuse what is no stream of activations.

    Raises:
        OptionError: it is none.
    """
    if isinstance(value, type) or not isinstance(value, ActivationSource):
        raise OptionError(
            f"{verb} needs a stream of activations or a loaded model, got {shown(value)}",
            mend="give a TensorSource, what rz.harvest kept, or a model with at= and text=",
        )


def _identity(values: Tensor) -> str:
    dtype, plain = str(values.dtype).removeprefix("torch."), values.detach().cpu()
    plain = plain.float() if dtype == "bfloat16" else plain
    return tensor_hash(dtype, tuple(values.shape), plain.numpy())


def _as_rows(values: Any, sites: tuple[Address, ...]) -> Tensor:
    if not isinstance(values, Tensor) or not values.is_floating_point():
        raise ShapeError(
            f"activations are a floating-point tensor, got {shown(values)}",
            mend="give a tensor [row site d], or [row d] for one site",
        )
    rows = values[:, None] if values.ndim == 2 else values
    if rows.ndim != 3 or rows.shape[1] != len(sites) or 0 in rows.shape:
        raise ShapeError(
            f"activations of shape {list(values.shape)} for {len(sites)} sites",
            mend="give [row site d] with one entry of the second axis for each site",
        )
    if not bool(rows.isfinite().all()):
        raise ShapeError(
            "the activations hold NaN or infinity", mend="leave those rows out before training"
        )
    return rows
