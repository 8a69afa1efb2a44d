"""How sure a sweep is: intervals, joint p, verdicts, what the pairs can decide, denominators."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from handmade_sweeps import some_effects, sweep_from

import residuum as rz
from residuum.core import OptionError
from residuum.patching.results.statistics import denominator_warnings, statistics_of
from residuum.runs import bootstrap_mean_interval, sign_flip_max_t

TEMPLATES = tuple(f"t{i % 12}" for i in range(24))


def test_statistics_are_the_test_and_the_intervals_of_the_cells() -> None:
    values = some_effects((3, 4))
    sweep = sweep_from(values, ("layer", "head"), clusters=TEMPLATES)
    sure = sweep.statistics()
    test = sign_flip_max_t(values.reshape(12, 24).T, TEMPLATES)
    assert sure.p.dims == sure.verdict.dims == sure.low.dims == ("layer", "head")
    np.testing.assert_array_equal(sure.p.values.ravel(), test.p)
    assert sure.verdict.values.ravel().tolist() == test.verdicts.tolist()
    assert (sure.floor, sure.clusters, sure.needed, sure.cells) == (2 / 2**12, 12, 9, 12)
    assert sure.cluster == "template" and sure.exact and sure.flips == 2**11
    for cell in np.ndindex(3, 4):
        alone = bootstrap_mean_interval(values[cell].tolist(), clusters=TEMPLATES)
        assert (sure.low.values[cell], sure.high.values[cell]) == pytest.approx(alone)
    assert sweep.statistics() is sure and sweep.statistics(seed=1) is not sure
    assert {"shown", "not shown"} == set(sure.verdict.values.ravel())


def test_top_carries_interval_p_and_verdict() -> None:
    values = some_effects((3, 4))
    control = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("layer", "head"))
    sweep = sweep_from(values, ("layer", "head"), clusters=TEMPLATES, control=control)
    sure = sweep.statistics()
    for each in sweep.top(12):
        at = int(each.at[1]), int(each.at[-2])
        assert each.effect == sweep.effects.values[at]
        assert each.interval == (sure.low.values[at], sure.high.values[at])
        assert (each.p, each.verdict) == (sure.p.values[at], sure.verdict.values[at])
        assert each.control == control.values[at]
    assert np.isnan(sweep_from(values, ("layer", "head")).top(1)[0].control)


@pytest.mark.parametrize(
    ("clusters", "cluster", "unit", "said"),
    [
        ((), "template", "example", "carry no template labels"),
        (("",) * 24, "template", "example", "carry no template labels"),
        (("a",) * 24, "template", "example", "are all of one template"),
        (TEMPLATES, "example", "example", "pairs of the 12 templates are alike"),
        (TEMPLATES, "template", "template", ""),
    ],
)
def test_what_is_clustered(clusters: Any, cluster: Any, unit: str, said: str) -> None:
    sweep = sweep_from(some_effects((2, 2)), ("layer", "head"), clusters=clusters)
    sure = sweep.statistics(cluster)
    assert sure.cluster == unit and sure.clusters == (24 if unit == "example" else 12)
    told = [text for text in sure.warnings if "generality over templates" in text]
    assert len(told) == bool(said) and all(said in text for text in told)


def test_too_few_clusters_decide_nothing() -> None:
    values = some_effects((4, 4)) + 2.0
    four = sweep_from(values, ("layer", "head"), clusters=tuple("abcd") * 6).statistics()
    assert four.floor == 0.125 and set(four.verdict.values.ravel()) == {"undecided"}
    assert four.warnings == ("4 templates: no p lies below 0.12, so nothing can be shown",)
    eight = sweep_from(values, ("layer", "head"), clusters=tuple("abcdefgh") * 3).statistics()
    assert set(eight.verdict.values.ravel()) == {"shown", "undecided"}
    assert eight.warnings == (
        "8 templates, 10 needed to call one of 16 cells absent: what is not shown is undecided",
        "intervals from 8 templates are too narrow (below 20)",
    )
    plenty = sweep_from(values, ("layer", "head"), clusters=tuple(map(str, range(24))))
    assert plenty.statistics().warnings == ()


def test_rounding_is_no_effect_and_impossible_cells_have_none() -> None:
    values = some_effects((2, 3)) + 3.0
    values[0, 0] = 1e-7 * np.abs(values[0, 0])  # always of one sign, far below a logit's rounding
    values[1, 1] = np.nan
    sweep = sweep_from(values, ("layer", "pos"))
    sure = sweep.statistics()
    assert sure.noise == pytest.approx(8 * 2**-23 * 3)
    assert sure.p.values[0, 0] == 1.0 and sure.verdict.values[0, 0] == "not shown"
    assert sure.p.values[0, 1] < 0.01 and sure.verdict.values[0, 1] == "shown"
    assert np.isnan(sure.p.values[1, 1]) and sure.verdict.values[1, 1] == ""
    assert np.isnan(sure.low.values[1, 1]) and sure.cells == 5
    assert len(sweep.top(9)) == 5
    exact = sweep_from(values, ("layer", "pos")).provenance
    finer = sweep_from(values, ("layer", "pos"), provenance=type(exact)("m", dtype="float64"))
    assert finer.statistics().verdict.values[0, 0] == "shown"


def test_the_record_says_it_in_a_line() -> None:
    sure = sweep_from(some_effects((2, 2)), ("layer", "head"), clusters=TEMPLATES).statistics()
    assert sure.count("shown") + sure.count("not shown") == 4
    assert str(sure) == (
        f"of 4 cells {sure.count('shown')} shown, {sure.count('not shown')} not shown "
        "at 5 % over all together; sign flips of 12 templates, smallest possible p 0.00049"
    )
    data = json.loads(json.dumps(sure.to_json(), allow_nan=False))
    assert data["floor"] == 2 / 2**12 and np.shape(data["p"]) == (2, 2)
    assert data["verdict"] == sure.verdict.values.tolist()


def test_it_goes_into_tables_and_files(tmp_path: Path) -> None:
    values = some_effects((2, 3, 3))
    values[:, 0, 1:] = values[:, 1, 2] = np.nan
    sweep = sweep_from(values, ("layer", "q_pos", "k_pos"), site="pattern", kind="noise")
    frame = sweep.to_dataframe()
    names = ["effect", "recovered_frac", "low", "high", "p", "verdict"]
    assert list(frame.columns) == ["layer", "q_pos", "k_pos", *names]
    row = frame[(frame.layer == 1) & (frame.q_pos == 2) & (frame.k_pos == 1)].iloc[0]
    assert row.p == sweep.statistics().p.values[1, 2, 1]
    assert row.effect == pytest.approx(values[1, 2, 1].mean())
    controlled = sweep_from(
        values, ("layer", "q_pos", "k_pos"), control=sweep.effects.fillna(0.0)
    ).to_dataframe()
    assert list(controlled.columns)[-1] == "control"
    sweep.save(tmp_path / "sweep.json")
    data = json.loads((tmp_path / "sweep.json").read_text())
    assert data["kind"] == "noise" and data["coords"]["k_pos"] == [0, 1, 2]
    assert data["effects"][0][0][1] is None and data["statistics"]["p"][0][0][1] is None
    assert data["control"] is None and data["approximation"] is None
    sweep.save(tmp_path / "sweep.csv")
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert len(rows) == 18 and rows[1]["verdict"] == ""


def test_what_does_not_fit_is_refused() -> None:
    values = some_effects((2, 2))
    with pytest.raises(OptionError, match="unknown kind 'melt'"):
        sweep_from(values, ("layer", "head"), kind="melt")
    with pytest.raises(OptionError, match="3 cluster labels for 24"):
        sweep_from(values, ("layer", "head"), clusters=("a", "b", "c"))
    with pytest.raises(OptionError, match="control"):
        sweep_from(values, ("layer", "head"), control=xr.DataArray(np.zeros(2), dims="layer"))
    sweep = sweep_from(values, ("layer", "head"))
    with pytest.raises(OptionError, match="unknown cluster 'pair'"):
        sweep.statistics("pair")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="alpha=2"):
        sweep.statistics(alpha=2)
    with pytest.raises(OptionError, match="last dim is 'example'"):
        statistics_of(xr.DataArray(np.zeros((2, 3)), dims=("example", "layer")))
    with pytest.raises(OptionError, match="2 cluster labels for 24"):
        statistics_of(sweep.per_example, ("a", "b"))


def test_a_trained_models_heads_are_shown_by_template() -> None:
    model = rz.load("microworld", check=False)
    task = rz.task("ioi", model, n=24, seed=0)
    sweep = rz.patch(model, task, "z", ("layer", "head"))
    sure = sweep.statistics()
    assert sweep.clusters == task.templates and sure.clusters == len(set(task.templates)) == 8
    best = sweep.top(1)[0]
    assert best.verdict == "shown" and best.interval[0] > 0
    assert sure.count("undecided") > 0 and sure.count("not shown") == 0
    alone = sweep.statistics("example")
    assert alone.clusters == 24 and alone.count("undecided") == 0 and alone.count("not shown") > 0


# -- denominators --------------------------------------------------------------------------------


def test_a_clear_distance_has_no_warning() -> None:
    assert denominator_warnings(np.array([3.0, 2.0, 4.0]), np.array([0.0, -1.0, 1.5])) == ()
    assert denominator_warnings(np.array([0.1, 0.2]), np.array([2.0, 3.0])) == ()
    assert denominator_warnings(np.array([1.0]), np.array([0.0])) == ()


def test_a_distance_that_hardly_exists() -> None:
    same = np.array([0.5, 0.7, 0.9])
    for corrupt in (same, same + 0.01):
        assert denominator_warnings(same, corrupt) == (
            "clean and corrupt hardly differ under this metric: recovered_frac is unreliable",
        )
    assert denominator_warnings(np.zeros(3), np.zeros(3))


def test_a_distance_lost_in_its_own_spread() -> None:
    clean, corrupt = np.array([5.0, -4.0, 4.0, -3.0, 1.0]), np.zeros(5)
    spread, turned = denominator_warnings(clean, corrupt)
    assert "not clearly different from zero (0.6, 95 % interval -" in spread
    assert turned.startswith("2 of 5 pairs have clean and corrupt the other way round")


def test_templates_that_disagree_are_the_spread() -> None:
    """Ten alike pairs of each of three templates look sure one by one, and are not together."""
    clean, corrupt = np.repeat([4.0, 3.0, -1.0], 10), np.zeros(30)
    labels = [name for name in "abc" for _ in range(10)]
    assert len(denominator_warnings(clean, corrupt)) == 1
    spread, turned = denominator_warnings(clean, corrupt, labels)
    assert "not clearly different" in spread and turned.startswith("10 of 30 pairs have")
