"""Cells: a site of one layer, and the token of each example that is read there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import Address, AddressError, OptionError, TokenError
from residuum.runs import Model, resolve, shown

if TYPE_CHECKING:
    from residuum.directions.examples import Examples


@dataclass(frozen=True)
class Cell:
    """One place that is read.

    Attributes:
        at: its address; with a position where that is the same in every example.
        captured: what a run has to keep for it.
        position: token of every example; None for the one that each names.
    """

    at: Address
    captured: Address
    position: int | None

    @property
    def read_at(self) -> str:
        """The token that is read, in words."""
        return "as named" if self.at.pos is None else str(self.at.pos)

    def read(self, value: Tensor, own: Tensor, lengths: Tensor) -> Tensor:
        """The vectors ``[row d]`` of captured ``[row (pos) d]``."""
        if self.captured.pos is not None:
            return value
        at = own if self.position is None else _columns(self.position, lengths)
        return value[torch.arange(len(at)), at]


def cells_of(
    model: Model,
    examples: Examples,
    sites: Any,
    layers: Sequence[int] | None,
    positions: Sequence[int] | int | None,
) -> tuple[Cell, ...]:
    """Every site at every token, layer by layer.

    Raises:
        AddressError: a site that the model lacks, or that holds no one vector a token.
        OptionError, TokenError: layers or positions that are none.
    """
    given = [sites] if isinstance(sites, (str, Address, tuple)) else list(sites)
    addresses = [at for each in given for at in _sites(model, each, layers)]
    tokens: list[int | None] = [None] if positions is None else list(_tokens(examples, positions))
    shared = shared_position(examples)
    cells = []
    for at in dict.fromkeys(addresses):
        for token in tokens if at.pos is None else [_one_token(examples, at)]:
            pos = shared if token is None else token
            cells.append(Cell(replace(at, pos=pos), replace(at, pos=pos), token))
    return tuple(cells)


def written_at(cell: Cell) -> Address:
    """Where the direction is used: every token, unless another token than the last was read."""
    last = cell.position is None and cell.at.pos == -1
    return replace(cell.at, pos=None) if last else cell.at


def shared_position(examples: Examples) -> int | None:
    """The one position that names the token read in every example; None if there is none.

    The last real token is -1, another is counted from the end if that fits all, else from the
    first.
    """
    from_end = set((examples.positions - examples.lengths).tolist())
    if len(from_end) == 1:
        return from_end.pop()
    from_start = set(examples.positions.tolist())
    return from_start.pop() if len(from_start) == 1 else None


def _columns(position: int, lengths: Tensor) -> Tensor:
    return lengths + position if position < 0 else torch.full_like(lengths, position)


def _sites(model: Model, given: Any, layers: Sequence[int] | None) -> list[Address]:
    query = Address.parse(given)
    wanted = [replace(query, pos=None)]
    if layers is not None:
        if query.layer is not None:
            raise OptionError(
                f"{query} names its layer, and layers={shown(list(layers))} others",
                mend="name the site alone, or leave layers out",
            )
        wanted = [replace(query, pos=None, layer=_layer(model, each)) for each in layers]
    found = [at for each in wanted for at in resolve(model.adapted, each)]
    for at in found:
        _need_vector(at)
    return [replace(at, pos=query.pos) for at in found]


def _layer(model: Model, layer: Any) -> int:
    if type(layer) is not int or not 0 <= layer < model.n_layers:
        raise OptionError(
            f"layer {shown(layer)} is out of range", mend=f"use 0 to {model.n_layers - 1}"
        )
    return layer


def _need_vector(at: Address) -> None:
    dims = at.site.dims
    inner = len(dims) - 2 - (at.part is not None)
    if "pos" not in dims or inner != 1:
        raise AddressError(
            f"{at} holds no one vector for each token",
            mend="take the stream (resid_post), mlp_act, or one head (z[H0], or z[H*] for each)",
        )


def _one_token(examples: Examples, at: Address) -> int:
    if not isinstance(at.pos, int):
        raise AddressError(f"{at} means several tokens", mend="name one, such as @-1")
    return next(iter(_tokens(examples, at.pos)))


def _tokens(examples: Examples, positions: Sequence[int] | int) -> list[int]:
    given = [positions] if isinstance(positions, int) else list(positions)
    shortest = int(examples.lengths.min())
    for each in given:
        if type(each) is not int:
            raise OptionError(f"position {shown(each)} is no token", mend="give whole numbers")
        if not -shortest <= each < shortest:
            raise TokenError(
                f"position {each} is out of range: the shortest example has {shortest} tokens",
                mend="name tokens that every example has",
            )
    if not given:
        raise OptionError("no positions", mend="give one, or leave positions out")
    return given
