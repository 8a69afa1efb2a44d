"""What a direction does as an edit: added, erased, or exchanged between two runs."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import Add, Address, AddressError, OptionError, Patch, ShapeError
from residuum.runs import shown

Unit = Literal["typical", "raw"]


def added(
    rows: Float[Tensor, "k d"], at: Address, scale: float, unit: str, typical_norm: float
) -> Add:
    """The edit that adds one vector.

    Raises:
        OptionError: several vectors; a unit that is none; no typical norm.
        EditError: a scale that is not finite.
    """
    if len(rows) > 1:
        raise OptionError(
            f"{len(rows)} vectors cannot be added as one",
            mend="take one of them, direction[0], or erase them all with erase_edit()",
        )
    if unit not in ("typical", "raw"):
        raise OptionError(f"unit={shown(unit)} is none", mend='"typical" or "raw"')
    if unit == "raw":
        return Add(at, rows[0].to(torch.float32), scale)
    if not math.isfinite(typical_norm):
        raise OptionError(
            "the direction was found without data, and has no typical norm",
            mend='give unit="raw", or find it with data: rz.direction(model, data, ...)',
        )
    return Add(at, (rows[0] / rows[0].norm() * typical_norm).to(torch.float32), scale)


def swapped(basis: Float[Tensor, "k d"], at: Address, own: Tensor, other: Tensor) -> Patch:
    """``x + P(x' - x)``: the other values along the directions, one's own in all else.

    Raises:
        ShapeError: values of different shape.
    """
    if own.shape != other.shape:
        raise ShapeError(
            f"the two runs have {list(own.shape)} and {list(other.shape)} at {at}",
            mend="swap between prompts of the same length, one for one",
        )
    moved = own.double() + (other.double() - own.double()) @ basis.T @ basis
    return Patch(at, moved.to(own.dtype))


def place_for(own: Address, asked: str | Address | None) -> Address:
    """Where an edit is written: the direction's own site, or the same site elsewhere.

    Raises:
        AddressError: another kind of site.
    """
    place = own if asked is None else Address.parse(asked)
    if (place.name, place.part is None) != (own.name, own.part is None):
        raise AddressError(
            f"the direction is of {own}, not of {place}",
            mend=f"give a {own.name} site; the position and the layer may differ",
        )
    return place
