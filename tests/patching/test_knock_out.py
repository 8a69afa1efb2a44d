"""Knocking out together: equal to runs with several edits, backups seen, controls drawn fairly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import residuum as rz
from residuum.core import Address
from residuum.patching.random_sets import random_sets


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def task(model: rz.Model) -> rz.Task:
    return rz.task("ioi", model, n=24, seed=2)


def diffs(run: rz.Run, task: rz.Task) -> np.ndarray:
    last = run.last.double()
    return np.array(
        [last[i, task.answers[i, 0]] - last[i, task.wrong[i, 0]] for i in range(len(task))]
    )


def test_together_is_a_run_with_all_the_edits(model: rz.Model, task: rz.Task) -> None:
    cells = ["L0.z[H1]", "L0.z[H5]", "L2.z[H0]"]
    out = rz.knock_out(model, task, cells, how="zero", controls=0)
    from residuum.models import Batch

    batch = Batch(task.clean, task.attention_mask)
    base = diffs(model.run(batch), task)
    for count in (1, 2, 3):
        run = model.run(batch, edits=[rz.Zero(at) for at in cells[:count]])
        assert out.joint[count - 1] == pytest.approx(diffs(run, task) - base, abs=1e-4)
    run = model.run(batch, edits=rz.Zero(cells[2]))
    assert out.singles[2] == pytest.approx(diffs(run, task) - base, abs=1e-4)
    assert np.isnan(out.p) and np.isnan(out.control)


def test_movers_are_needed_together_and_random_heads_are_not(
    model: rz.Model, task: rz.Task
) -> None:
    picked = rz.patch(model, rz.task("ioi", model, n=24, seed=9))
    out = rz.knock_out(model, task, picked, k=4, how="resample", controls=20)
    assert out.cells[0] == picked.top(1)[0].at
    assert out.together < -5
    assert out.control < abs(out.together) / 10
    assert out.rank == 0 and out.p == pytest.approx(1 / 21)
    assert out.backup > 0, "together they cost more than one by one"
    assert out.backup_interval[0] > 0


def test_the_curve_goes_down_and_is_saved(model: rz.Model, task: rz.Task, tmp_path: Path) -> None:
    out = rz.knock_out(model, task, ["L0.z[H1]", "L0.z[H5]"], controls=3)
    assert out.joint[1].mean() < out.joint[0].mean() < 0
    for suffix in (".json", ".csv", ".html", ".svg", ".png"):
        out.save(tmp_path / f"k{suffix}")
        assert (tmp_path / f"k{suffix}").stat().st_size > 100
    with pytest.raises(rz.OptionError, match="cannot save"):
        out.save(tmp_path / "k.txt")


def everyone(layers: int = 3, heads: int = 4) -> list[Address]:
    return [Address("z", layer, head) for layer in range(layers) for head in range(heads)]


def test_random_sets_match_layers_and_leave_the_chosen_out() -> None:
    chosen = [Address("z", 0, 1), Address("z", 2, 0)]
    sets, matched = random_sets(everyone(), chosen, count=9, seed=0)
    assert matched and len({tuple(map(str, each)) for each in sets}) == 9
    for each in sets:
        assert sorted(at.layer or 0 for at in each) == [0, 2]
        assert not set(each) & set(chosen)
    assert random_sets(everyone(), chosen, 9, 0)[0] == sets
    assert random_sets(everyone(), chosen, 9, 1)[0] != sets


def test_where_layers_leave_too_few_sets_any_layer_serves() -> None:
    chosen = [Address("z", 0, head) for head in range(3)]
    sets, matched = random_sets(everyone(), chosen, count=20, seed=0)
    assert not matched and len(sets) == 20
    assert any(at.layer != 0 for each in sets for at in each)


def test_kinds_are_matched_and_layers_only_where_there_are_others() -> None:
    """One MLP a layer: another one is always of another layer; the heads still match theirs."""
    kinds = [*everyone(), *(Address("mlp_out", layer) for layer in range(3))]
    chosen = [Address("z", 0, 1), Address("z", 2, 0), Address("mlp_out", 1)]
    sets, matched = random_sets(kinds, chosen, count=9, seed=0)
    assert not matched and len(sets) == 9
    for each in sets:
        assert sorted(at.layer or 0 for at in each if at.name == "z") == [0, 2]
        assert len([at for at in each if at.name == "mlp_out"]) == 1
        assert not set(each) & set(chosen)


def test_heads_and_mlps_go_together_as_by_hand(model: rz.Model, task: rz.Task) -> None:
    cells = ["L0.z[H1]", "L1.mlp_out"]
    out = rz.knock_out(model, task, cells, how="swap", controls=2)
    from residuum.models import Batch

    clean, corrupt = (Batch(ids, task.attention_mask) for ids in (task.clean, task.corrupt))
    donor = model.run(corrupt, capture=["z", "mlp_out"])
    run = model.run(clean, edits=[rz.Patch(at, donor) for at in cells])
    assert out.joint[1] == pytest.approx(diffs(run, task) - diffs(model.run(clean), task), abs=1e-4)
    assert all(sorted("mlp_out" in at for at in each) == [False, True] for each in out.random_sets)


def test_no_set_is_left() -> None:
    assert random_sets(everyone(1, 4), everyone(1, 4)[:3], 5, 0) == ([], True)


@pytest.mark.parametrize(
    ("cells", "k", "words"),
    [
        ([], None, "needs a sweep or a list"),
        ("L0.z[H1]", None, "needs a sweep or a list"),
        (["L0.z[H1]", "L0.z[H1]"], None, "takes different cells"),
        (["L0.z[H99]"], None, "out of range"),
        (["L0.z[H1]"], 2, "k= goes with a sweep"),
    ],
)
def test_what_cannot_be_knocked_out(
    model: rz.Model, task: rz.Task, cells: list[str], k: int | None, words: str
) -> None:
    with pytest.raises(rz.ResiduumError, match=words):
        rz.knock_out(model, task, cells, k)


def test_the_figure_draws_and_says_the_same_of_random_sets(model: rz.Model, task: rz.Task) -> None:
    out = rz.knock_out(model, task, ["L0.z[H1]", "L0.z[H5]"], controls=5)
    means = out.random_joint.mean(axis=1)
    assert out.control_range == pytest.approx((means.min(), means.mean(), means.max()))
    figure = out.figure()
    sets = figure.series[2]
    assert sets.name == "5 random sets of 2"
    assert np.allclose(sets.y, means.mean())
    assert np.allclose(sets.lo, means.min()) and np.allclose(sets.hi, means.max())
    assert f"mean {means.mean():+.2g} logits" in figure.caption
    assert f"lowest {means.min():+.2g} to the highest {means.max():+.2g}" in figure.caption
    assert "Band of together: 95 % bootstrap interval" in figure.caption
    assert figure.x_labels == ("L0H1", "+L0H5")
    none = rz.knock_out(model, task, ["L0.mlp_out", "L1.mlp_out"], controls=0)
    assert len(none.figure().series) == 2 and np.isnan(none.control_range).all()
    assert none.figure().x_labels == ("L0", "+L1")
    assert "random" not in none.figure().caption
