"""A sweep on the terminal: what is listed, what is left out, and that it fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from handmade_sweeps import some_effects, sweep_from

from residuum.apps.cli.path_view import readable
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


class Rough:
    def __str__(self) -> str:
        return "attribution patching: mean error 0.2 logits"


def test_predictions_are_said_to_be_none_but_that(capsys: pytest.CaptureFixture[str]) -> None:
    values = some_effects((2, 3)) + 9.0
    exact = sweep_from(values, ("layer", "head"), clusters=TEMPLATES)
    rough = replace(exact, approximation=Rough(), passes=3.0)
    assert {row[5] for row in table_of(exact, 100).rows} == {"shown"}
    table = table_of(rough, 100)
    assert {row[5] for row in table.rows} == {"predicted"}
    assert table.title.endswith("predicted, not measured")
    assert table.heads[1].heading == "predicted (logits)"
    show_sweep(exact)
    assert "predicted" not in capsys.readouterr().out
    show_sweep(rough)
    shown = " ".join(capsys.readouterr().out.split())
    assert "Of 6 cells 6 predicted at 5 %" in shown and "not of measured ones" in shown
    assert "the exact sweep" not in shown
    show_sweep(replace(rough, passes=4.0))
    shown = " ".join(capsys.readouterr().out.split())
    assert "the exact sweep takes 8 forward passes at most, this took 4" in shown


def test_ranked_neurons_are_counted_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    figure = sweep_from(some_effects((2, 200)), ("layer", "neuron"), site="mlp_act").figure()
    cut = fitted(figure)
    count = cut.matrix.shape[1]
    assert 3 < count < 12 and cut.title.endswith(f"(the {count} strongest of each row)")
    np.testing.assert_array_equal(cut.matrix, figure.matrix[:, :count])
    assert [list(line) for line in cut.cell_text] == [
        list(line)[:count] for line in figure.cell_text
    ]


def test_long_receivers_go_down_and_are_whole() -> None:
    labels = ["logits", "L3H3+4+7.q", "L3H3.q+L3H4.k+L3H7.v"]
    figure = HeatMap([[1.0, 2.0, 3.0]], row_labels=["L0H1"], col_labels=labels, x="r", y="s")
    turned, groups = readable(figure)
    assert turned.row_labels == ("logits", "L3H3+4+7.q", "group 1") and turned.y == "r"
    assert turned.matrix.tolist() == [[1.0], [2.0], [3.0]]
    assert groups == ["group 1: L3H3.q+L3H4.k+L3H7.v"]
    plain = replace(figure, values=[[1.0]], col_labels=["L3H3.q"])
    assert readable(plain) == (plain, [])
