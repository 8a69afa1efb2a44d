"""Patching sweeps: their laws, and equality with a loop written by hand."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.models import Batch
from residuum.runs import METRICS

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import id_task, model

FIRST = 2
"""Position at which clean and corrupt differ first."""

COLUMNS = ("effect", "recovered_frac", "low", "high", "p", "verdict")


class Listener:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def start(self, stage: str, total: int) -> None:
        self.heard.append((stage, total))

    def advance(self, steps: int = 1) -> None:
        self.heard.append(steps)

    def finish(self) -> None:
        self.heard.append("end")


def logit_diff(logits: torch.Tensor, task: rz.Task) -> np.ndarray:
    rows = torch.arange(len(task))
    last = logits[rows, task.lengths - 1].double()
    return (last[rows, task.answers[:, 0]] - last[rows, task.wrong[:, 0]]).numpy()


GRIDS = [
    ("z", ("layer", "head")),
    ("z", ("layer", "head", "pos")),
    ("resid_post", ("layer", "pos")),
    ("mlp_out", ("layer",)),
    ("v", ("layer", "head")),
    ("pattern", ("layer", "head")),
    ("blocks.*.attn.hook_z", ("pos", "layer")),
]


@pytest.mark.parametrize("engine", ["forked", "naive"])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize(("sites", "by"), GRIDS, ids=str)
def test_a_sweep_equals_the_loop_by_hand(
    name: str, sites: str, by: tuple[str, ...], direction: str, engine: str
) -> None:
    if sites.startswith("blocks"):
        with pytest.raises(rz.OptionError, match="by name alone"):
            rz.patch(model(name), id_task(), sites, by)
        sites = "hook_z"
    task = id_task()
    sweep = rz.patch(model(name), task, sites, by, direction=direction, engine=engine)
    assert sweep.effects.dims == by and sweep.per_example.dims == (*by, "example")
    site = rz.Address.parse(sites).name
    source, target = (task.clean, task.corrupt)
    if direction == "noise":
        source, target = target, source
    donor = model(name).run(source, capture=site)
    base = logit_diff(model(name).run(target).logits, task)
    clean, corrupt = (
        logit_diff(model(name).run(i).logits, task) for i in (task.clean, task.corrupt)
    )
    for index in np.ndindex(sweep.effects.shape):
        cell = dict(zip(by, index, strict=True))
        value = donor[site, cell["layer"]].clone()
        own = model(name).run(target, capture=site)[site, cell["layer"]].clone()
        where: list[Any] = [slice(None)] * own.ndim
        dims = rz.Address(site).site.dims
        if "head" in cell:
            where[dims.index("head")] = cell["head"]
        if "pos" in cell:
            where[dims.index("pos")] = cell["pos"]
        own[tuple(where)] = value[tuple(where)]
        run = model(name).run(target, edits=rz.Patch((site, cell["layer"]), own))
        expected = logit_diff(run.logits, task) - base
        np.testing.assert_allclose(sweep.per_example.values[index], expected, atol=1e-4)
    np.testing.assert_allclose(sweep.effects, sweep.per_example.mean("example"))
    share = sweep.effects / (clean.mean() - corrupt.mean())
    share = share if direction == "denoise" else 1 + share
    np.testing.assert_allclose(sweep.recovered_frac, share, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(sweep.clean, clean, atol=1e-5)
    np.testing.assert_allclose(sweep.corrupt, corrupt, atol=1e-5)
    assert sweep.passes + sweep.passes_saved == pytest.approx(sweep.effects.size + 2)
    assert sweep.engine == engine and sweep.unit == "logits"


@pytest.mark.parametrize("name", ["gpt2", "gptj", "mixtral"])
def test_clean_into_clean_does_nothing(name: str) -> None:
    task = id_task()
    donor = model(name).run(task.clean, capture=["z", "resid_post", "mlp_out"])
    base = model(name).run(task.clean)
    for site in ("L0.z[H1]", "L1.resid_post@3", "L2.mlp_out"):
        run = model(name).run(task.clean, edits=rz.Patch(site, donor))
        torch.testing.assert_close(run.logits, base.logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("engine", ["forked", "naive"])
@pytest.mark.parametrize("side", ["clean", "corrupt"])
def test_a_null_control_has_no_effect(side: str, engine: Any) -> None:
    ids = getattr(id_task(), side)
    same = id_task(clean=ids, corrupt=ids)
    assert "null control" in same.describe()
    for site, by in (("z", ("layer", "head", "pos")), ("resid_post", ("layer", "pos"))):
        sweep = rz.patch(model(), same, site, by, engine=engine)
        assert np.abs(sweep.effects.values).max() < 1e-5
        assert np.isnan(sweep.recovered_frac.values).all() and "hardly differ" in sweep.warnings[0]


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "gptj"])
def test_the_whole_first_stream_recovers_everything(name: str, direction: str) -> None:
    sweep = rz.patch(model(name), id_task(), "resid_pre", ("layer",), direction=direction)
    whole = 1.0 if direction == "denoise" else 0.0
    assert sweep.recovered_frac[0] == pytest.approx(whole, abs=1e-4)
    np.testing.assert_allclose(sweep.recovered_frac, whole, atol=1e-3)


@pytest.mark.parametrize("site", ["resid_pre", "attn_out", "mlp_act"])
def test_cells_before_the_first_difference_are_zero(site: str) -> None:
    sweep = rz.patch(model(), id_task(), site, ("layer", "pos"))
    np.testing.assert_allclose(sweep.effects[:, :FIRST], 0.0, atol=1e-5)
    assert abs(sweep.effects.values[:, FIRST:]).max() > 1e-3
    first = rz.patch(model(), id_task(), "resid_pre", ("layer", "pos")).effects[0]
    np.testing.assert_allclose(np.delete(first.values, FIRST), 0.0, atol=1e-5)


def test_noise_and_denoise_are_two_sides_of_one_cut() -> None:
    """At the first stream, clean at one place in corrupt is corrupt at all others in clean."""
    task = id_task()
    denoise = rz.patch(model(), task, "resid_pre", ("layer", "pos"))
    noise = rz.patch(model(), task.swap(answers=False), "resid_pre", ("layer", "pos"))
    again = rz.patch(model(), task, "resid_pre", ("layer", "pos"), direction="noise")
    np.testing.assert_allclose(noise.effects, again.effects, atol=1e-5)
    total = denoise.clean.mean() - denoise.corrupt.mean()
    at = denoise.effects.values[0, FIRST]
    assert at == pytest.approx(total, abs=1e-4)
    assert again.effects.values[0, FIRST] == pytest.approx(-total, abs=1e-4)
    for layer in range(3):
        others = model().run(task.corrupt, capture="resid_pre")
        keep = [rz.Patch(f"L{layer}.resid_pre@{p}", others) for p in range(6) if p != 4]
        run = model().run(task.clean, edits=keep)
        one = denoise.per_example.values[layer, 4] + denoise.corrupt
        np.testing.assert_allclose(logit_diff(run.logits, task), one, atol=1e-4)


def test_the_order_of_the_pairs_does_not_matter() -> None:
    task, order = id_task(), [2, 0, 3, 1]
    one = rz.patch(model(), task, "z", ("layer", "head"))
    two = rz.patch(model(), task.subset(order), "z", ("layer", "head"))
    np.testing.assert_allclose(one.effects, two.effects, atol=1e-5)
    np.testing.assert_allclose(one.per_example.values[..., order], two.per_example, atol=1e-5)
    alone = [rz.patch(model(), task[i], "z", ("layer", "head")).effects for i in range(4)]
    np.testing.assert_allclose(np.mean(alone, axis=0), one.effects, atol=1e-4)


def test_ragged_prompts_are_as_each_alone() -> None:
    task = id_task(lengths=[6, 4, 5, 6])
    sweep = rz.patch(model(), task, "z", ("layer", "head"))
    for i in range(4):
        alone = rz.patch(model(), task[i], "z", ("layer", "head"))
        np.testing.assert_allclose(sweep.per_example[..., i], alone.per_example[..., 0], atol=1e-4)


@pytest.mark.parametrize("metric", ["prob", "prob_diff", "loss_nats", "accuracy"])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_effects_of_every_metric_are_signed_towards_clean(metric: str, direction: str) -> None:
    task = id_task()
    sweep = rz.patch(model(), task, "resid_pre", ("layer",), metric=metric, direction=direction)
    clean, corrupt = (
        METRICS[metric](model().run(ids).last.double(), task).numpy()
        for ids in (task.clean, task.corrupt)
    )
    sign = -1 if metric == "loss_nats" else 1
    towards = 1 if direction == "denoise" else -1
    expected = towards * sign * (clean - corrupt)
    np.testing.assert_allclose(sweep.per_example[0], expected, atol=1e-5)
    np.testing.assert_allclose(sweep.clean, clean, atol=1e-5)
    assert sweep.metric == metric and sweep.unit == METRICS[metric].unit
    if abs(expected.mean()) > 1e-6:
        whole = 1.0 if direction == "denoise" else 0.0
        assert sweep.recovered_frac[0] == pytest.approx(whole, abs=1e-3)


def test_a_small_distance_is_said() -> None:
    plain = id_task()
    change = model().run(plain.clean).last - model().run(plain.corrupt).last
    task = id_task(answers=change.argmax(-1), wrong=change.argmin(-1))
    assert rz.patch(model(), task, "resid_pre", ("layer",)).warnings == ()
    same = rz.patch(model(), task, "resid_pre", ("layer",), metric="accuracy")
    assert (same.clean == same.corrupt).all()
    assert same.warnings == (
        "clean and corrupt hardly differ under this metric: recovered_frac is unreliable",
    )
    assert np.isnan(same.recovered_frac.values).all()
    assert same.to_json()["recovered_frac"] == [None, None, None]


def test_top_lists_the_largest_effects_with_intervals() -> None:
    sweep = rz.patch(model(), id_task(), "z", ("layer", "head"))
    top = sweep.top(4)
    sizes = [abs(each.effect) for each in top]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == abs(sweep.effects.values).max()
    for each in top:
        at = rz.Address.parse(each.at)
        assert each.effect == sweep.effects.values[at.layer, at.part]
        assert each.recovered_frac == sweep.recovered_frac.values[at.layer, at.part]
        assert each.interval[0] <= each.effect <= each.interval[1]
    assert len(sweep.top(99)) == 12
    placed = rz.patch(model(), id_task(), "resid_mid", ("layer", "pos")).top(1)[0]
    assert rz.Address.parse(placed.at).pos is not None


def test_progress_is_told() -> None:
    listener = Listener()
    rz.patch(model(), id_task(), "resid_post", ("layer",), progress=listener, engine="naive")
    assert listener.heard == [("patching resid_post", 4), 1, 1, 1, 1, "end"]


def test_the_record_says_where_it_comes_from() -> None:
    task = id_task()
    sweep = rz.patch(model(), task, "z", ("layer", "head"), direction="noise")
    origin = sweep.provenance
    assert origin.task_hash == task.task_hash
    assert origin.weight_hash == model().adapted.weight_hash
    assert origin.strategy == "patch(z, by=('layer', 'head'), noise, logit_diff, forked)"
    assert (origin.dtype, origin.device) == ("float32", "cpu")


@pytest.fixture(scope="module")
def sweep() -> rz.Sweep:
    return rz.patch(model(), id_task(), "z", ("layer", "head"))


@pytest.mark.parametrize("suffix", [".json", ".csv", ".html", ".svg", ".png"])
def test_it_is_saved_under_every_suffix(sweep: rz.Sweep, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"sweep{suffix}"
    sweep.save(path)
    if suffix == ".json":
        data = json.loads(path.read_text())
        np.testing.assert_allclose(data["effects"], sweep.effects)
        assert data["dims"] == ["layer", "head"] and data["provenance"]["model_id"]
    elif suffix == ".csv":
        rows = list(csv.DictReader(path.open()))
        assert [row.keys() for row in rows[:1]] == [
            dict.fromkeys(("layer", "head", *COLUMNS)).keys()
        ]
        assert float(rows[5]["effect"]) == pytest.approx(sweep.effects.values[1, 1])
    elif suffix == ".png":
        assert path.read_bytes().startswith(b"\x89PNG")
    else:
        assert ("<svg" if suffix == ".svg" else "<html") in path.read_text()


def test_the_figure_holds_the_effects(sweep: rz.Sweep) -> None:
    record = sweep.figure().to_json()
    text = json.dumps(record)
    assert "Patching z" in text and "does_not_show" in text
    frame = sweep.to_dataframe()
    assert list(frame.columns) == ["layer", "head", *COLUMNS]
    assert len(frame) == 12


def test_a_batch_with_a_mask_is_what_a_sweep_runs() -> None:
    task = id_task(lengths=[6, 4, 5, 6])
    run = model().run(Batch(task.clean, task.attention_mask))
    for i, length in enumerate([6, 4, 5, 6]):
        single = model().run(task.clean[i : i + 1, :length])
        torch.testing.assert_close(run.last[i], single.last[0], rtol=1e-4, atol=1e-5)
