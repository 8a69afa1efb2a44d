"""A circuit as a picture: layers from bottom to top, heads side by side, MLPs at the right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import parts_of
from residuum.circuits.graph.selection import ordered
from residuum.core import Address, OptionError
from residuum.figures import Box, LayeredGraph, Link, Measured

MOST_LINKS = 2000
"""Edges that a page holds; of more, those chosen first."""

MOST_SHOWN = 150
"""Edges drawn at first, and on paper: of more nothing can be seen."""

_PORTS = {"q_in": -0.9, "k_in": 0.0, "v_in": 0.9}
_NOT_SHOWN = "that these edges carry the behaviour: that is for evaluation and trial to say."


class Scored(Protocol):
    """Scores of edges, as the picture reads them."""

    @property
    def values(self) -> np.ndarray:
        """``[edge]``."""
        ...

    @property
    def metric(self) -> str:
        """Its name."""
        ...


class Drawn(Protocol):
    """A circuit, as the picture reads it."""

    @property
    def graph(self) -> Graph:
        """Its graph."""
        ...

    @property
    def kept(self) -> np.ndarray:
        """``[edge]``."""
        ...

    @property
    def selection(self) -> Mapping[str, Any]:
        """How its edges were chosen."""
        ...

    @property
    def reference(self) -> str:
        """What an edge outside carries."""
        ...

    @property
    def model_name(self) -> str:
        """Of its model."""
        ...


def circuit_picture(
    circuit: Drawn, scores: Scored | None, measured: Measured | None, title: str, shown: int | None
) -> LayeredGraph:
    """The picture of a circuit with edges.

    Args:
        circuit: with one edge or more.
        scores: by which edges are wide and coloured, or None.
        measured: faithfulness at several sizes, drawn beside.
        title: of the figure; empty for one that says model and size.
        shown: edges drawn at first; None for all, but no more than can be told apart.
    """
    graph = circuit.graph
    order = joining_order(graph, circuit.kept, scores, circuit.selection)
    drawn = order[:MOST_LINKS]
    parts = _drawn_parts(graph, drawn)
    rows, labels = _rows(parts)
    places = _places(graph, drawn, scores)
    boxes = [
        Box(
            str(part),
            _label(part) + places.get(part, ""),
            rows[_level(part)],
            int(part.name.startswith("mlp_")),
        )
        for part in parts
    ]
    number = {part: index for index, part in enumerate(parts)}
    links = [each for edge in drawn.tolist() for each in _links(graph, edge, number, scores)]
    first = min(shown or len(drawn), len(drawn)) if shown else min(len(drawn), MOST_SHOWN)
    return LayeredGraph(
        boxes,
        links,
        labels,
        shown=_links_of(graph, drawn[:first], number),
        total=graph.n_edges,
        unit="" if scores is None else scores.metric,
        measured=measured,
        title=title or f"Circuit of {_edges(len(order))} in {circuit.model_name or 'a model'}",
        caption=_caption(circuit, scores, len(order), first),
        does_not_show=_NOT_SHOWN,
    )


def joining_order(
    graph: Graph, kept: np.ndarray, scores: Scored | None, selection: Mapping[str, Any]
) -> np.ndarray:
    """Numbers of the kept edges, in the order in which the selection took them.

    Without scores, or where they were not taken by score, by absolute score or as they stand.
    """
    edges = np.flatnonzero(kept)
    if scores is None:
        return edges
    if selection.get("how") in ("top", "greedy"):
        how, by = selection["how"], selection["by"]
        found = ordered(graph, scores.values, int(selection["asked"]), how=how, by=by)
        found = found[kept[found]]
        if len(found) == len(edges):
            return found
    return edges[np.argsort(-np.abs(scores.values[edges]), kind="stable")]


def measured_at(faithfulness: Any) -> Measured | None:
    """Faithfulness at several sizes, from ``{size: value or (value, low, high)}``.

    Raises:
        OptionError: it is no mapping from numbers of edges, or values of two kinds.
    """
    if not faithfulness:
        return None
    mend = "give {50: 0.8, 100: 0.95}, or {50: (0.8, 0.7, 0.9)} with the ends of an interval"
    try:
        rows = sorted((float(size), np.ravel(value)) for size, value in faithfulness.items())
        table = np.array([row for _, row in rows], dtype=np.float64)
    except (AttributeError, TypeError, ValueError) as error:
        raise OptionError(f"faithfulness is no value for each size: {error}", mend=mend) from error
    if table.shape[1] not in (1, 3) or not np.isfinite(table[:, 0]).all():
        raise OptionError("faithfulness is no finite value for each size", mend=mend)
    ends = (table[:, 1], table[:, 2]) if table.shape[1] == 3 else (None, None)
    return Measured("faithfulness", [size for size, _ in rows], table[:, 0], *ends)


def _edges(n: int) -> str:
    return f"{n:,} edge{'s' * (n != 1)}"


def _places(graph: Graph, drawn: np.ndarray, scores: Scored | None) -> dict[Address, str]:
    """At which position each part's edges are read, its largest one's first: `` @end +2``."""
    if not graph.positions:
        return {}
    if scores is not None:
        drawn = drawn[np.argsort(-np.abs(scores.values[drawn]), kind="stable")]
    found: dict[Address, list[str]] = {}
    for edge in drawn.tolist():
        sender, _, place = graph.edges[edge].tolist()
        found.setdefault(graph.senders[sender], []).append(graph.positions[place])
    told = {part: list(dict.fromkeys(names)) for part, names in found.items()}
    return {
        part: f" @{names[0]}" + f" +{len(names) - 1}" * (len(names) > 1)
        for part, names in told.items()
    }


def _drawn_parts(graph: Graph, drawn: np.ndarray) -> list[Address]:
    """Parts at an end of these edges, in forward order, a layer's heads together."""
    found: set[Address] = set()
    for edge in drawn.tolist():
        sender, receiver = graph.edges[edge, :2]
        found |= {graph.senders[sender], *parts_of(graph.receivers[receiver], graph.group)}
    return [part for part in graph.parts if part in found]


