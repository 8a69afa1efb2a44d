"""The cells of a sweep: which site, along which axes, which of them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from residuum.core import SITES, Address, AddressError, OptionError, TaskError
from residuum.runs.arguments import shown
from residuum.runs.model import Model
from residuum.runs.places import part_count
from residuum.runs.task import Task

BY = ("layer", "head", "neuron", "expert", "pos", "q_pos", "k_pos")
_PARTS = ("head", "neuron", "expert")
_PLACES = ("pos", "q_pos", "k_pos")


@dataclass(frozen=True)
class Cell:
    """One place that is written.

    Attributes:
        part: head, neuron or expert; None means all of them.
        pos: position (of a pattern: destination row); None means all of them.
        source: of a pattern: source column; None means all of them.
    """

    layer: int
    part: int | None = None
    pos: int | None = None
    source: int | None = None

    @property
    def impossible(self) -> bool:
        """Whether the cell lies in the future that no causal pattern reaches."""
        return self.pos is not None and self.source is not None and self.source > self.pos

    def address(self, site: str) -> Address:
        """The address of the cell, its source column left out."""
        return Address(site, self.layer, self.part, self.pos)


@dataclass(frozen=True)
class Grid:
    """The cells of a sweep.

    Attributes:
        site: site name.
        by: axes, in the order asked for.
        coords: the indices along each axis.
        causal: whether a pattern's future is impossible.
    """

    site: str
    by: tuple[str, ...]
    coords: tuple[tuple[int, ...], ...]
    causal: bool = True

    @property
    def sizes(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(len(each) for each in self.coords)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers swept."""
        return self.coords[self.by.index("layer")]

    def cells(self) -> Iterator[tuple[tuple[int, ...], Cell]]:
        """Index in the grid and place of each possible cell, in order."""
        for index in product(*(range(size) for size in self.sizes)):
            at = {axis: self.coords[i][index[i]] for i, axis in enumerate(self.by)}
            part = next((at[each] for each in _PARTS if each in at), None)
            pos = at.get("pos", at.get("q_pos"))
            cell = Cell(at["layer"], part, pos, at.get("k_pos"))
            if not (self.causal and cell.impossible):
                yield index, cell


def make_grid(
    model: Model,
    task: Task,
    site: str,
    by: tuple[str, ...],
    only: Mapping[str, int | Iterable[int]] | None = None,
) -> Grid:
    """The grid of a site along ``by``.

    Args:
        only: axis -> the index or indices to sweep, negative ones counted from the end; every
            index of the other axes.

    Raises:
        OptionError: axes that the site does not have; indices outside.
        AddressError: a site that the layers swept do not have.
        TaskError: positions of prompts of different lengths.
    """
    address = Address.parse(site)
    if address != Address(address.name) or address.name not in SITES or not address.site.layered:
        raise OptionError(
            f"cannot sweep {site!r}: a sweep takes a site that layers have, by name alone",
            mend="write it as 'z' or 'resid_post'; by says what to go through",
        )
    has = _axes_of(address.site.dims)
    twice = "pos" in by and "q_pos" in by
    if not set(by) <= set(has) or "layer" not in by or len(set(by)) != len(by) or twice:
        raise OptionError(
            f"cannot sweep {site} by {by!r}",
            mend=f"by starts with layer and may hold: {', '.join(has)}",
        )
    if set(by) & set(_PLACES) and task.attention_mask is not None:
        raise TaskError(
            "the prompts have different lengths, so positions do not line up",
            mend="sweep prompts of one length, or leave pos out of by",
        )
    wanted = _by_axis(only, by)
    parts = set(_PARTS) & set(by)
    sizes: dict[str, int] = dict.fromkeys(_PLACES, task.clean.shape[1])
    sizes["layer"] = model.n_layers
    for axis in parts:
        sizes[axis] = part_count(model.adapted, address)
    coords = tuple(_chosen(axis, sizes[axis], wanted) for axis in by)
    _refuse_absent(model, address.name, coords[by.index("layer")])
    return Grid(address.name, by, coords, model.adapted.parts.causal)


def _axes_of(dims: Sequence[str]) -> list[str]:
    """The axes that a site may be swept by, in the order of :data:`BY`."""
    units = {"d_mlp": "neuron", "q_pos": "pos"}
    has = {"layer", *dims, *(units[dim] for dim in dims if dim in units)}
    return [axis for axis in BY if axis in has]


def _by_axis(only: Any, by: tuple[str, ...]) -> Mapping[str, Any]:
    """The indices asked for by axis, each of them an axis of the sweep."""
    if only is None:
        return {}
    if not isinstance(only, Mapping):
        raise OptionError(
            f"only={shown(only)} names no axis",
            mend="give axes with their indices, such as only={'layer': [3, 4]}",
        )
    foreign = [str(axis) for axis in only if axis not in by]
    if foreign:
        raise OptionError(
            f"only names {', '.join(sorted(foreign))}, which the sweep does not go through",
            mend=f"axes are: {', '.join(by)}",
        )
    return only


def _chosen(axis: str, size: int, only: Mapping[str, Any]) -> tuple[int, ...]:
    """The indices of an axis that are swept."""
    if axis not in only:
        return tuple(range(size))
    asked = only[axis]
    one = _index(asked)
    if one is None and isinstance(asked, Iterable) and getattr(asked, "ndim", 1) == 1:
        given = list(asked)
    else:
        given = [asked]
    found = [_index(each) for each in given]
    wanted = [i % size for i in found if i is not None and -size <= i < size]
    if not wanted or len(wanted) != len(given) or len(set(wanted)) != len(wanted):
        known = [each if i is None else i for each, i in zip(given, found, strict=True)][:8]
        raise OptionError(
            f"only={{{axis!r}: {shown(known)}}} does not fit {size} indices",
            mend=f"give different whole numbers from 0 to {size - 1}, or from {-size} to -1 "
            "counted from the end",
        )
    return tuple(wanted)


def _index(value: Any) -> int | None:
    """A whole number of Python, NumPy or torch; None for anything else, True and False too."""
    if isinstance(value, bool) or getattr(value, "ndim", 0) != 0:
        return None
    if "bool" in str(getattr(value, "dtype", "")):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _refuse_absent(model: Model, site: str, layers: Sequence[int]) -> None:
    """Refuse a site that layers of this model do not have; unproven ones are refused later."""
    known = {*model.adapted.taps, *model.adapted.refused}
    have = {each.layer for each in known if each.name == site}
    absent = [layer for layer in layers if layer not in have]
    if not absent:
        return
    here = [layer for layer in range(model.n_layers) if layer in have]
    mixture = site.startswith("mlp_") and model.dims.n_experts > 0
    others = {each.name for each in model.sites if each.layer in absent}
    sites = sorted(name for name in others if set(SITES[name].dims) & {"d_model", "expert"})
    raise AddressError(
        f"layer {absent[0]} of this model has no {site}"
        + (": a mixture of experts has one for each expert, which is no site" if mixture else ""),
        mend=f"sweep the layers that have it: only={{'layer': {here}}}"
        if here
        else f"sweep another site, such as {', '.join(sites) or 'resid_post'}",
    )
