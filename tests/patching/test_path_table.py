"""The table of paths: strongest paths, intervals, figure, files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import residuum as rz
from residuum.core import Provenance
from residuum.patching.results.path_table import PathTable
from residuum.runs import bootstrap_mean_interval

SENDERS = ["embed", "L0.head_out[H0]", "L1.z[H3]", "L0.mlp_out"]
RECEIVERS = ["L0.mlp_in", "L1.q_in[H0]", "L1.q_in[H0] + L1.k_in[H1]", "logits"]


def table(examples: int = 8) -> PathTable:
    values = np.random.default_rng(0).normal(size=(4, 4, examples))
    values[2, :3] = np.nan
    values[3, 0] = np.nan
    values[1, 3] = -10 + np.arange(examples)
    values[0, 0] = 4.0
    coords = {"sender": SENDERS, "receiver": RECEIVERS}
    per_example = xr.DataArray(values, dims=("sender", "receiver", "example"), coords=coords)
    effects = per_example.mean("example", skipna=False)
    return PathTable(
        effects=effects,
        per_example=per_example,
        recovered_frac=effects / 5.0,
        clean=np.full(examples, 3.0),
        corrupt=np.full(examples, -2.0),
        metric="logit_diff",
        unit="logits",
        provenance=Provenance(model_id="m", weight_hash="w", tokenizer_hash="t"),
        clusters=tuple("aabbccdd"[:examples]),
        via=("L0.mlp_out",),
        warnings=("a warning",),
    )


def test_top_is_sorted_by_size_and_leaves_the_impossible_out() -> None:
    found = table().top(100)
    assert len(found) == 12
    assert (found[0].sender, found[0].receiver) == ("L0.head_out[H0]", "logits")
    assert found[0].effect == -6.5 and found[0].recovered_frac == -1.3
    assert (found[1].sender, found[1].receiver, found[1].effect) == ("embed", "L0.mlp_in", 4.0)
    sizes = [abs(path.effect) for path in found]
    assert sizes == sorted(sizes, reverse=True)
    assert table().top(0) == []
    with pytest.raises(rz.OptionError, match="n=-1"):
        table().top(-1)


def test_intervals_draw_whole_templates() -> None:
    values = [float(v) for v in -10 + np.arange(8)]
    by_template = bootstrap_mean_interval(values, seed=0, clusters="aabbccdd")
    by_pair = bootstrap_mean_interval(values, seed=0)
    assert table().top(1)[0].interval == pytest.approx(by_template)
    assert by_template != by_pair
    one = replace(table(), clusters=("a",) * 8)
    assert one.top(1)[0].interval == pytest.approx(by_pair)


def test_one_effect_under_any_name() -> None:
    t = table()
    assert t.effect("L0.z[H0]", "logits") == t.effect("L0.head_out[H0]", "logits") == -6.5
    assert t.effect("L1.head_out[H3]", "logits") == float(t.effects.values[2, 3])
    assert t.effect("embed", "L1.q_in[H0] + L1.k_in[H1]") == float(t.effects.values[0, 2])
    assert np.isnan(t.effect("L1.z[H3]", "L0.mlp_in"))
    with pytest.raises(rz.OptionError, match="no receiver"):
        t.effect("embed", "L5.mlp_in")


def test_the_figure_greys_what_is_impossible() -> None:
    figure = table().figure()
    assert np.isnan(figure.matrix).sum() == 4
    assert figure.scale == "diverging" and figure.colour_range() == (-6.5, 6.5)
    assert list(figure.row_labels or ()) == ["embed", "L0H0", "L1H3", "MLP0"]
    assert list(figure.col_labels or ()) == ["MLP0", "L1H0.q", "L1H0.q+L1H1.k", "logits"]
    assert "Grey" in figure.caption and "L0.mlp_out" in figure.caption


@pytest.mark.parametrize("suffix", [".html", ".svg", ".png", ".json", ".csv"])
def test_saving(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"paths{suffix}"
    table().save(path)
    assert path.stat().st_size > 500


def test_json_and_csv_hold_the_numbers(tmp_path: Path) -> None:
    table().save(tmp_path / "paths.json")
    data = json.loads((tmp_path / "paths.json").read_text())
    assert data["effects"][2][0] is None and data["effects"][0][0] == 4.0
    assert data["senders"] == SENDERS and data["receivers"] == RECEIVERS
    assert data["warnings"] == ["a warning"] and data["via"] == ["L0.mlp_out"]
    assert np.array(data["per_example"][1][3]).tolist() == (-10.0 + np.arange(8)).tolist()
    table().save(tmp_path / "paths.csv")
    rows = list(csv.DictReader((tmp_path / "paths.csv").open()))
    assert len(rows) == 12
    assert {"sender", "receiver", "effect", "recovered_frac", "low", "high", "p"} <= set(rows[0])
    strongest = max(rows, key=lambda row: abs(float(row["effect"])))
    assert (strongest["sender"], strongest["receiver"]) == ("L0.head_out[H0]", "logits")
    with pytest.raises(rz.OptionError, match=r"as '\.txt'"):
        table().save(tmp_path / "paths.txt")


def large_table() -> PathTable:
    rows = [f"L{layer}.head_out[H{h}]" for layer in range(6) for h in range(10)]
    columns = [f"L{layer}.{s}_in[H{h}]" for layer in range(4) for s in "qkv" for h in range(8)]
    coords = {"sender": rows, "receiver": columns}
    values = np.random.default_rng(1).normal(size=(60, 96, 2))
    values[59, 95], values[0, 0] = 40.0, -30.0
    each = xr.DataArray(values, coords, ("sender", "receiver", "example"))
    effects = each.mean("example")
    return replace(
        table(2), effects=effects, per_example=each, recovered_frac=effects, clusters=("a", "b")
    )


def test_a_large_table_draws_the_ends_with_the_largest_effects(tmp_path: Path) -> None:
    wide = large_table()
    figure = wide.figure()
    rows, columns = list(figure.row_labels or ()), list(figure.col_labels or ())
    assert (len(rows), len(columns)) == (50, 40) and len({*rows, *columns}) == 90
    assert max(map(len, [*rows, *columns])) <= 6
    assert rows[-1] == "L5H9" and columns[-1] == "L3H7.v"
    size = np.abs(wide.effects.values)
    kept = np.sort(np.argsort(-size.max(axis=0), kind="stable")[:40])
    senders = np.sort(np.argsort(-size.max(axis=1), kind="stable")[:50])
    np.testing.assert_array_equal(figure.matrix, wide.effects.values[np.ix_(senders, kept)])
    left = np.delete(size, kept, axis=1).max(), np.delete(size, senders, axis=0).max()
    told = "the 50 of 60 senders and the 40 of 96 receivers with the largest effects; none left"
    assert told in figure.caption and f"larger than {max(left):.2g}." in figure.caption
    whole = wide.figure(whole=True)
    np.testing.assert_array_equal(whole.matrix, wide.effects.values)
    assert "Drawn" not in whole.caption
    wide.save(tmp_path / "wide.png")


def test_effects_that_dwarf_the_rest_lie_beyond_the_colours() -> None:
    wide = large_table()
    figure = wide.figure()
    third = np.sort(np.abs(wide.effects.values), axis=None)[-3]
    assert figure.colour_range() == (-third, third)
    assert "L5H9 → L3H7.v: +40, L0H0 → L0H0.q: -30 logits, beyond the colours" in figure.caption
    even = replace(wide, effects=wide.effects.clip(-third, third))
    assert even.figure().colour_range() == pytest.approx((-third, third))
    assert "beyond" not in even.figure().caption


def test_the_caption_names_metric_largest_and_verdicts() -> None:
    caption = table().figure().caption
    assert "change of logit_diff" in caption and "Largest: L0H0 → logits: -6.5 logits." in caption
    assert "Of 12 paths 0 shown, 12 undecided at 5 %" in caption and "8 pairs" in caption


def test_text() -> None:
    text = repr(table())
    assert text.startswith("PathTable(4 senders × 4 receivers, logit_diff in logits, naive")
    assert "L0.head_out[H0] → logits -6.5" in text
