"""Whole trials of circuits that are none: a few here, 200 of each in the slow run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from kolmogorov import ks_p

import residuum as rz


@pytest.fixture(scope="module")
def benchmark(root: Path) -> ModuleType:
    path = root / "benchmarks" / "run_trial_calibration.py"
    spec = importlib.util.spec_from_file_location("run_trial_calibration", path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["run_trial_calibration"] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("induction_2l")


@pytest.mark.parametrize("null", ["random", "labels", "weights", "known"])
def test_a_few_circuits_that_are_none_do_not_pass_and_the_known_one_does(benchmark, model, null):
    runs = [benchmark.NULLS[null](model, seed, 12, 16) for seed in range(3)]
    found = benchmark.summary(runs, null)
    assert found["pass_whole_trial"] == (3 if null == "known" else 0)
    assert found["met"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("null", ["random", "labels", "weights", "known"])
def test_two_hundred_of_each(benchmark, model, null):
    runs = [benchmark.NULLS[null](model, seed, 12, 16) for seed in range(200)]
    assert benchmark.summary(runs, null)["met"]


def test_the_count_that_is_allowed(benchmark):
    assert benchmark.allowed(200) == 18
    assert benchmark.allowed(3) in (1, 2)


def test_the_benchmark_and_the_tests_agree_on_uniformity(benchmark):
    draw = np.random.default_rng(0)
    for values in (draw.random(50), draw.random(50) ** 2):
        assert benchmark.ks_p(values) == pytest.approx(ks_p(values))


def test_permuted_weights_are_the_same_numbers_elsewhere(benchmark, model):
    other = benchmark.with_permuted_weights(model, 0)
    assert other.adapted.weight_hash != model.adapted.weight_hash
    for mine, its in zip(model.hf.parameters(), other.hf.parameters(), strict=True):
        assert mine.flatten().sort()[0].equal(its.flatten().sort()[0])


def test_other_labels_are_the_same_answers_elsewhere(benchmark, model):
    task = benchmark.prompts(model, 16, 0)
    other = benchmark.with_other_labels(task, 0)
    assert other.clean.equal(task.clean) and not other.answers.equal(task.answers)
    both, again = (
        sorted(tuple(sorted(pair)) for pair in zip(each.answers, each.wrong, strict=True))
        for each in (task, other)
    )
    assert both == again
