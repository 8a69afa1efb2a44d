"""The cells of a sweep: which site, along which axes, how many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from residuum.core import SITES, Address, OptionError, TaskError
from residuum.runs import Model, Task, part_count

BY = ("layer", "head", "pos")


@dataclass(frozen=True)
class Block:
    """Cells that are computed together: one layer, one position (or all), every head.

    Attributes:
        pos: None when the grid has no positions.
        parts: heads, None when the grid has none.
    """

    layer: int
    pos: int | None
    parts: tuple[int, ...] | None


@dataclass(frozen=True)
class Grid:
    """The cells of a sweep.

    Attributes:
        site: site name.
        by: axes, in the order asked for.
        sizes: cells along each.
    """

    site: str
    by: tuple[str, ...]
    sizes: tuple[int, ...]

    def size(self, axis: str) -> int | None:
        """Cells along an axis; None if the grid has no such axis."""
        return self.sizes[self.by.index(axis)] if axis in self.by else None

    def cells(self) -> Iterator[tuple[tuple[int, ...], Address]]:
        """Index and address of each cell, in order."""
        for index in product(*(range(size) for size in self.sizes)):
            at = dict(zip(self.by, index, strict=True))
            yield index, Address(self.site, at["layer"], at.get("head"), at.get("pos"))

    def blocks(self) -> Iterator[Block]:
        """All blocks, layer by layer."""
        heads, positions = self.size("head"), self.size("pos")
        parts = None if heads is None else tuple(range(heads))
        for layer in range(self.size("layer") or 0):
            for pos in [None] if positions is None else range(positions):
                yield Block(layer, pos, parts)

    def index(self, block: Block, part: int | None) -> tuple[int, ...]:
        """Where a cell of a block stands in the grid."""
        at = {"layer": block.layer, "pos": block.pos, "head": part}
        return tuple(int(at[axis] or 0) for axis in self.by)


def make_grid(model: Model, task: Task, site: str, by: tuple[str, ...]) -> Grid:
    """The grid of a site along ``by``.

    Raises:
        OptionError: axes that the site does not have.
        TaskError: positions of prompts of different lengths.
    """
    address = Address.parse(site)
    if address != Address(address.name) or address.name not in SITES or not address.site.layered:
        raise OptionError(
            f"cannot sweep {site!r}: a sweep takes a site that layers have, by name alone",
            mend="write it as 'z' or 'resid_post'; by says what to go through",
        )
    dims = address.site.dims
    has = {"layer": True, "head": "head" in dims, "pos": "pos" in dims or "q_pos" in dims}
    wrong = [axis for axis in by if not has.get(axis, False)]
    if wrong or "layer" not in by or len(set(by)) != len(by):
        can = ", ".join(axis for axis in BY if has[axis])
        raise OptionError(
            f"cannot sweep {site} by {by!r}", mend=f"by starts with layer and may hold: {can}"
        )
    if "pos" in by and task.attention_mask is not None:
        raise TaskError(
            "the prompts have different lengths, so positions do not line up",
            mend="sweep prompts of one length, or leave pos out of by",
        )
    sizes = {
        "layer": model.n_layers,
        "head": part_count(model.adapted, address) if "head" in by else 0,
        "pos": task.clean.shape[1],
    }
    return Grid(address.name, by, tuple(sizes[axis] for axis in by))
