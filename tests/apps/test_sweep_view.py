"""A sweep on the terminal: what is listed, what is left out, and that it fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from handmade_sweeps import some_effects, sweep_from

from residuum.apps.cli.sweep_view import MOST_ROWS, fitted, show_sweep, table_of
from residuum.figures import HeatMap, Panel, terminal_table

TEMPLATES = tuple(f"t{i % 12}" for i in range(24))


def wide_sweep():
    values = some_effects((14, 12, 5, 5))
    q, k = np.triu_indices(5, 1)
    values[..., q, k, :] = np.nan
    dims = ("layer", "head", "q_pos", "k_pos")
    sweep = sweep_from(values, dims, site="pattern", clusters=TEMPLATES)
    return replace(sweep, control=abs(sweep.effects) / 100)


def test_the_table_holds_what_top_says() -> None:
    sweep = sweep_from(some_effects((3, 4)), ("layer", "head"), clusters=TEMPLATES)
    table = table_of(sweep, room=100)
    headings = [column.heading for column in table.heads]
    assert headings == ["cell", "effect (logits)", "95 %", "share (%)", "p", "verdict"]
    for row, each in zip(table.rows, sweep.top(8), strict=True):
        assert row[0] == each.at and row[1] == each.effect and row[5] == each.verdict
        assert row[2] == f"{each.interval[0]:.2f} to {each.interval[1]:.2f}"
        assert row[3] == 100 * each.recovered_frac and float(row[4]) == float(f"{each.p:.2g}")


@pytest.mark.parametrize(
    ("room", "missing"),
    [(120, ()), (92, ("logits",)), (80, ("logits", "share")), (70, ("logits", "share", "control"))],
)
def test_a_wide_table_gives_up_columns(room: int, missing: tuple[str, ...]) -> None:
    table = table_of(wide_sweep(), room)
    headings = " ".join(column.heading for column in table.heads)
    assert [word for word in ("logits", "share", "control") if word not in headings] == list(
        missing
    )
    assert max(map(len, terminal_table(table, width=200).splitlines())) <= room
    assert ("Share:" in table.caption) == ("share" not in missing) and "logits" in table.caption


@pytest.mark.parametrize("columns", [80, 100])
def test_everything_fits(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show_sweep(replace(wide_sweep(), warnings=("not forked, so every cell took a whole pass",)))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    text = " ".join(shown.split())
    assert "smallest possible p 0.00049" in text and "undecided" in text
    assert "note: not forked" in text and "note: 12 templates, " in text
    assert "largest of 144 maps" in text


def test_small_effects_are_not_rounded_away() -> None:
    sweep = sweep_from(some_effects((2, 2)) / 1000, ("layer", "head"))
    table = table_of(sweep, 100)
    assert all(table.shown(row, 1).strip("-0.") for row in range(4))


def test_of_many_maps_and_rows_the_largest_are_shown() -> None:
    sweep = wide_sweep()
    panel = sweep.figure()
    assert isinstance(panel, Panel)
    best = fitted(panel)
    assert np.nanmax(np.abs(best.matrix)) == np.nanmax(np.abs(sweep.effects.values))
    many = sweep_from(some_effects((12, 12, 5)), ("layer", "head", "pos")).figure()
    cut = fitted(many)
    assert isinstance(cut, HeatMap) and len(cut.matrix) == MOST_ROWS
    assert f"the {MOST_ROWS} of 144 rows" in cut.title
    left_out = set(many.row_labels or ()) - set(cut.row_labels or ())
    largest = dict(zip(many.row_labels or (), np.abs(many.matrix).max(axis=1), strict=True))
    kept = [largest[label] for label in cut.row_labels or ()]
    assert max(largest[label] for label in left_out) <= min(kept)
    few = sweep_from(some_effects((3, 4)), ("layer", "head")).figure()
    assert fitted(few) is few
