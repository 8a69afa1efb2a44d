"""The vectors that examples have at one site, read in batches, with or without edits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import Address, AddressError, Edit, OptionError
from residuum.runs import shown

if TYPE_CHECKING:
    from residuum.directions.examples import Examples
    from residuum.runs import Model


@dataclass(frozen=True, eq=False)
class Place:
    """A site and which tokens of each example are read there.

    Attributes:
        site: the address without a position.
        written: the address at which an edit meets these tokens.
        columns: ``[n pos]``, true at the tokens that are read.
    """

    site: Address
    written: Address
    columns: Tensor

    def rows(self, chosen: Sequence[int] | Tensor) -> Place:
        """The same for some of the examples."""
        return replace(self, columns=self.columns[torch.as_tensor(chosen)])


def place_of(examples: Examples, at: str | Address, tokens: str = "read") -> Place:
    """Where examples are read, and where an edit has to be written for it.

    Args:
        at: site of the stream, or of one head. With a position, that token is read.
        tokens: ``"read"`` for the token that each example names, ``"all"`` for every real token.

    Raises:
        AddressError: a query, or a site that holds no vectors a token.
        OptionError: examples that are read at tokens which no one position names.
    """
    address = Address.parse(at)
    if tokens not in ("read", "all"):
        raise OptionError(f"tokens={shown(tokens)} is none", mend='"read" or "all"')
    if address.is_query or "pos" not in address.site.dims:
        raise AddressError(
            f"{address} is no one site with a vector for each token",
            mend="name a layer and a site, such as L2.resid_post",
        )
    site = replace(address, pos=None)
    mask = real_tokens(examples)
    if address.pos is not None:
        if not isinstance(address.pos, int):
            raise AddressError(f"{address} means several tokens", mend="name one, such as @-1")
        return Place(site, address, _only(mask, _column(mask, address.pos)))
    if tokens == "all":
        return Place(site, site, mask)
    positions = examples.positions.long()
    from_end = (positions - mask.sum(1)).unique()
    from_start = positions.unique()
    if len(from_end) > 1 and len(from_start) > 1:
        raise OptionError(
            "the examples are read at different tokens, and one position cannot name them all",
            mend='give the site with a position, such as L2.resid_post@-1, or tokens="all"',
        )
    pos = int(from_end[0]) if len(from_end) == 1 else int(from_start[0])
    return Place(site, replace(site, pos=pos), _only(mask, positions))


def real_tokens(examples: Examples) -> Tensor:
    """Bool ``[n pos]``, true where there is no padding."""
    mask = getattr(examples, "mask", None)
    return torch.ones_like(examples.ids, dtype=torch.bool) if mask is None else mask.bool()


def _column(mask: Tensor, pos: int) -> Tensor:
    lengths = mask.sum(1)
    if not -int(lengths.min()) <= pos < int(lengths.min()):
        raise AddressError(
            f"position {pos} is out of range: the shortest example has {int(lengths.min())} tokens",
            mend="name a token that every example has",
        )
    return lengths + pos if pos < 0 else torch.full_like(lengths, pos)


def _only(mask: Tensor, columns: Tensor) -> Tensor:
    chosen = torch.zeros_like(mask)
    chosen[torch.arange(len(mask)), columns] = True
    return chosen


def vector_blocks(
    model: Model,
    examples: Examples,
    place: Place,
    rows: Sequence[int],
    edits: Sequence[Edit] = (),
    batch_size: int = 64,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Vectors ``[m d]``, their classes ``[m]`` and their examples ``[m]``, batch by batch."""
    mask = real_tokens(examples)
    for start in range(0, len(rows), batch_size):
        at = torch.as_tensor(list(rows[start : start + batch_size]))
        run = model.run(
            examples.ids[at],
            attention_mask=None if bool(mask[at].all()) else mask[at],
            capture=[place.site],
            edits=list(edits),
            logits=False,
        )
        value: Any = run[place.site].cpu()
        chosen = place.columns[at]
        counts = chosen.sum(1)
        yield (
            value[chosen],
            examples.labels[at].repeat_interleave(counts),
            at.repeat_interleave(counts),
        )


def vectors(
    model: Model,
    examples: Examples,
    place: Place,
    rows: Sequence[int],
    edits: Sequence[Edit] = (),
    batch_size: int = 64,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same, all at once."""
    blocks = list(vector_blocks(model, examples, place, rows, edits, batch_size))
    x, labels, owners = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    return x, labels, owners
