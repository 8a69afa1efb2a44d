"""Where in a tensor an address points: parts and positions, row by row of a padded batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, AddressError, EditError, SiteRefused, Span
from residuum.models import Adapted, Batch


def resolve(
    adapted: Adapted, query: Any, batch: Batch | None = None, more: int = 0
) -> tuple[Address, ...]:
    """The proven sites that an address or query means.

    Args:
        batch: prompts that its position must lie in.
        more: tokens that generation will add to them.

    Raises:
        AddressError: no such site, or a part or position out of range.
        SiteRefused: the site exists, but was not proven on this model.
    """
    address = Address.parse(query)
    _refuse_unproven(adapted, address)
    found = address.expand(adapted.taps, len(adapted.parts.layers))
    for each in found:
        _check_part(adapted, each)
        if batch is not None:
            _check_position(each, batch, more)
    return found


def _refuse_unproven(adapted: Adapted, address: Address) -> None:
    """An address, or a query by a site's full name, never leaves out what was not proven."""
    layers = len(adapted.parts.layers)
    for refused, reason in adapted.refused.items():
        if refused.name == address.name and address.covers(refused, layers):
            raise SiteRefused(
                f"{refused} is not available on this model: {reason}",
                mend="residuum doctor MODEL lists the sites that are",
                where=str(address),
            )


def part_count(adapted: Adapted, address: Address) -> int:
    """How many heads, neurons or experts the site has."""
    dims = adapted.parts.dims
    letter = address.site.part_letter
    if letter == "H":
        grouped = address.name in ("k", "v", "k_pre", "k_in", "v_in")
        return dims.n_kv_heads if grouped else dims.n_heads
    return (dims.d_mlp or 0) if letter == "N" else dims.n_experts


def _check_part(adapted: Adapted, address: Address) -> None:
    if not isinstance(address.part, int) or address.dictionary is not None:
        return
    count = part_count(adapted, address)
    if address.part >= count:
        grouped = count < adapted.parts.dims.n_heads
        kind = {"H": "head", "N": "neuron", "E": "expert"}[address.site.part_letter or "H"]
        raise AddressError(
            f"{kind} {address.part} is out of range: {address.base} has {count}",
            mend=f"use 0 to {count - 1}"
            + (" (key/value heads)" if kind == "head" and grouped else ""),
            where=str(address),
        )


def _check_position(address: Address, batch: Batch, more: int) -> None:
    pos = address.pos
    if not isinstance(pos, int):
        return
    shortest = int(batch.lengths.min())
    if not -shortest <= pos < shortest + more:
        made = f", and {more} are added and read again" if more else ""
        raise AddressError(
            f"position {pos} is out of range: the shortest prompt has {shortest} tokens{made}",
            mend=f"use {-shortest} to {shortest + more - 1}",
            where=str(address),
        )


@dataclass(frozen=True)
class Columns:
    """Which columns of a position axis an address means, for each prompt of a batch.

    Attributes:
        starts: ``[batch]`` column of each prompt's first token.
        lengths: ``[batch]`` tokens of each prompt (in generation: of the prompt alone).
        past: columns of the whole sequence that came before this forward call.
        fed: columns of this forward call, where it is a step of generation.
    """

    starts: Tensor
    lengths: Tensor
    past: int = 0
    fed: int | None = None

    def places(self, pos: int | Span, width: int) -> tuple[Tensor, Tensor, bool]:
        """Rows and columns, each ``[n]``, and whether every row has as many.

        Args:
            width: columns of the tensor, which are the last ones of the sequence so far (a cache's
                keys and values may be all of it, or a window).
        """
        rows: list[int] = []
        cols: list[int] = []
        found = []
        past = self.past if self.fed is None else self.past + self.fed - width
        ends = zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
        for row, (start, length) in enumerate(ends):
            total = length if self.fed is None else self.past + self.fed - start
            absolute = [start + p - past for p in _indices(pos, length, total)]
            inside = [column for column in absolute if 0 <= column < width]
            rows += [row] * len(inside)
            cols += inside
            found.append(len(inside))
        even = len(set(found)) == 1
        return torch.tensor(rows, dtype=torch.long), torch.tensor(cols, dtype=torch.long), even


def _indices(pos: int | Span, length: int, total: int) -> range:
    """Positions meant; negative ones count from the end of the prompt, open spans go on."""
    if not isinstance(pos, Span):
        at = pos + length if pos < 0 else pos
        return range(at, at + 1)
    ends = ((pos.start or 0), total if pos.stop is None else pos.stop)
    start, stop = (max(end + length, 0) if end < 0 else min(end, total) for end in ends)
    return range(start, stop)


@dataclass(frozen=True)
class View:
    """The part of a site's tensor that an address means; reads it and writes it back."""

    address: Address
    columns: Columns

    def _axes(self) -> tuple[int, int | None]:
        site = self.address.site
        return site.pos_axis, site.part_axis if isinstance(self.address.part, int) else None

    def _moved(self, value: Tensor) -> Tensor:
        """Positions on axis 1, the part selected."""
        pos_axis, part_axis = self._axes()
        if part_axis is not None and isinstance(self.address.part, int):
            value = value.select(part_axis, self.address.part)
            pos_axis -= part_axis < pos_axis
        return value.movedim(pos_axis, 1)

    def read(self, value: Tensor) -> Tensor | None:
        """What the address means: ``[batch, (pos), ...]``; None if no place is in this tensor.

        Raises:
            AddressError: a span that covers different numbers of tokens in different prompts.
        """
        if self.address.pos is None:
            part_axis = self._axes()[1]
            if part_axis is None or not isinstance(self.address.part, int):
                return value
            return value.select(part_axis, self.address.part)
        moved = self._moved(value)
        rows, cols, even = self.columns.places(self.address.pos, self._width(value))
        if not len(rows):
            return None
        if not even and isinstance(self.address.pos, Span):
            raise AddressError(
                "the span covers different numbers of tokens in different prompts",
                mend="run prompts of equal length together, or address single positions",
                where=str(self.address),
            )
        picked = moved[rows.to(value.device), cols.to(value.device)]
        if isinstance(self.address.pos, int):
            return picked
        return picked.unflatten(0, (value.shape[0], -1))

    def write(self, value: Tensor, new: Tensor) -> Tensor:
        """A copy of the site's tensor with the addressed part replaced."""
        if self.address.pos is None and not isinstance(self.address.part, int):
            return new.expand_as(value) if new.shape != value.shape else new
        out = value.clone()
        if self.address.pos is None:
            part_axis = self._axes()[1]
            assert part_axis is not None and isinstance(self.address.part, int)
            out.select(part_axis, self.address.part).copy_(new)
            return out
        target = self._moved(out)
        rows, cols, _ = self.columns.places(self.address.pos, self._width(value))
        flat = new if isinstance(self.address.pos, int) else new.flatten(0, 1)
        target[rows.to(out.device), cols.to(out.device)] = flat
        return out

    def _width(self, value: Tensor) -> int:
        return value.shape[self.address.site.pos_axis]


def columns_of(batch: Batch, past: int = 0, lengths: Tensor | None = None) -> Columns:
    """Columns of a batch."""
    return Columns(batch.starts, batch.lengths if lengths is None else lengths, past)


def refuse(edit: Any, address: Address, why: str, mend: str) -> EditError:
    """An error about one edit at one place."""
    return EditError(f"{edit.kind}: {why}", mend=mend, where=str(address))