def _level(part: Address) -> float:
    """Embedding below all, heads of a layer at it, its MLP half a layer above, logits on top."""
    if not isinstance(part.layer, int):
        return -1.0 if part.name == "embed" else float("inf")
    return part.layer + 0.5 * part.name.startswith("mlp_")


def _rows(parts: list[Address]) -> tuple[dict[float, int], list[str]]:
    """Row of each level that has a part, and the rows' labels."""
    levels = sorted({_level(part) for part in parts})
    single = {_level(part) for part in parts if part.part is not None}
    named = [
        f"L{int(each)}" if 0 <= each < float("inf") and each in single else "" for each in levels
    ]
    return {level: row for row, level in enumerate(levels)}, named


def _label(part: Address) -> str:
    if part.name == "head_out":
        return f"H{part.part}"
    if part.name.startswith("mlp_"):
        return (
            f"MLP{part.layer}"
            if part.part is None
            else f"{'F' if part.dictionary else 'N'}{part.part}"
        )
    return part.name


def _links(
    graph: Graph, edge: int, number: Mapping[Address, int], scores: Scored | None
) -> list[Link]:
    sender, receiver, *place = graph.edges[edge].tolist()
    reads = graph.receivers[receiver]
    note = reads.name.removesuffix("_in") if reads.name in _PORTS else ""
    at = f"@{graph.positions[place[0]]}" if place else ""
    value = None if scores is None else float(scores.values[edge])
    return [
        Link(
            number[graph.senders[sender]],
            number[part],
            value,
            _PORTS.get(reads.name, 0.0),
            " ".join(each for each in (note, at) if each),
        )
        for part in parts_of(reads, graph.group)
    ]


def _by_position(circuit: Drawn) -> str:
    """How many of its edges are read at each position, most first."""
    counts = np.bincount(circuit.graph.edges[circuit.kept, 2])
    order = [at for at in np.argsort(-counts, kind="stable").tolist() if counts[at]]
    return ", ".join(f"{circuit.graph.positions[at]} {counts[at]:,}" for at in order)


def _links_of(graph: Graph, edges: np.ndarray, number: Mapping[Address, int]) -> int:
    return sum(len(_links(graph, edge, number, None)) for edge in edges.tolist())


def _caption(circuit: Drawn, scores: Scored | None, n: int, first: int) -> str:
    told = [
        "Layers from bottom to top; queries arrive at the left of a head, keys in the middle,"
        " values at the right."
    ]
    if scores is None:
        told.append("The edges have no scores.")
    else:
        told.append(
            "Width: absolute score. Blue supports the clean behaviour, orange and dashed"
            f" works against it. Outside it edges carry their {circuit.reference} value."
        )
    how = circuit.selection
    if {"how", "by"} <= set(how) and scores is not None:
        told.append(f"Chosen {how['how']} by {how['by']} score.")
    if circuit.graph.positions:
        told.append(
            "@: the position at which a part's largest edge is read, and how many others there "
            f"are. Edges by position: {_by_position(circuit)}."
        )
    if n > first:
        told.append(f"Drawn at first: {first:,} of its {n:,} edges, those chosen first.")
    if n > MOST_LINKS:
        told.append(f"The picture holds the first {MOST_LINKS:,}.")
    if circuit.graph.group > 1:
        told.append(
            f"A key/value head is drawn at each of the {circuit.graph.group} heads that share it."
        )
    return " ".join(told)
