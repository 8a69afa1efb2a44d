"""Estimates and controls."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.core import Patch
from residuum.findings.chain.behaviour_stage import shuffled_choice
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.where_stage import positions, stream
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.plain import from_plain, to_plain
from residuum.runs import Model


def test_ratio_is_tight_where_pairs_only_differ_in_size() -> None:
    sizes = np.random.default_rng(0).uniform(1, 20, 32)
    estimate = Estimate.of_ratio((0.5 * sizes).tolist(), sizes.tolist())
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.5, 0.5, 0.5))


def test_ratio_of_nothing_is_not_a_number() -> None:
    assert math.isnan(Estimate.of_ratio([1.0, 2.0], [0.0, 0.0]).value)
    assert math.isnan(Estimate.of_ratio([1.0], [2.0]).low)


def test_a_ratio_over_a_distance_that_may_be_nothing_has_no_interval() -> None:
    """By hand: all effects are nine tenths, yet a third of the pairs go the other way."""
    distances = [5.0, 5.0, -4.0] * 16
    estimate = Estimate.of_ratio([0.9 * each for each in distances], distances)
    assert estimate.value == pytest.approx(0.9) and not math.isnan(estimate.low)
    for wholes in ([5.0, 5.0, -4.0], [1.0] * 4 + [0.0] * 4 + [-0.5] * 4):
        rare = Estimate.of_ratio([0.9 * each for each in wholes], wholes)
        assert rare.value == pytest.approx(0.9) and math.isnan(rare.low) and math.isnan(rare.high)


def test_intervals_over_few_templates_hold_what_they_promise() -> None:
    """A law: over templates drawn from a normal distribution 95 of 100 intervals hold the mean."""
    draw = np.random.default_rng(0)
    for units in (3, 4, 8):
        labels = [str(i) for i in range(units) for _ in range(4)]
        hits = 0
        for seed in range(200):
            values = np.repeat(draw.normal(size=units), 4)
            found = Estimate.of_mean(values.tolist(), seed=seed, clusters=labels)
            hits += found.low <= 0 <= found.high
        assert 0.9 <= hits / 200 <= 0.99, units


def test_plain_data_keep_nan() -> None:
    estimate = Estimate(1.0, math.nan, math.nan, 1)
    back = from_plain(Estimate, to_plain(estimate))
    assert back.value == 1.0 and math.isnan(back.low)


def test_clusters_are_drawn_whole() -> None:
    """Two templates of equal pairs: drawing pairs would feign a narrow interval."""
    values, labels = [0.0] * 16 + [1.0] * 16, ["a"] * 16 + ["b"] * 16
    by_pair = Estimate.of_mean(values)
    by_template = Estimate.of_mean(values, clusters=labels)
    ratio = Estimate.of_ratio(values, [1.0] * 32, clusters=labels)
    assert (by_template.low, by_template.high) == (ratio.low, ratio.high)
    assert by_template.low < -3 and by_template.high > 4  # two templates say next to nothing
    assert by_pair.low > 0.2 and by_pair.high < 0.8
    assert by_template.value == ratio.value == by_pair.value == 0.5


def test_random_labels_are_a_coin(model: Model) -> None:
    bench = Bench(model, rz.task("ioi", model, n=32))
    random = shuffled_choice(bench, bench.logits("clean"), 100)
    assert random.low < 0.5 < random.high and abs(random.value - 0.5) < 0.05


def test_stream_at_the_ends(model: Model) -> None:
    """Patching the changed word before layer 0, or the last token after the last layer, is all."""
    bench = Bench(model, rz.task("ioi", model, n=16))
    grid = stream(bench)
    assert grid is not None
    changed = next(i for i, name in enumerate(grid.cols) if name.startswith("S2"))
    last = next(i for i, name in enumerate(grid.cols) if name.startswith("end"))
    assert grid.recovered[0][changed] == pytest.approx(1.0, abs=1e-4)
    assert grid.recovered[-1][last] == pytest.approx(1.0, abs=1e-4)
    before = next(i for i, name in enumerate(grid.cols) if name.startswith("IO"))
    assert all(abs(row[before]) < 1e-4 for row in grid.recovered)


def test_positions_without_names_need_one_length(model: Model) -> None:
    task = rz.task("ioi", model, n=16)
    bare = rz.Task.from_pairs(
        clean=task.clean, corrupt=task.corrupt, answers=task.answers, wrong=task.wrong,
        lengths=task.lengths,
    )  # fmt: skip
    assert positions(Bench(model, bare)) == {}
    same = [i for i, n in enumerate(task.lengths.tolist()) if n == 15]
    assert len(positions(Bench(model, bare[same]))) == 15


def test_logits_at_the_answer_are_those_of_a_whole_run(model: Model) -> None:
    """Also under an edit of the very last stream, and with prompts of several lengths."""
    bench = Bench(model, rz.task("negation", model, n=8))
    source = bench.run("corrupt", capture=["L3.resid_post", "L1.z"])
    for edits in ([], [Patch("L3.resid_post", source)], [Patch("L1.z", source)]):
        whole = model.run(bench.batch("clean"), edits=edits).last.double().cpu()
        assert torch.allclose(bench.logits("clean", edits), whole, atol=1e-4)
    assert not torch.allclose(bench.logits("clean"), whole, atol=1e-1)
