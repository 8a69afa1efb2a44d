"""Pictures of a head table: types, scores and costs by layer and head, attention of all heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from residuum.core import OptionError, Provenance
from residuum.figures import Column, Heading, HeatMap, Panel, Paragraph, Table, page
from residuum.heads.head_rows import HeadRow
from residuum.heads.head_scores import HeadScore, RemovalCost
from residuum.heads.head_types import SHORT, TYPES

_ONE_SCALE = "A type is confirmed where removing the head changes what the model does."
_THUMBNAIL = 48
_MOST_THUMBNAILS = 256


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
    if view not in views:
        raise OptionError(f"there is no view {view!r:.40}", mend=f"use {', '.join(views)}")
    return views[view](table, title)


def type_map(table: Drawn, title: str = "") -> HeatMap:
    """Colour by type, dark where the type says more; its short name in the cell."""
    size = (table.n_layers, table.n_heads)
    values, texts = np.zeros(size), [[""] * table.n_heads for _ in range(table.n_layers)]
    for row in table.heads:
        best = row.types[0] if row.types else None
        if best is not None:
            sure = best.status == "confirmed"
            rank = len(TYPES) - TYPES.index(best.name)
            values[row.layer, row.head] = rank if sure else 0.4
            texts[row.layer][row.head] = SHORT[best.name] + ("" if sure else "?")
    present = {t.name for row in table.heads for t in row.types}
    key = ", ".join(f"{SHORT[name]} = {name}" for name in TYPES if name in present)
    return HeatMap(
        values,
        *_labels(table),
        title=title or f"What the heads of {table.provenance.model_id} do",
        x="head",
        y="layer",
        unit="type, 0 = none",
        scale="sequential",
        limits=(0, len(TYPES)),
        cell_text=texts,
        caption=f"{key}. {_ONE_SCALE} With ?: it attends so, and no effect was shown."
        if key
        else "No head has a type.",
        does_not_show="heads that matter only together, or on other text",
    )


def score_maps(table: Drawn, title: str = "") -> Panel:
    """One map for each detector, shares on one scale."""
    maps = [
        HeatMap(
            score.values,
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
            cost.values, *_labels(table), title=f"removed, on {name}", unit=cost.unit,
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
        caption="Large patterns are max-pooled.",
    )


def _named(row: HeadRow) -> str:
    name = f"L{row.layer}H{row.head}"
    return f"{name} {SHORT[row.type]}" if row.type else name


def _small(pattern: np.ndarray) -> np.ndarray:
    """Max-pooled to at most 48 by 48."""
    step = -(-len(pattern) // _THUMBNAIL)
    if step == 1:
        return pattern
    room = -len(pattern) % step
    padded = np.pad(pattern, ((0, room), (0, room)))
    size = len(padded) // step
    return padded.reshape(size, step, size, step).max((1, 3))


def _labels(table: Drawn) -> tuple[list[str], list[str]]:
    rows = [f"L{i}" for i in range(table.n_layers)]
    return rows, [f"H{i}" for i in range(table.n_heads)]


def typed_table(table: Drawn) -> Table:
    """The heads with a type, confirmed or not, with the scores that a reader asks for."""
    costs = list(table.costs.items())
    columns = [
        "head", "type", Column("prev", digits=2), Column("ind", digits=2), Column("dup", digits=2),
        Column("first", digits=2), Column("direct", "logits", digits=2), Column("OV", digits=2),
        *(Column(f"cost {_brief(name)}", cost.unit, digits=2) for name, cost in costs),
    ]  # fmt: skip
    rows = []
    for row in table.heads:
        if not row.types:
            continue
        keys = ("previous_token", "induction", "duplicate_token", "first_token", "direct")
        best = row.types[0]
        rows.append([
            f"L{row.layer}H{row.head}",
            best.name + {"confirmed": "", "attends only": " ?"}.get(best.status, " (untested)"),
            *(row.scores[key] for key in keys),
            float(table.ov_copying[row.layer, row.head]),
            *(row.costs[name] for name, _ in costs),
        ])  # fmt: skip
    return Table(columns, rows)


def _brief(name: str) -> str:
    return name if len(name) <= 8 else f"{name[:7]}…"


def page_of(table: Drawn) -> str:
    """Everything as one page."""
    parts = [
        type_map(table),
        Heading("Heads with a type"),
        Paragraph("? marks what attends so without an effect that was shown."),
        typed_table(table),
        *([cost_maps(table)] if table.costs else []),
        score_maps(table),
        thumbnails(table),
        *(Paragraph(note) for note in table.notes),
    ]
    return page(f"Heads of {table.provenance.model_id}", parts)
