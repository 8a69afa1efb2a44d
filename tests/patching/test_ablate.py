"""Ablation sweeps: equal to a loop of edited runs, and to the means and draws done by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.core import OptionError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import build

ABLATIONS: tuple[Any, ...] = ("zero", "mean", "resample")


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load(build("qwen3", torch.float32))


@pytest.fixture(scope="module")
def task() -> rz.Task:
    generator = torch.Generator().manual_seed(3)
    clean = torch.randint(3, 101, (5, 7), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 4] = (clean[:, 4] + 7) % 98 + 3
    answers, wrong = torch.arange(3, 8), torch.arange(50, 55)
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)


def diffs(run: Any, task: rz.Task) -> np.ndarray:
    last = run.logits[torch.arange(len(task)), task.last].double()
    rows = torch.arange(len(task))
    return (last[rows, task.answers[:, 0]] - last[rows, task.wrong[:, 0]]).numpy()


def test_zero_is_a_loop_of_zero_edits(model: rz.Model, task: rz.Task) -> None:
    sweep = rz.ablate(model, task, "z", ("layer", "head", "pos"), "zero")
    base = diffs(model.run(task.clean), task)
    assert sweep.engine == "forked"
    for cell in ((0, 0, 0), (0, 1, 3), (1, 3, 6), (1, 2, 1)):
        layer, head, pos = cell
        run = model.run(task.clean, edits=rz.Zero(f"L{layer}.z[H{head}]@{pos}"))
        moved = diffs(run, task) - base
        assert sweep.per_example.values[cell] == pytest.approx(moved, abs=1e-5)


def test_the_mean_is_over_the_tasks_prompts_by_position(model: rz.Model, task: rz.Task) -> None:
    sweep = rz.ablate(model, task, "mlp_out", ("layer",), "mean")
    everyone = torch.cat([task.clean, task.corrupt])
    mean = model.run(everyone, capture=["L1.mlp_out"])["L1.mlp_out"].mean(dim=0)
    value = mean.expand(len(task), *mean.shape)
    run = model.run(task.clean, edits=rz.Patch("L1.mlp_out", value))
    moved = diffs(run, task) - diffs(model.run(task.clean), task)
    assert sweep.per_example.values[1] == pytest.approx(moved, abs=1e-5)
    assert "by position" in sweep.provenance.strategy


def test_a_pooled_mean_over_other_prompts(model: rz.Model, task: rz.Task) -> None:
    reference = torch.randint(3, 101, (4, 9), generator=torch.Generator().manual_seed(8))
    how = rz.MeanAblation(reference=reference, by_position=False)
    sweep = rz.ablate(model, task, "z", ("layer", "head"), how)
    mean = model.run(reference, capture=["L0.z"])["L0.z"].mean(dim=(0, 1))
    run = model.run(task.clean, edits=rz.Mean("L0.z[H2]", mean[2]))
    moved = diffs(run, task) - diffs(model.run(task.clean), task)
    assert sweep.per_example.values[0, 2] == pytest.approx(moved, abs=1e-5)
    with pytest.raises(rz.TaskError, match="by position mixes"):
        rz.ablate(model, task, "z", how=rz.MeanAblation(reference=reference, by_position=True))


def test_resampling_takes_another_prompts_value_and_is_seeded(
    model: rz.Model, task: rz.Task
) -> None:
    sweeps = [
        rz.ablate(model, task, "attn_out", ("layer",), rz.ResampleAblation(seed=seed))
        for seed in (0, 0, 1)
    ]
    assert (sweeps[0].per_example.values == sweeps[1].per_example.values).all()
    assert (sweeps[0].per_example.values != sweeps[2].per_example.values).any()
    assert sweeps[2].provenance.seed == 1
    captured = model.run(task.clean, capture=["L0.attn_out"])["L0.attn_out"]
    base = diffs(model.run(task.clean), task)
    for row in range(len(task)):
        candidates = []
        for other in set(range(len(task))) - {row}:
            value = captured[[other]].expand(len(task), *captured.shape[1:])
            run = model.run(task.clean, edits=rz.Patch("L0.attn_out", value))
            candidates.append(abs((diffs(run, task) - base)[row] - sweeps[0].per_example[0, row]))
        assert min(candidates) < 1e-5


def test_resampling_can_be_asked_for_prompts_with_another_answer(
    model: rz.Model, task: rz.Task
) -> None:
    """Every other prompt has the same answer, and its value would take nothing out."""
    answers = torch.tensor([[5 + row % 2, -1] for row in range(len(task))])
    halved = replace(task, answers=answers)
    plain, other = rz.ResampleAblation(seed=3), rz.ResampleAblation(seed=3, other_answer=True)
    rows = torch.arange(len(task))
    assert ((other.donors(model, halved) - rows) % 2 == 1).all()
    assert ((plain.donors(model, halved) - rows) % 2 == 0).any()
    apart = replace(task, answers=torch.arange(10, 10 + len(task))[:, None])
    assert (other.donors(model, apart) == plain.donors(model, apart)).all()
    assert "other_answer" not in plain.identity(model) and other.identity(model)["other_answer"]
    assert "with other answers" in other.said(model, halved)
    alike = replace(task, answers=torch.full((len(task), 1), 5))
    with pytest.raises(rz.TaskError, match="with another answer to resample from"):
        rz.knock_out(model, alike, ["L0.z[H0]"], how=other)
    with pytest.raises(OptionError, match="no task have no answers") as caught:
        rz.ResampleAblation(reference=task.clean, other_answer=True)
    assert "leave other_answer out" in caught.value.mend


def test_swapping_is_noising(model: rz.Model, task: rz.Task) -> None:
    swapped = rz.ablate(model, task, "z", ("layer", "head"), "swap")
    noised = rz.patch(model, task, "z", ("layer", "head"), direction="noise")
    assert (swapped.per_example.values == noised.per_example.values).all()
    assert swapped.recovered_frac.values == pytest.approx(noised.recovered_frac.values)
    assert swapped.kind == noised.kind == "noise"


def test_a_direction_is_taken_out(model: rz.Model, task: rz.Task) -> None:
    direction = torch.randn(model.dims.d_model, generator=torch.Generator().manual_seed(0))
    sweep = rz.ablate(
        model, task, "resid_post", ("layer", "pos"), rz.DirectionAblation(direction), control=2
    )
    run = model.run(task.clean, edits=rz.Erase("L0.resid_post@4", direction))
    moved = diffs(run, task) - diffs(model.run(task.clean), task)
    assert sweep.per_example.values[0, 4] == pytest.approx(moved, abs=1e-5)
    assert sweep.kind == "direction"
    assert sweep.control is not None and (sweep.control.values >= 0).all()
    assert float(sweep.control.max()) > 0


@pytest.mark.parametrize("how", ABLATIONS)
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "falcon", "mixtral", "bloom", "bert"])
def test_forked_equals_naive(name: str, how: str, task: rz.Task) -> None:
    m = rz.load(build(name, torch.float32))
    for site, by in (("z", ("layer", "head")), ("resid_post", ("layer", "pos"))):
        forked, naive = (rz.ablate(m, task, site, by, how, engine=e) for e in ("forked", "naive"))
        scale = m.run(task.clean).logits.abs().max().item()
        gap = np.abs(forked.per_example.values - naive.per_example.values).max()
        assert gap < 1e-5 * max(scale, np.abs(naive.clean).max())


def test_effects_are_signed_towards_clean(model: rz.Model, task: rz.Task) -> None:
    by_diff = rz.ablate(model, task, "attn_out", ("layer",), "zero")
    by_loss = rz.ablate(model, task, "attn_out", ("layer",), "zero", metric="loss_nats")
    after = [model.run(task.clean, edits=rz.Zero(f"L{layer}.attn_out")) for layer in (0, 1)]
    for layer in (0, 1):
        assert by_diff.effects.values[layer] == pytest.approx(
            (diffs(after[layer], task) - diffs(model.run(task.clean), task)).mean(), abs=1e-5
        )
    before = model.run(task.clean).logits[:, -1].double().log_softmax(-1)
    rows = torch.arange(len(task))
    worse = after[0].logits[:, -1].double().log_softmax(-1)[rows, task.answers[:, 0]]
    expected = (worse - before[rows, task.answers[:, 0]]).mean().item()
    assert by_loss.effects.values[0] == pytest.approx(expected, abs=1e-5)


def test_ablating_by_what_is_there_changes_nothing(model: rz.Model, task: rz.Task) -> None:
    one = rz.Task.from_pairs(
        clean=task.clean[:1].repeat(3, 1),
        corrupt=task.corrupt[:1].repeat(3, 1),
        answers=task.answers[:1].repeat(3, 1),
        wrong=task.wrong[:1].repeat(3, 1),
    )
    how = rz.MeanAblation(reference=one.clean)
    sweep = rz.ablate(model, one, "z", ("layer", "head"), how)
    assert np.abs(sweep.effects.values).max() < 1e-5
    assert sweep.recovered_frac.values == pytest.approx(np.ones((3, 4)), abs=1e-3)


@pytest.mark.parametrize(
    ("how", "site", "words"),
    [
        ("median", "z", "no ablation"),
        (rz.ZeroAblation, "z", "no ablation"),
        (rz.DirectionAblation([1.0, 2.0]), "resid_post", "directions of shape"),
        (rz.DirectionAblation(torch.zeros(32)), "resid_post", "zero or not finite"),
        (rz.MeanAblation(by_position=False), "pattern", "no mean over positions"),
        (rz.ResampleAblation(seed=-1), "z", "seed=-1"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: rz.Model, task: rz.Task, how: Any, site: str, words: str
) -> None:
    with pytest.raises(rz.ResiduumError, match=words):
        rz.ablate(model, task, site, ("layer",), how)


def test_nothing_to_resample_from(model: rz.Model, task: rz.Task) -> None:
    with pytest.raises(rz.TaskError, match="no other prompt of 7 tokens"):
        rz.ablate(model, task.head(1), how="resample")


def test_ragged_prompts(model: rz.Model, task: rz.Task) -> None:
    ragged = rz.Task.from_pairs(
        clean=task.clean,
        corrupt=task.corrupt,
        answers=task.answers,
        wrong=task.wrong,
        lengths=torch.tensor([7, 6, 6, 7, 7]),
    )
    for how in ABLATIONS:
        forked, naive = (rz.ablate(model, ragged, how=how, engine=e) for e in ("forked", "naive"))
        assert forked.per_example.values == pytest.approx(naive.per_example.values, abs=1e-5)
