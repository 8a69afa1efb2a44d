"""Figures of sweeps: what lies where, what is grey, what is said; and addresses of cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from handmade_sweeps import some_effects, sweep_from

from residuum.core import Address, OptionError
from residuum.figures import HeatMap, Panel
from residuum.patching.results import figure as sweep_figure

WORDS = ["<bos>", "the", "cat", "saw", "the"]


def causal(values: np.ndarray) -> np.ndarray:
    """Effects ``[... q k example]`` with keys after the query impossible."""
    q, k = np.triu_indices(values.shape[-2], 1)
    values = values.copy()
    values[..., q, k, :] = np.nan
    return values


def test_one_and_two_axes() -> None:
    one = sweep_from(some_effects((3,)), ("layer",), site="mlp_out")
    figure = one.figure()
    assert figure.row_labels == ("L2", "L1", "L0") and figure.col_labels == ("all",)
    np.testing.assert_array_equal(figure.matrix[::-1, 0], one.effects.values)
    two = sweep_from(some_effects((2, 3)), ("layer", "head"))
    figure = two.figure()
    assert figure.row_labels == ("L1", "L0") and figure.col_labels == ("H0", "H1", "H2")
    np.testing.assert_array_equal(figure.matrix[::-1], two.effects.values)
    low, high = figure.colour_range()
    assert figure.scale == "diverging" and low == -high == -abs(two.effects.values).max()
    turned = sweep_from(some_effects((5, 2)), ("pos", "layer")).figure(labels=WORDS)
    assert turned.row_labels == tuple(WORDS) and turned.col_labels == ("L0", "L1")


@pytest.mark.parametrize("dims", [("layer", "head", "pos"), ("layer", "pos", "head")])
def test_three_axes_have_positions_across(dims: tuple[str, ...]) -> None:
    sizes = {"layer": 2, "head": 3, "pos": 5}
    sweep = sweep_from(some_effects(tuple(sizes[d] for d in dims)), dims)
    figure = sweep.figure(labels=WORDS)
    assert figure.row_labels == ("L1H2", "L1H1", "L1H0", "L0H2", "L0H1", "L0H0")
    assert figure.col_labels == tuple(WORDS)
    for row, (layer, head) in enumerate(np.ndindex(2, 3)):
        line = sweep.effects.sel(layer=layer, head=head)
        np.testing.assert_array_equal(figure.matrix[5 - row], line)


def test_queries_by_keys_are_small_maps_on_one_scale() -> None:
    dims = ("layer", "head", "q_pos", "k_pos")
    sweep = sweep_from(causal(some_effects((2, 3, 5, 5))), dims, site="pattern")
    panel = sweep.figure(labels=WORDS)
    assert isinstance(panel, Panel) and panel.columns == 3
    assert [each.title for each in panel.figures] == [
        "L0H0",
        "L0H1",
        "L0H2",
        "L1H0",
        "L1H1",
        "L1H2",
    ]
    top = np.nanmax(np.abs(sweep.effects.values))
    for each, (layer, head) in zip(panel.figures, np.ndindex(2, 3), strict=True):
        assert isinstance(each, HeatMap) and each.limits == (-top, top)
        np.testing.assert_array_equal(each.matrix, sweep.effects[layer, head])
        assert np.isnan(each.matrix[0, 1:]).all() and each.row_labels == tuple(WORDS)
    assert "Grey: impossible" in panel.caption and "Queries down" in panel.caption
    one = sweep_from(causal(some_effects((1, 5, 5))), ("layer", "pos", "k_pos"), site="pattern")
    alone = one.figure()
    assert isinstance(alone, HeatMap) and alone.title == "Patching pattern (L0): clean into corrupt"
    assert one.figure("Mine").title == "Mine"
    np.testing.assert_array_equal(alone.matrix, one.effects[0])


def test_few_maps_have_axes_and_colour_bars() -> None:
    dims = ("layer", "q_pos", "k_pos")
    for count, small in ((sweep_figure.FEW_MAPS, False), (sweep_figure.FEW_MAPS + 1, True)):
        panel = sweep_from(causal(some_effects((count, 5, 5))), dims, site="pattern").figure()
        assert isinstance(panel, Panel) and panel.thumbnails == small
        assert len(panel.figures) == count


def test_cells_without_effect_are_not_said_to_be_judged() -> None:
    values = some_effects((2, 2))
    values[0, 0] = 0.0
    few = sweep_from(values, ("layer", "head"), clusters=tuple(f"t{i % 5}" for i in range(24)))
    said = str(few.statistics())
    assert "0 shown, 1 without any effect, 3 undecided" in said and "not shown" not in said
    many = sweep_from(values, ("layer", "head"))
    assert "without any effect" not in str(many.statistics())
    assert " not shown" in str(many.statistics())


def test_of_many_maps_the_largest_are_drawn_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_figure, "MOST_MAPS", 2)
    values = np.full((4, 2, 2, 6), 0.1)
    values[3, 0, 0], values[1, 1, 0] = -5.0, 2.0
    panel = sweep_from(values, ("layer", "q_pos", "k_pos"), site="pattern").figure()
    assert [each.title for each in panel.figures] == ["L1", "L3"]
    assert panel.caption.startswith("The 2 of 4 maps with the largest effects.")


def test_many_neurons_are_ranked() -> None:
    values = some_effects((2, 200))
    sweep = sweep_from(values, ("layer", "neuron"), site="mlp_act", kind="zero")
    figure = sweep.figure()
    assert figure.matrix.shape == (2, sweep_figure.STRONGEST)
    for layer in range(2):
        line = sweep.effects.values[layer]
        order = sorted(range(200), key=lambda n: -abs(line[n]))[: sweep_figure.STRONGEST]
        assert list(figure.cell_text[1 - layer]) == [f"N{n}" for n in order]
        np.testing.assert_array_equal(figure.matrix[1 - layer], line[order])
    few = sweep_from(some_effects((2, 9)), ("layer", "neuron"), site="mlp_act").figure()
    assert few.matrix.shape == (2, 9) and few.col_labels[3] == "N3"
    placed = sweep_from(some_effects((1, 5, 80)), ("layer", "pos", "neuron"), site="mlp_act")
    rows = placed.figure(labels=WORDS).row_labels
    assert rows == tuple(f"L0@{i} {word}" for i, word in reversed(list(enumerate(WORDS))))


def test_chosen_indices_keep_their_numbers() -> None:
    sweep = sweep_from(some_effects((2, 2)), ("layer", "head"))
    some = {"layer": [3, 7], "head": [1, 5]}
    chosen = replace(
        sweep,
        effects=sweep.effects.assign_coords(some),
        per_example=sweep.per_example.assign_coords(some),
        recovered_frac=sweep.recovered_frac.assign_coords(some),
    )
    assert chosen.figure().row_labels == ("L7", "L3")
    assert {each.at for each in chosen.top(4)} == {f"L{i}.z[H{j}]" for i in (3, 7) for j in (1, 5)}
    assert set(chosen.to_dataframe()["layer"]) == {3, 7}


@pytest.mark.parametrize(
    ("kind", "title", "does_not_show"),
    [
        ("denoise", "clean into corrupt", "necessary"),
        ("noise", "corrupt into clean", "enough"),
        ("zero", "set to zero", "never see"),
        ("mean", "set to its mean", "mean keeps"),
        ("resample", "another prompt", "alike on the prompts drawn"),
        ("direction", "direction of z", "uses this direction"),
    ],
)
def test_the_texts_follow_what_was_written(kind: str, title: str, does_not_show: str) -> None:
    sweep = sweep_from(some_effects((2, 2)), ("layer", "head"), kind=kind)
    figure = sweep.figure()
    assert title in figure.title and does_not_show in figure.does_not_show
    ablation = kind not in ("denoise", "noise")
    assert ("Negative: lost" in figure.caption) == ablation
    assert f", {kind}, " in repr(sweep)
    assert "smallest possible p" in figure.caption and "24 pairs" in figure.caption
    assert sweep.figure("Mine").title == "Mine"


class Rough:
    def __str__(self) -> str:
        return "attribution patching: mean error 0.2 logits"

    def to_json(self) -> dict[str, Any]:
        return {"mean_error": 0.2}


def test_controls_and_approximations_are_said() -> None:
    effects = some_effects((2, 2))
    control = xr.DataArray([[0.1, 0.25], [0.0, 0.0]], dims=("layer", "head"))
    sweep = sweep_from(effects, ("layer", "head"), control=control, approximation=Rough())
    figure = sweep.figure()
    assert figure.title.endswith("approximated") and "mean error 0.2" in figure.caption
    assert "controls of the same size reach 0.25 logits" in figure.caption
    assert "largest control: 0.25" in repr(sweep) and "mean error 0.2" in repr(sweep)
    assert sweep.to_json()["approximation"] == {"mean_error": 0.2}
    assert sweep.to_json()["control"] == [[0.1, 0.25], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        (3, "labels=3 are no list of texts"),
        ("words", "labels='words' are no list of texts"),
        ([1, 2, 3, 4, 5], "are no list of texts"),
        (["a", "b"], "2 labels for 5 of pos"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: Any, what: str) -> None:
    for dims, shape in ((("layer", "pos"), (2, 5)), (("layer", "head", "pos"), (2, 2, 5))):
        with pytest.raises(OptionError, match=what):
            sweep_from(some_effects(shape), dims).figure(labels=labels)
    with pytest.raises(OptionError, match="2 labels for 3 of head"):
        sweep_from(some_effects((2, 3)), ("layer", "head")).figure(labels=["a", "b"])
    with pytest.raises(OptionError, match="title=3"):
        sweep_from(some_effects((2, 3)), ("layer", "head")).figure(3)  # type: ignore[arg-type]


def test_labels_of_heads_are_column_names() -> None:
    sweep = sweep_from(some_effects((2, 3)), ("layer", "head"))
    assert sweep.figure(labels=["a", "b", "c"]).col_labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("site", "cell", "at"),
    [
        ("z", {"layer": 9, "head": 6, "pos": 3}, "L9.z[H6]@3"),
        ("resid_post", {"pos": 3, "layer": 2}, "L2.resid_post@3"),
        ("mlp_act", {"layer": 3, "neuron": 512}, "L3.mlp_act[N512]"),
        ("expert_out", {"layer": 3, "expert": 1}, "L3.expert_out[E1]"),
        ("pattern", {"layer": 1, "head": 2, "q_pos": 5}, "L1.pattern[H2]@5"),
        ("pattern", {"layer": 1, "head": 2, "q_pos": 5, "k_pos": 2}, "L1.pattern[H2] 5<-2"),
        ("pattern", {"layer": 1, "k_pos": 2}, "L1.pattern *<-2"),
        ("resid_post", {"layer": 1, "direction": "past"}, "L1.resid_post direction past"),
    ],
)
def test_addresses(site: str, cell: dict[str, Any], at: str) -> None:
    sweep = sweep_from(some_effects((2, 2)), ("layer", "head"), site=site)
    assert sweep.address(cell) == at
    if " " not in at:
        assert str(Address.parse(at)) == at


def test_impossible_cells_are_never_on_top() -> None:
    values = causal(np.ones((1, 3, 3, 4)))
    sweep = sweep_from(values, ("layer", "q_pos", "k_pos"), site="pattern")
    found = [each.at for each in sweep.top(99)]
    assert len(found) == 6 and "L0.pattern 0<-1" not in found
    assert "L0.pattern 1<-0" in found


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_every_layout_is_drawn(suffix: str, tmp_path: Any) -> None:
    layouts = {
        ("layer",): (3,),
        ("layer", "head", "pos"): (2, 2, 5),
        ("layer", "neuron"): (2, 70),
        ("layer", "head", "q_pos", "k_pos"): (2, 2, 4, 4),
    }
    for dims, shape in layouts.items():
        values = some_effects(shape)
        values = causal(values) if "k_pos" in dims else values
        path = tmp_path / f"{len(shape)}{suffix}"
        sweep_from(values, dims).figure().save(path)
        assert path.stat().st_size > 1000
