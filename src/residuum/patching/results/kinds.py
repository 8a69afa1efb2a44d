"""What a sweep wrote into its cells, in words; and the address of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from residuum.core import Address

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Kind:
    """One kind of sweep, in words.

    Attributes:
        title: of its figure, with ``{site}``.
        when: what was done to a cell, after "when this cell alone".
        does_not_show: what a reader might wrongly take from it.
        cut: whether the effect is what the clean run loses (an ablation).
    """

    title: str
    when: str
    does_not_show: str
    cut: bool = False


KINDS: dict[str, Kind] = {
    "denoise": Kind(
        "Patching {site}: clean into corrupt",
        "takes its value from the clean prompt",
        "that the cell is necessary: backups may exist.",
    ),
    "noise": Kind(
        "Patching {site}: corrupt into clean",
        "takes its value from the corrupt prompt",
        "that the cell is enough by itself; and where a backup takes over, what it does is missed.",
    ),
    "zero": Kind(
        "Ablating {site}: set to zero",
        "is set to zero on the clean prompt",
        "what the cell is for: zero is a value that the model may never see, and harm may come "
        "from that; where a backup takes over, what the cell does is missed.",
        cut=True,
    ),
    "mean": Kind(
        "Ablating {site}: set to its mean",
        "is set to its mean over reference prompts, on the clean prompt",
        "what the cell does alike on every reference prompt: its mean keeps that; where a backup "
        "takes over, what it does is missed.",
        cut=True,
    ),
    "resample": Kind(
        "Ablating {site}: taken from another prompt",
        "takes its value from another prompt, on the clean prompt",
        "what the cell does alike on the prompts drawn; where a backup takes over, what it does is "
        "missed.",
        cut=True,
    ),
    "direction": Kind(
        "Ablating a direction of {site}",
        "loses this direction on the clean prompt",
        "that the model uses this direction as such: taking out a random one of the same size may "
        "harm as much, see the control.",
        cut=True,
    ),
}
"""Kinds of sweeps, by name."""

_LETTERS = {"head": "H", "neuron": "N", "expert": "E"}


def coordinates(effects: xr.DataArray, dim: str) -> list[Any]:
    """The coordinates along a dim as plain values; 0, 1, 2, … where it has none."""
    if dim in effects.coords:
        return effects.coords[dim].values.tolist()
    return list(range(effects.sizes[dim]))


def short_label(dim: str, at: Any) -> str:
    """A coordinate as a tick: ``L3``, ``H2``, ``N512``, ``E1``, a position's number, or a name."""
    letter = {"layer": "L", **_LETTERS}.get(dim, "")
    return f"{letter}{at}"


def short_address(address: str) -> str:
    """An address without its site, as a tick: ``L0H1``, ``L3N512``, ``L2@5``.

    >>> short_address("L0.z[H1]"), short_address("L3.mlp_act[N512]@5"), short_address("L2.mlp_out")
    ('L0H1', 'L3N512@5', 'L2')
    """
    at = Address.parse(address)
    layer, _, rest = address.partition(".")
    if at.layer is None:
        return address
    part = rest[rest.find("[") + 1 : rest.find("]")] if "[" in rest else ""
    place = address[address.rfind("@") :] if "@" in rest else ""
    return f"{layer}{part}{place}"


def cell_address(site: str, cell: Mapping[str, Any]) -> str:
    """The address of a cell, or the nearest to one where an address cannot say it.

    Args:
        site: site name.
        cell: dim -> coordinate.

    >>> cell_address("z", {"layer": 2, "head": 3, "pos": 5})
    'L2.z[H3]@5'
    >>> cell_address("mlp_act", {"layer": 3, "neuron": 512})
    'L3.mlp_act[N512]'
    >>> cell_address("pattern", {"layer": 1, "head": 2, "q_pos": 5, "k_pos": 2})
    'L1.pattern[H2] 5<-2'
    """
    layer = f"L{cell['layer']}." if "layer" in cell else ""
    part = next((f"[{_LETTERS[dim]}{cell[dim]}]" for dim in _LETTERS if dim in cell), "")
    place = ""
    if "k_pos" in cell:
        to = cell.get("q_pos", cell.get("pos", "*"))
        place = f" {to}<-{cell['k_pos']}"
    elif "pos" in cell or "q_pos" in cell:
        place = f"@{cell.get('pos', cell.get('q_pos'))}"
    known = {"layer", *_LETTERS, "pos", "q_pos", "k_pos"}
    others = "".join(f" {dim} {at}" for dim, at in cell.items() if dim not in known)
    return f"{layer}{site}{part}{place}{others}"
