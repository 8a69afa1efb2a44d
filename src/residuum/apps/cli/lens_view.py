"""Lens readings and attributions as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from residuum.apps.cli.console import width

if TYPE_CHECKING:
    from residuum.figures import Table
    from residuum.lenses import Contribution, LensReading, LogitAttribution

_WIDEST = 12


def reading_tables(reading: LensReading) -> list[Table]:
    """Layers by tokens, the last layer on top, as many tokens to a table as fit."""
    columns = [_column(reading, pos) for pos in range(len(reading.tokens))]
    left = max(map(len, reading.layers))
    blocks: list[list[list[str]]] = [[]]
    used = left
    for column in columns:
        wide = max(map(len, "\n".join(column).split("\n"))) + 2
        if used + wide > width() and blocks[-1]:
            blocks.append([])
            used = left
        blocks[-1].append(column)
        used += wide
    return [_table(reading, block) for block in blocks]


def _column(reading: LensReading, pos: int) -> list[str]:
    """Heading and cells of one token, top to bottom."""
    cells = [f"{pos} {_short(reading.tokens[pos])}"]
    for layer in reversed(range(len(reading.layers))):
        words = reading.top_words[layer][pos]
        shares = (100 * reading.top_probs[layer, pos]).tolist()
        cells.append("\n".join(f"{_short(w)} {p:.0f}" for w, p in zip(words, shares, strict=True)))
    return cells


def _short(word: str) -> str:
    from residuum.figures.tokens import visible

    text = visible(word.strip() or word)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _table(reading: LensReading, block: list[list[str]]) -> Table:
    from residuum.figures import Table

    layers = list(reversed(reading.layers))
    rows = [[layers[i], *(column[i + 1] for column in block)] for i in range(len(layers))]
    return Table(["", *(column[0] for column in block)], rows)


def tracked_table(reading: LensReading, words: list[str]) -> Table:
    """Probability of some words at the last token, by layer."""
    from residuum.figures import Column, Table

    rows = [
        [reading.layers[i], *(100 * reading.tracked_probs[i, -1]).tolist()]
        for i in reversed(range(len(reading.layers)))
    ]
    columns = [Column(word, "%", digits=2) for word in words]
    return Table(["", *columns], rows, title="Probability at the last token")


def attribution_tables(found: LogitAttribution, top: int) -> list[Table]:
    """Largest terms, sums by layer, what lies outside the blocks; neurons where asked for."""
    from residuum.figures import Column, Table

    interval = f"{100 * found.level:g} % interval"
    head = ["part", Column("logits", digits=3), interval]
    largest = Table(head, [_row(each) for each in found.top(top)], title="Largest terms")
    by_layer = found.by_layer().to_numpy().tolist()
    layers = [[f"L{int(layer)}", attention, mlp] for layer, attention, mlp in by_layer]
    outside = [term for term in found.terms if not term.startswith("L")]
    rest = [["outside the blocks", sum(found[term].logits for term in outside), float("nan")]]
    columns = ["", Column("attention", digits=3), Column("MLP", digits=3)]
    sums = Table(columns, [*layers, *rest], title="Sums by layer",
                 caption=f"Outside the blocks: {', '.join(outside)}.")  # fmt: skip
    if found.neurons is None:
        return [largest, sums]
    units = [_row(each) for each in found.top_neurons(top)]
    return [largest, sums, Table(head, units, title="Largest neurons")]


def _row(each: Contribution) -> list[str | float]:
    low, high = each.interval
    known = low == low
    return [each.at, each.logits, f"[{low:.3f}, {high:.3f}]" if known else "one prompt"]
