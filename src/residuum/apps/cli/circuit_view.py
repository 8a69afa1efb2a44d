"""Circuits on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_facts, put_table, put_text, width
from residuum.apps.cli.sweep_view import digits_for, ends

if TYPE_CHECKING:
    from residuum.circuits import Circuit
    from residuum.figures import Table

LISTED = 12
"""Edges in the table."""

ROUNDING_FRAC = 1e-6
"""Scores of this share of the metric are none."""


def show_circuit(circuit: Circuit, listed: int = LISTED) -> None:
    """Write what a circuit is, its largest edges, and what to know before quoting them."""
    put_facts(_facts(circuit))
    print()
    put_table(edge_rows(circuit, listed))
    for warning in () if circuit.scores is None else circuit.scores.warnings:
        put_text(f"note: {warning}")
    nothing = _scoreless(circuit)
    if nothing:
        put_text(f"note: {nothing}")
    put_text(
        "A score is of one edge. That they carry the behaviour together: residuum circuit "
        "evaluate; better than random ones: residuum circuit trial."
    )


def _scoreless(circuit: Circuit) -> str:
    """What to say of kept edges whose score is rounding next to the metric, or 0."""
    if circuit.scores is None:
        return ""
    own = abs(circuit.scores.values[circuit.kept])
    sizes = [abs(each) for each in (circuit.scores.full, circuit.scores.empty) if each == each]
    least = ROUNDING_FRAC * max(sizes, default=0.0)
    idle = int((own <= least).sum())
    if not idle:
        return ""
    if idle == len(own):
        return "no edge of it has a score above rounding: nothing was found"
    return f"{idle:,} of its {len(own):,} edges have no score above rounding"


def _facts(circuit: Circuit) -> list[tuple[str, str]]:
    how, scores = circuit.selection, circuit.scores
    chosen = f", {how['how']} by {how['by']}" if {"how", "by"} <= set(how) else ""
    parts = [str(each) for each in circuit.nodes]
    heads = sum(".head_out" in each for each in parts)
    mlps = sum(".mlp_" in each for each in parts)
    facts = [
        ("circuit", f"{circuit.n_edges:,} of {circuit.graph.n_edges:,} edges "
         f"({100 * circuit.share:.2g} %){chosen}"),
        ("parts", f"{heads} heads, {mlps} MLPs"),
        ("outside", f"edges carry their {circuit.reference} value"),
    ]  # fmt: skip
    if circuit.graph.positions:
        facts.append(("positions", ", ".join(circuit.graph.positions)))
    if scores is not None:
        told = str(scores.method.get("name", "scores"))
        spent = f", {scores.passes:.1f} passes" if scores.passes else ""
        facts.append(("scored", f"by {told}, {scores.metric}{spent}"))
        if math.isfinite(scores.full):
            facts.append(("metric", f"{scores.full:.3g} with all edges, {_empty(scores.empty)}"))
    return facts


def _empty(value: float) -> str:
    return f"{value:.3g} with none" if math.isfinite(value) else "not run with none"


def edge_rows(circuit: Circuit, listed: int) -> Table:
    """The edges with the largest absolute scores."""
    from residuum.figures import Column, Table

    frame = circuit.to_dataframe().head(listed)
    at = ["position"] if circuit.graph.positions else []
    columns: list[Any] = [Column("from"), Column("to"), *(Column(name) for name in at)]
    rows = [[each["sender"], each["receiver"], *(each[name] for name in at)]
            for each in frame.to_dict("records")]  # fmt: skip
    more = circuit.n_edges - len(frame)
    caption = f"{more:,} more edges: --out FILE.csv lists all." if more > 0 else ""
    if circuit.scores is not None:
        digits = digits_for(max(map(abs, frame["score"].tolist()), default=0.0))
        columns.append(Column("score", _unit(circuit.scores.metric), digits=digits))
        scores = frame["score"].tolist()
        rows = [[*row, score] for row, score in zip(rows, scores, strict=True)]
        intervals = _intervals(circuit, frame["edge"].tolist(), frame["se"].tolist())
        if any(each is not None for each in intervals):
            columns.append(Column("95 %", align="right"))
            told = [None if each is None else ends(each, digits) for each in intervals]
            rows = [[*row, each] for row, each in zip(rows, told, strict=True)]
    return fitted(Table(columns, rows, title="Largest edges", caption=caption))


def _unit(metric: str) -> str:
    """The metric's unit; nothing of a metric that another tool named."""
    from residuum.runs import METRICS

    return METRICS[metric].unit if metric in METRICS else ""


def _intervals(
    circuit: Circuit, edges: Sequence[str], errors: Sequence[float]
) -> list[tuple[float, float] | None]:
    """Of each edge; from a file, where scores by pair are not kept, 1.96 standard errors."""
    scores = circuit.scores
    assert scores is not None
    if scores.examples is not None and len(scores.examples) > 1:
        found = {each.name: each.interval for each in scores.top(scores.graph.n_edges)}
        return [None if math.isnan(found[edge][0]) else found[edge] for edge in edges]
    values = [scores.score(edge) for edge in edges]
    return [
        None if math.isnan(error) else (value - 1.96 * error, value + 1.96 * error)
        for value, error in zip(values, errors, strict=True)
    ]


def fitted(table: Table, yields: Sequence[int] = ()) -> Table:
    """A table that fits: without units in its heads, then without the columns that yield.

    Args:
        yields: numbers of columns that are left out where there is no room, the first one first.
    """
    if _wide(table) > width():
        table = replace(table, columns=[replace(each, unit="") for each in table.heads])
    heads = list(table.heads)
    for at in yields:
        if _wide(table) > width():
            left = [i for i, head in enumerate(table.heads) if head is not heads[at]]
            kept = [[row[i] for i in left] for row in table.rows]
            table = replace(table, columns=[table.heads[i] for i in left], rows=kept)
    return table


def _wide(table: Table) -> int:
    """Columns of the terminal that a table takes."""
    from residuum.figures import terminal_table

    drawn = terminal_table(replace(table, title="", caption=""), width=400, colour=False)
    return max(map(len, drawn.splitlines()))
