"""A table of paths as a heat map: which ends are drawn, where the colours end, the caption."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import xarray as xr

from residuum.core import Address
from residuum.figures import HeatMap
from residuum.patching.results.statistics import SweepStatistics, counted

MOST_SENDERS = 50
"""Senders drawn at most; of more, those with the largest effects."""

MOST_RECEIVERS = 40
"""Receivers drawn at most: as many as have room for a label each."""

_ENOUGH = 50
"""Below this many cells the colours reach the largest effect in any case."""

_DWARFS = 2.0
"""Effects so many times the next largest lie beyond the colours, and are named."""

_NAMED = 4
_DOES_NOT_SHOW = (
    "what the sender does through other parts, nor that the path is needed: backups may exist."
)


class DrawnPaths(Protocol):
    """What a figure needs of a table of paths."""

    @property
    def effects(self) -> xr.DataArray:
        """Mean effects, ``[sender receiver]``."""
        ...

    @property
    def clean(self) -> np.ndarray:
        """The metric on the clean prompts."""
        ...

    @property
    def metric(self) -> str:
        """Its name."""
        ...

    @property
    def unit(self) -> str:
        """Its unit."""
        ...

    @property
    def via(self) -> tuple[str, ...]:
        """Components that may pass the change on."""
        ...

    @property
    def direction(self) -> str:
        """``"denoise"`` or ``"noise"``."""
        ...

    def statistics(self) -> SweepStatistics:
        """How sure."""
        ...


def path_map(table: DrawnPaths, title: str = "", *, whole: bool = False) -> HeatMap:
    """The heat map of a table of paths; see ``PathTable.figure``."""
    values = table.effects.values
    size = np.nan_to_num(np.abs(values))
    rows = _strongest(size.max(axis=1, initial=0.0), values.shape[0] if whole else MOST_SENDERS)
    cols = _strongest(size.max(axis=0, initial=0.0), values.shape[1] if whole else MOST_RECEIVERS)
    senders, receivers = (
        [short_end(str(name)) for name in table.effects.coords[dim].values]
        for dim in ("sender", "receiver")
    )
    limit = _limit(values)
    from_, into = ("clean", "corrupt") if table.direction == "denoise" else ("corrupt", "clean")
    sure = str(table.statistics()).replace(" cell", " path", 1)
    parts = [
        _left_out(size, rows, cols),
        f"Mean change of {table.metric}, towards clean, when this receiver alone reads what this "
        f"sender wrote on the {from_} prompt, everything between "
        + (f"but {', '.join(table.via)} " if table.via else "")
        + f"held ({counted(len(table.clean), 'pair')}).",
        "Grey: the sender does not lie before the receiver." if np.isnan(values).any() else "",
        _largest(table, limit),
        f"{sure[0].upper()}{sure[1:]}.",
    ]
    return HeatMap(
        values[np.ix_(rows, cols)],
        row_labels=[senders[i] for i in rows],
        col_labels=[receivers[i] for i in cols],
        x="receiver",
        y="sender",
        unit=table.unit,
        limits=None if limit is None else (-limit, limit),
        title=title or f"Path patching: {from_} into {into}",
        caption=" ".join(filter(None, parts)),
        does_not_show=_DOES_NOT_SHOW,
    )


def _strongest(size: np.ndarray, most: int) -> np.ndarray:
    """Indices of the largest, in the table's order."""
    return np.sort(np.argsort(-size, kind="stable")[:most])


def _left_out(size: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> str:
    """What is not drawn, and how large it is at most."""
    counts = [
        f"{len(kept)} of {counted(count, what)}"
        for kept, count, what in zip((rows, cols), size.shape, ("sender", "receiver"), strict=True)
        if len(kept) < count
    ]
    if not counts:
        return ""
    rest = size.copy()
    rest[np.ix_(rows, cols)] = 0.0
    return (
        f"Drawn: the {' and the '.join(counts)} with the largest effects; none left out is larger "
        f"than {rest.max():.2g}."
    )


def _limit(values: np.ndarray) -> float | None:
    """Where the colours end: at the largest effect, or below a few that are twice the next one."""
    size = -np.sort(-np.abs(values[np.isfinite(values)]))
    if len(size) < _ENOUGH:
        return None
    gaps = size[:_NAMED] >= _DWARFS * size[1 : _NAMED + 1]
    limit = float(size[np.flatnonzero(gaps)[-1] + 1]) if gaps.any() else 0.0
    return limit or None


def _largest(table: DrawnPaths, limit: float | None) -> str:
    """The largest effect, and those beyond the colours."""
    size = np.nan_to_num(np.abs(table.effects.values))
    if not size.any():
        return "Every effect is zero."
    senders, receivers = (table.effects.coords[dim].values for dim in ("sender", "receiver"))
    order = np.argsort(-size, axis=None, kind="stable")[: _NAMED if limit else 1]
    named = [
        f"{short_end(str(senders[row]))} → {short_end(str(receivers[col]))}: "
        f"{table.effects.values[row, col]:+.3g}"
        for row, col in zip(*np.unravel_index(order, size.shape), strict=True)
        if size[row, col] > (limit or 0)
    ]
    told = f"Largest: {', '.join(named)} {table.unit}"
    if limit is None:
        return f"{told}."
    return f"{told}, beyond the colours, which end at the next, ±{limit:.3g}."


def short_end(name: str) -> str:
    """A sender or receiver as a tick.

    >>> short_end("L2.q_in[H1]"), short_end("L2.mlp_in"), short_end("L0.z[H1]")
    ('L2H1.q', 'MLP2', 'L0H1')
    >>> short_end("L2.q_in[H1] + L2.q_in[H3]"), short_end("L2.q_in[H1] + L3.k_in[H0]")
    ('L2H1+3.q', 'L2H1.q+L3H0.k')
    """
    each = [Address.parse(part) for part in name.split(" + ")]
    kinds = {(address.layer, address.name) for address in each}
    if len(each) > 1 and (len(kinds) > 1 or any(address.part is None for address in each)):
        return "+".join(short_end(part) for part in name.split(" + "))
    address = each[0]
    if address.part is not None:
        slot = f".{address.name[0]}" if address.name.endswith("_in") else ""
        return f"L{address.layer}H{'+'.join(str(one.part) for one in each)}{slot}"
    return name if address.layer is None else f"MLP{address.layer}"
