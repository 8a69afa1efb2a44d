"""Pictures of a head table: types, scores and costs by layer and head, attention of all heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from residuum.core import OptionError, Provenance
from residuum.figures import Column, Heading, HeatMap, Panel, Paragraph, Table, page
from residuum.heads.head_rows import HeadRow
from residuum.heads.head_scores import HeadScore, RemovalCost
from residuum.heads.head_types import SHORT, TYPES, score_of_type

_WHEN = (
    "A type is confirmed where removing the head costs something (first-token, previous-token, "
    "duplicate-token and copy suppression: changes the loss either way)."
)
_SEVERAL = (
    "A + says that the head has more types: its cell shows the first, confirmed ones before others "
    "and then as in the key; the tables list them all."
)
_THUMBNAIL = 64
_MOST_THUMBNAILS = 256


HOW_TO_READ = (
    "score: the share of attention that the type rests on (for copy suppression on repeats: "
    "logits); null: the same by chance. writes: logits that the head itself adds to the right "
    "token. cost, low, high: what is lost when the head is removed; positive where the model needs "
    "it, negative where it does better without: first-token, previous-token, duplicate-token and "
    "copy suppression are confirmed by a change either way. ?: it attends so, and no effect or no "
    "copying was shown."
)


class Drawn(Protocol):
    """What is drawn of a head table."""

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        ...

    @property
    def n_heads(self) -> int:
        """Number of heads in a layer."""
        ...

    @property
    def heads(self) -> Sequence[HeadRow]:
        """All heads, layer by layer."""
        ...

    @property
    def scores(self) -> Mapping[str, HeadScore]:
        """Detector -> numbers."""
        ...

    @property
    def costs(self) -> Mapping[str, RemovalCost]:
        """Prompts -> what removal costs."""
        ...

    @property
    def ov_copying(self) -> np.ndarray:
        """``[layer head]``."""
        ...

    @property
    def example(self) -> np.ndarray:
        """``[layer head q_pos k_pos]``."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Where it comes from."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader must know."""
        ...


def figure_of(table: Drawn, view: str, title: str) -> HeatMap | Panel:
    """The picture asked for.

    Raises:
        OptionError: no such view; costs of a table without.
    """
    views = {"types": type_map, "scores": score_maps, "costs": cost_maps, "attention": thumbnails}
    if not isinstance(view, str) or view not in views:
        raise OptionError(f"there is no view {view!r:.40}", mend=f"use {', '.join(views)}")
    return views[view](table, title)


def type_map(table: Drawn, title: str = "") -> HeatMap:
    """A colour for each type, hatched where nothing was confirmed; its short name in the cell."""
    size = (table.n_layers, table.n_heads)
    values, unsure = np.zeros(size, dtype=int), np.zeros(size, dtype=bool)
    texts = [[""] * table.n_heads for _ in range(table.n_layers)]
    for row in table.heads:
        best = row.types[0] if row.types else None
        if best is not None:
            at = (row.layer, row.head)
            values[at], unsure[at] = 1 + TYPES.index(best.name), best.status != "confirmed"
            texts[row.layer][row.head] = SHORT[best.name] + ("?" if unsure[at] else "")
            texts[row.layer][row.head] += "+" if len(row.types) > 1 else ""
    return HeatMap(
        values[::-1],
        *_labels(table),
        title=title or f"What the heads of {table.provenance.model_id} do",
        x="head",
        y="layer",
        scale="categorical",
        categories=("none", *TYPES),
        unsure=unsure[::-1],
        unsure_name="not confirmed",
        cell_text=texts[::-1],
        caption=f"{_WHEN} With ?: it attends so, and no effect was shown. {_SEVERAL}"
        if values.any()
        else "No head has a type.",
        does_not_show="heads that matter only together, or on other text",
    )


def score_maps(table: Drawn, title: str = "") -> Panel:
    """One map for each detector, shares on one scale."""
    maps = [
        HeatMap(
            score.values[::-1],
            *_labels(table),
            title=name,
            unit=score.unit,
            scale="diverging" if score.unit == "logits" else "sequential",
            limits=(0.0, 1.0) if score.unit == "share" else None,
            caption=f"{score.about}; null: {score.null_about}",
        )
        for name, score in table.scores.items()
    ]
    return Panel(maps, columns=3, title=title or "Detectors")


def cost_maps(table: Drawn, title: str = "") -> Panel:
    """One map for each kind of prompts; positive (blue) where the model needs the head."""
    if not table.costs:
        raise OptionError(
            "this table has no removal costs", mend="run detect_heads with removal='mean'"
        )
    maps = [
        HeatMap(
            cost.values[::-1], *_labels(table), title=f"removed, on {name}", unit=cost.unit,
            x="head", y="layer", caption="positive: the model needs the head",
        )
        for name, cost in table.costs.items()
    ]  # fmt: skip
    return Panel(maps, columns=2, thumbnails=False, title=title or "What removing a head costs")


def thumbnails(table: Drawn, title: str = "") -> Panel:
    """Attention of every head on one random repeat."""
    maps = [
        HeatMap(
            _small(table.example[row.layer, row.head].astype(np.float32)),
            title=_named(row),
            unit="attention",
            scale="sequential",
            limits=(0.0, 1.0),
            x="key",
            y="query",
        )
        for row in table.heads[:_MOST_THUMBNAILS]
    ]
    return Panel(
        maps,
        columns=min(table.n_heads, 12),
        title=title or "Attention of all heads on one random repeat",
        caption="Patterns are max-pooled." if table.example.shape[-1] > _THUMBNAIL else "",
    )


def _named(row: HeadRow) -> str:
    name = _name(row)
    return f"{name} {SHORT[row.type]}" if row.type else name


def _small(pattern: np.ndarray) -> np.ndarray:
    """Max-pooled to at most 64 by 64."""
    step = -(-len(pattern) // _THUMBNAIL)
    if step == 1:
        return pattern
    room = -len(pattern) % step
    padded = np.pad(pattern, ((0, room), (0, room)))
    size = len(padded) // step
    return padded.reshape(size, step, size, step).max((1, 3))


def _labels(table: Drawn) -> tuple[list[str], list[str]]:
    """Rows from the last layer down to the first, as in sweeps and lenses; columns by head."""
    rows = [f"L{i}" for i in reversed(range(table.n_layers))]
    return rows, [f"H{i}" for i in range(table.n_heads)]


_MARKS = {"confirmed": "", "attends only": "?", "not tested": " (untested)"}
_TITLES = {"repeats": "On repeats of random tokens", "text": "On the given texts"}


def type_tables(table: Drawn, *, everything: bool = False) -> list[Table]:
    """For each kind of prompts the heads that have a type on them, and what it rests on.

    Args:
        everything: also the heads without a type, beside those on random repeats.
    """
    kinds = ["repeats", *(["text"] if "text.induction" in table.scores else [])]
    kinds += sorted({each.on for row in table.heads for each in row.types} - set(kinds))
    found = [_typed_on(table, on, everything and on == "repeats") for on in kinds]
    return [each for each in found if each.rows]


def _typed_on(table: Drawn, on: str, everything: bool) -> Table:
    columns = ["head", "type", *(Column(name, digits=2) for name in ("score", "null", "writes"))]
    cost = table.costs.get(on)
    if cost is not None:
        columns += [Column("cost", cost.unit, digits=2), Column("low", digits=2),
                    Column("high", digits=2)]  # fmt: skip
    direct = table.scores[_direct_on(on)].values
    rows = []
    for row in table.heads:
        at = (row.layer, row.head)
        ends = [] if cost is None else [float(x[at]) for x in (cost.values, cost.low, cost.high)]
        mine = [each for each in row.types if each.on == on]
        for each in mine:
            score = table.scores[score_of_type(each)]
            numbers = [float(x[at]) for x in (score.values, score.null, direct)]
            rows.append([_name(row), each.name + _MARKS[each.status], *numbers, *ends])
        if everything and not row.types:
            rows.append([_name(row), "", None, None, float(direct[at]), *ends])
    return Table(columns, rows, title=_TITLES.get(on, f"On the task {on}"))


def _name(row: HeadRow) -> str:
    return f"L{row.layer}H{row.head}"


def _direct_on(on: str) -> str:
    return {"repeats": "direct", "text": "text.direct"}.get(on, "task_direct")


def page_of(table: Drawn) -> str:
    """Everything as one page."""
    parts = [
        type_map(table),
        Heading("Heads with a type"),
        Paragraph(HOW_TO_READ),
        *type_tables(table),
        *([cost_maps(table)] if table.costs else []),
        score_maps(table),
        thumbnails(table),
        *(Paragraph(note) for note in table.notes),
    ]
    return page(f"Heads of {table.provenance.model_id}", parts)
