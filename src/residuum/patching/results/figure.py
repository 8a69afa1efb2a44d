"""A sweep as heat maps: which axis goes where, labels, caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xarray as xr

from residuum.core import OptionError
from residuum.figures import HeatMap, Panel
from residuum.patching.results.kinds import coordinates, short_label
from residuum.patching.results.statistics import counted
from residuum.runs.arguments import shown

if TYPE_CHECKING:
    from residuum.patching.results.kinds import Kind
    from residuum.patching.results.statistics import SweepStatistics

MOST_NEURONS = 64
"""Above this many, only the strongest neurons of each row are drawn."""

STRONGEST = 12
"""Neurons drawn of each row."""

MOST_MAPS = 144
"""Query-by-key maps drawn at most; of more, those with the largest effects."""

RANKED = "neurons by the size of their effect"
"""Title of an axis of ranks, the strongest first."""

FEW_MAPS = 4
"""Query-by-key maps up to this many are drawn with their tokens and colour bars."""

_WIDEST_PANEL = 16
_PLACES = ("pos", "q_pos", "k_pos")
_JOINED = ("layer", "head", "neuron", "expert")


class Drawn(Protocol):
    """What a figure needs of a sweep."""

    @property
    def site(self) -> str:
        """Site name."""
        ...

    @property
    def effects(self) -> xr.DataArray:
        """Mean effects."""
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
    def words(self) -> Kind:
        """What was written."""
        ...

    @property
    def control(self) -> xr.DataArray | None:
        """Effects of random controls."""
        ...

    @property
    def approximation(self) -> Any:
        """Method and measured error."""
        ...

    def statistics(self) -> SweepStatistics:
        """How sure."""
        ...


def figure_of(
    sweep: Drawn, title: str = "", labels: Sequence[str] | None = None
) -> HeatMap | Panel:
    """The heat map of a sweep, or a panel of maps for queries by keys; see ``Sweep.figure``.

    Raises:
        OptionError: a title or labels that are no texts, or labels of another number.
    """
    if not isinstance(title, str):
        raise OptionError(f"title={shown(title)} is no text", mend="give a text")
    texts = _checked(labels)
    effects = sweep.effects
    dims = [str(dim) for dim in effects.dims]
    if "k_pos" in dims and ("q_pos" in dims or "pos" in dims):
        return _maps(sweep, title, texts)
    if "neuron" in dims and effects.sizes["neuron"] > MOST_NEURONS:
        return _strongest(sweep, title, texts)
    across = _across(dims)
    grid = effects if across is None else effects.transpose(..., across)
    down = [dim for dim in dims if dim != across]
    columns = ["all"] if across is None else _ticks(effects, across, texts)
    rows = _rows(effects, down, texts if across not in _PLACES else None)
    placed = next((dim for dim in dims if dim in _PLACES), None)
    if texts is not None and placed is None:
        columns = _fitting(texts, len(columns), across or "site")
    values, rows = _upwards(grid.values.reshape(len(rows), len(columns)), rows, down)
    return HeatMap(
        values,
        row_labels=rows,
        col_labels=columns,
        x=across or "",
        y=" × ".join(down),
        unit=sweep.unit,
        **_words(sweep, title),
    )


def _upwards(values: np.ndarray, rows: list[str], down: list[str]) -> tuple[np.ndarray, list[str]]:
    """The rows as drawn: the first layer at the bottom, as the stream goes up."""
    return (values[::-1], rows[::-1]) if down[:1] == ["layer"] else (values, rows)


def _across(dims: list[str]) -> str | None:
    """The axis that goes across."""
    if len(dims) == 1:
        return None
    if len(dims) == 2:
        return dims[1]
    return next((dim for dim in dims if dim in _PLACES), dims[-1])


def _maps(sweep: Drawn, title: str, labels: list[str] | None) -> HeatMap | Panel:
    """One map of queries by keys for each head, layer, …; one colour scale for all."""
    effects = sweep.effects
    query = "q_pos" if "q_pos" in effects.dims else "pos"
    others = [str(dim) for dim in effects.dims if dim not in (query, "k_pos")]
    grid = effects.transpose(*others, query, "k_pos")
    names = _rows(effects, others, None)
    values = grid.values.reshape(len(names), *grid.shape[-2:])
    size = np.nanmax(np.abs(np.nan_to_num(values)), axis=(1, 2))
    kept = np.sort(np.argsort(-size, kind="stable")[:MOST_MAPS])
    top = float(size.max()) or 1.0
    words = _words(sweep, title)
    first = f"The {MOST_MAPS} of {len(names)} maps with the largest effects. "
    words["caption"] = (first if len(kept) < len(names) else "") + words["caption"]
    words["caption"] += " Queries down, keys across."
    figures = [
        HeatMap(
            values[index],
            row_labels=_ticks(effects, query, labels),
            col_labels=_ticks(effects, "k_pos", labels),
            x="key",
            y="query",
            unit=sweep.unit,
            limits=(-top, top),
            title=names[index],
        )
        for index in kept
    ]
    if len(figures) == 1:
        words = {**words, "title": words["title"] if title else _default(sweep, names[0])}
        return HeatMap.from_json({**figures[0].to_json(), **words})
    if len(figures) <= FEW_MAPS:
        return Panel(figures, columns=min(2, len(figures)), thumbnails=False, **words)
    last = effects.sizes[others[-1]]
    wide = last if len(others) > 1 and last <= _WIDEST_PANEL and len(kept) == len(names) else 8
    return Panel(figures, columns=min(wide, len(figures)), **words)


def _strongest(sweep: Drawn, title: str, labels: list[str] | None) -> HeatMap:
    """The strongest neurons of each row, by rank, their numbers in the cells."""
    effects = sweep.effects
    down = [str(dim) for dim in effects.dims if dim != "neuron"]
    rows = _rows(effects, down, labels)
    values = effects.transpose(*down, "neuron").values.reshape(len(rows), -1)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :STRONGEST]  # NaN goes last
    names = np.array([short_label("neuron", at) for at in coordinates(effects, "neuron")])
    words = _words(sweep, title)
    words["caption"] = (
        f"The {STRONGEST} largest of {effects.sizes['neuron']} neurons in each row. "
        + words["caption"]
    )
    largest, labels_up = _upwards(np.take_along_axis(values, order, axis=1), rows, down)
    texts, _ = _upwards(names[order], rows, down)
    return HeatMap(
        largest,
        row_labels=labels_up,
        col_labels=[str(rank + 1) for rank in range(order.shape[1])],
        cell_text=texts.tolist(),
        x=RANKED,
        y=" × ".join(down),
        unit=sweep.unit,
        **words,
    )


def _words(sweep: Drawn, title: str) -> dict[str, Any]:
    """Title, caption and what is not shown."""
    words, effects = sweep.words, sweep.effects
    parts = [
        f"Mean change of {sweep.metric}, towards clean, when this cell alone {words.when} "
        f"({counted(len(sweep.clean), 'pair')})."
    ]
    if words.cut:
        parts.append("Negative: lost without it.")
    if np.isnan(effects.values).any():
        parts.append("Grey: impossible.")
    if sweep.approximation is not None:
        parts.append(f"Not exact: {sweep.approximation}.")
    if sweep.control is not None:
        largest = float(np.nanmax(np.abs(sweep.control.values), initial=0.0))
        parts.append(f"Random controls of the same size reach {largest:.2g} {sweep.unit}.")
    sure = str(sweep.statistics())
    parts.append(f"{sure[0].upper()}{sure[1:]}.")
    return {
        "title": title or _default(sweep),
        "caption": " ".join(parts),
        "does_not_show": words.does_not_show,
    }


def _default(sweep: Drawn, part: str = "") -> str:
    """The title where none is given; ``part`` is the one layer or head that was swept."""
    site = f"{sweep.site} ({part})" if part else sweep.site
    rough = ", approximated" if sweep.approximation is not None else ""
    return sweep.words.title.format(site=site) + rough


def _rows(effects: xr.DataArray, dims: list[str], labels: list[str] | None) -> list[str]:
    """Labels of the rows that several dims make together, such as ``L0H1``."""
    ticks = [
        _ticks(effects, dim, labels if dim in _PLACES else None, alone=len(dims) == 1)
        for dim in dims
    ]
    return ["".join(parts).strip() for parts in product(*ticks)]


def _ticks(
    effects: xr.DataArray, dim: str, labels: list[str] | None, alone: bool = True
) -> list[str]:
    at = coordinates(effects, dim)
    texts = [short_label(dim, each) for each in at]
    if labels is not None and dim in _PLACES:
        texts = _fitting(labels, len(at), dim)
    if alone:
        return texts
    if dim in _PLACES:  # the number too: a word may stand in several places
        words = texts if labels is not None else [""] * len(at)
        return [f"@{each} {word}".rstrip() for each, word in zip(at, words, strict=True)]
    return [f"{'' if dim in _JOINED else ' '}{text}" for text in texts]


def _fitting(labels: list[str], count: int, dim: str) -> list[str]:
    if len(labels) != count:
        raise OptionError(
            f"{counted(len(labels), 'label')} for {count} of {dim}",
            mend="give one text for each column",
            where="labels",
        )
    return labels


def _checked(labels: Any) -> list[str] | None:
    """The labels as a list of texts."""
    if labels is None:
        return None
    many = isinstance(labels, Sequence) and not isinstance(labels, (str, Mapping))
    if not many or not all(isinstance(label, str) for label in labels):
        raise OptionError(
            f"labels={shown(labels)} are no list of texts",
            mend="give one text for each column, such as model.to_str_tokens(prompt)",
        )
    return list(labels)
