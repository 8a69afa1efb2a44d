import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from residuum.core.errors import LoadError, OptionError, ShapeError
from residuum.figures import (
    Bars,
    Column,
    HeatMap,
    Lines,
    Panel,
    Series,
    Table,
    TokenStrip,
    figure_from_json,
    load_figure,
)

VALUE = st.one_of(st.floats(-1e30, 1e30), st.just(float("nan")))
MATRIX = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=VALUE
)


def through_json(figure):
    return figure_from_json(json.loads(json.dumps(figure.to_json(), allow_nan=False)))


def test_json_round_trip_of_every_kind(figure):
    again = through_json(figure)
    assert again == figure
    assert type(again) is type(figure)
    assert hash(again) == hash(figure)


@settings(max_examples=40, deadline=None)
@given(MATRIX, st.text(max_size=8), st.sampled_from(["diverging", "sequential"]))
def test_heatmap_round_trip_is_exact(values, title, scale):
    figure = HeatMap(values, title=title, scale=scale, row_labels=[title] * values.shape[0])
    again = through_json(figure)
    np.testing.assert_array_equal(again.matrix, values)
    assert again == figure


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5),
                                   st.floats(allow_nan=False, allow_infinity=False)),
                         min_size=2, max_size=2), max_size=4))  # fmt: skip
def test_table_round_trip(rows):
    figure = Table([Column("a", "x", "right", 2), "b"], rows)
    assert through_json(figure) == figure
    assert through_json(figure).rows == tuple(map(tuple, rows))


@settings(max_examples=25, deadline=None)
@given(st.lists(VALUE, min_size=1, max_size=6))
def test_lines_bars_tokens_round_trip(values):
    names = [f"n{i}" for i in range(len(values))]
    for figure in (
        Bars(names, values, order="magnitude"),
        TokenStrip(names, values, ids=range(len(values))),
        Lines(np.arange(len(values)), [Series("s", values, values, values)]),
    ):
        assert through_json(figure) == figure


def test_saved_json_is_read_back(figure, tmp_path):
    assert load_figure(figure.save(tmp_path / "figure.json")) == figure


def test_two_different_figures_are_not_equal():
    assert HeatMap([[1.0]]) != HeatMap([[2.0]])
    assert HeatMap([[1.0]]) != Bars(["a"], [1.0])


def test_values_are_copied_and_frozen():
    values = np.ones((2, 2))
    figure = HeatMap(values)
    values[0, 0] = 7
    assert figure.matrix[0, 0] == 1
    with pytest.raises(ValueError):
        figure.matrix[0, 0] = 7
    with pytest.raises(FrozenInstanceError):
        figure.title = "x"


def test_bars_rank_with_nan_last():
    bars = Bars(["a", "b", "c", "d"], [1.0, float("nan"), -3.0, 2.0])
    assert bars.ranked() == (3, 0, 2, 1)
    assert Bars(bars.names, bars.values, order="magnitude").ranked() == (2, 3, 0, 1)
    assert Bars(bars.names, bars.values, order="given").ranked() == (0, 1, 2, 3)


def test_colour_range():
    nan = float("nan")
    assert HeatMap([[1.0, -3.0]]).colour_range() == (-3.0, 3.0)
    assert HeatMap([[1.0, 3.0]], scale="sequential").colour_range() == (1.0, 3.0)
    assert HeatMap([[1.0, 3.0]], limits=(0, 9)).colour_range() == (0.0, 9.0)
    assert HeatMap([[nan]]).colour_range() == (-1.0, 1.0)
    assert HeatMap([[0.0]]).colour_range() == (-1.0, 1.0)
    assert HeatMap([[nan]], scale="sequential").colour_range() == (0.0, 1.0)
    assert HeatMap([[2.0]], scale="sequential").colour_range() == (2.0, 3.0)


ERRORS = [
    (lambda: HeatMap([1.0]), ShapeError, "must have 2 axes, got shape (1,)", "reshape"),
    (lambda: HeatMap([[1.0], [1.0, 2.0]]), ShapeError, "not a 2-D array of numbers", "rectangular"),
    (lambda: HeatMap([[float("inf")]]), ShapeError, "infinite values", "NaN"),
    (lambda: HeatMap([[1e39]]), ShapeError, "beyond float32", "NaN"),
    (lambda: HeatMap(np.zeros((0, 3))), ShapeError, "empty, shape (0, 3)", "at least one row"),
    (lambda: HeatMap([[1.0]], row_labels=["a", "b"]), ShapeError, "2 entries for 1", "pass 1"),
    (lambda: HeatMap([[1.0]], cell_text=[["a"], ["b"]]), ShapeError, "2 rows for 1", "1 rows of 1"),
    (lambda: HeatMap([[1.0]], scale="rainbow"), OptionError, "'rainbow'", "diverging, sequential"),
    (lambda: HeatMap([[1.0]], limits=(1, 0)), OptionError, "low before high", "(low, high)"),
    (lambda: Lines([0, 1], [Series("s", [1.0])]), ShapeError, "1 values for 2 xs", "NaN"),
    (lambda: Lines([1, 0], [Series("s", [1.0, 2.0])]), ShapeError, "must ascend", "sort"),
    (lambda: Lines([0, 1], []), ShapeError, "nothing to draw", "one series"),
    (lambda: Lines([0], [Series("s", [1])], x_scale="log"), OptionError, "begins at 0", "linear"),
    (lambda: Lines([1], [Series("s", [0])], y_scale="log"), OptionError, "not above 0", "linear"),
    (lambda: Series("s", [1.0], lo=[1.0]), OptionError, "one end", "both lo and hi"),
    (lambda: Series("s", [1.0], [1.0, 2.0], [1.0, 2.0]), ShapeError, "a band of 2", "each y"),
    (lambda: Bars(["a"], [1.0, 2.0]), ShapeError, "1 entries for 2", "pass 2"),
    (lambda: Bars(["a"], [1.0], lo=[0.0]), OptionError, "one end", "both lo and hi"),
    (lambda: Bars([], []), ShapeError, "nothing to draw", "at least one"),
    (lambda: Bars(["a"], [1.0], order="up"), OptionError, "'up'", "value, magnitude, given"),
    (lambda: TokenStrip([]), ShapeError, "no tokens", "at least one"),
    (lambda: TokenStrip(["a"], ids=[1, 2]), ShapeError, "2 entries for 1 tokens", "one of ids"),
    (lambda: Table([], []), ShapeError, "no columns", "at least one"),
    (lambda: Table(["a"], [[1, 2]]), ShapeError, "row 0 has 2 cells for 1", "one cell per column"),
    (lambda: Table(["a"], [[object()]]), OptionError, "cannot hold object", "pass text"),
    (lambda: Column("a", align="middle"), OptionError, "'middle'", "left, right, center"),
    (lambda: Panel([]), ShapeError, "no figures", "at least one"),
    (lambda: Panel([Panel([HeatMap([[1.0]])])]), OptionError, "cannot hold Panel", "HeatMap"),
    (lambda: Panel([HeatMap([[1.0]])], columns=0), OptionError, "got 0", "1 or more"),
    (lambda: HeatMap.from_json({"kind": "bars"}), OptionError, "kind 'bars'", "figure_from_json"),
    (lambda: figure_from_json({"kind": "pie"}), OptionError, "kind of figure 'pie'", "heatmap"),
    (lambda: figure_from_json({"kind": "heatmap"}), OptionError, "lacks its field 'values'", "add"),
    (
        lambda: figure_from_json({"kind": "heatmap", "values": [[1]], "colour": 1}),
        OptionError, "has no field 'colour'", "use only title, caption",
    ),
    (
        lambda: Lines.from_json({"kind": "lines", "xs": [0], "series": [{"name": "s", "z": 1}]}),
        OptionError, "Series has no field 'z'", "use only name, y",
    ),
    (lambda: HeatMap([[1.0]]).save("x.pdf"), OptionError, "as .pdf", ".html, .svg, .png, .json"),
    (lambda: HeatMap([[1.0]]).save("x"), OptionError, "a file without suffix", ".html"),
    (lambda: load_figure("/nowhere.json"), LoadError, "cannot read a figure", "figure.save"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "what", "mend"), ERRORS)
def test_error_texts(make, error, what, mend):
    with pytest.raises(error) as caught:
        make()
    assert what in caught.value.what
    assert mend in caught.value.mend
    assert "\n" not in caught.value.what + caught.value.mend
