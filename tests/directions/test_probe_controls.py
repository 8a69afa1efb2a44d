"""Probes where examples are few, uneven, or of few templates: what is said stays honest."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import residuum as rz
from residuum.core import OptionError
from residuum.directions import Examples
from residuum.directions.probes.calibration import (
    calibration_error,
    fitted_temperature,
    loss_bits,
)
from residuum.directions.probes.controls import control_task
from residuum.directions.probes.label_orders import another_order, chance_p

WORDS = 60


@cache
def model() -> rz.Model:
    torch.manual_seed(0)
    config = GPT2Config(n_layer=1, n_head=2, n_embd=64, vocab_size=WORDS, n_positions=16)
    return rz.load(GPT2LMHeadModel(config).eval(), check=False)


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, WORDS, (n, 4))


def scored(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that tell two classes apart well but not always, and the labels."""
    labels = torch.arange(n) % 2
    along = 3.0 * (2 * labels - 1) + 2 * torch.randn(n, generator=generator)
    return torch.stack([torch.zeros(n), along], 1), labels


def test_a_few_validation_examples_that_are_all_right_are_no_reason_for_certainty() -> None:
    generator = torch.Generator().manual_seed(0)
    wide, truth = scored(2000, generator)
    perfect, losses = 0, []
    for _ in range(40):
        logits, labels = scored(6, generator)
        perfect += bool((logits.argmax(-1) == labels).all())
        losses.append(loss_bits(wide / fitted_temperature(logits, labels), truth))
    assert perfect > 20
    assert max(losses) < 1.0  # never worse than knowing nothing


def test_calibrated_probabilities_of_few_examples_are_called_calibrated() -> None:
    generator = torch.Generator().manual_seed(0)
    errors = []
    for _ in range(200):
        chance = torch.rand(20, generator=generator)
        labels = (torch.rand(20, generator=generator) < chance).long()
        errors.append(calibration_error(torch.stack([1 - chance, chance], 1), labels))
    assert np.mean(errors) < 0.12  # in bins of two it was 0.23


def test_labels_drawn_for_each_template_are_claimed_no_more_often_than_stated() -> None:
    """The label is a random function of the template, which every example's wording tells."""
    claims, plain = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(10), 12)
        kinds = rng.permutation(np.arange(10) % 2)
        rows = np.concatenate([drawn(120, seed)[:, :3] % 50, 50 + groups[:, None]], 1)
        data = Examples.from_texts(model(), rows.tolist(), kinds[groups].tolist(), groups.tolist())
        found = rz.probe(model(), data, layers=[0], method=rz.MassMean(), seed=seed)
        claims += found.decodable
        test = data.split(seed=seed).test
        said = found.probes[0].predict(
            rz.directions.harvest_examples(model(), test, "L0.resid_post").cell(0).all()
        )
        plain += chance_p(said, test.labels, seed) <= 0.05
    assert claims <= 6
    assert plain > 10  # as if examples were independent, it would be claimed far too often


def test_orders_keep_templates_together() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0, 0, 1, 1, 0, 1, 1])
    units = np.array([0, 0, 1, 1, 2, 2, 2])
    for _ in range(50):
        other = another_order(truth, units, rng)
        assert other[0] == other[1] and other[2] == other[3] and other[0] != other[2]
        assert sorted(other[4:]) == [0, 1, 1]


def test_what_goes_across_templates_but_not_beyond_words_is_not_called_decodable() -> None:
    rows = drawn(400)
    groups = (rows[:, 0] % 8).tolist()
    data = Examples.from_texts(model(), rows.tolist(), (rows[:, -1] % 2).tolist(), groups)
    found = rz.probe(model(), data.unique(), seed=1)
    assert found.p <= 0.05 and found.best.low > found.majority
    assert found.best.selectivity <= 0 and not found.decodable  # as well as any labels of words
    assert "labels drawn for words are read as well" in found.verdict


def test_an_interval_that_reaches_the_majority_is_not_decodable() -> None:
    world = rz.load("microworld", check=False)
    found = rz.probe(world, Examples.from_task(rz.task("sycophancy", world, n=60)), layers=[1])
    assert found.decodable
    poor = replace(found.best, low=found.majority)
    assert not replace(found, scores=(poor,), best_index=0).decodable


def test_a_copy_is_no_further_evidence() -> None:
    rows = np.unique(drawn(60), axis=0)
    data = Examples.from_texts(model(), rows.tolist(), (rows[:, -1] % 2).tolist())
    split = data.split("example")
    sides = [split.train, split.validation, split.test]
    twice = [Examples.joined([each, each]) for each in sides]
    once = rz.probe(model(), split)
    again = rz.probe(model(), replace(split, train=twice[0], validation=twice[1], test=twice[2]))
    assert again.p == once.p and again.counts == once.counts
    assert again.repeated == len(rows) and f"{len(rows)} repeated" in again.verdict


def test_a_label_that_is_the_template_is_not_sent_to_a_reader_of_wording() -> None:
    rows = drawn(60)
    groups = np.arange(60) % 3
    data = Examples.from_texts(
        model(), rows.tolist(), (groups == 0).astype(int).tolist(), groups.tolist()
    )
    with pytest.raises(OptionError, match="has all 2 classes") as caught:
        rz.probe(model(), data)
    assert "may read that wording" in (caught.value.mend or "")


@pytest.mark.parametrize("method", [rz.Logistic(), rz.MassMean(), rz.Ridge(), rz.SparseProbe(4)])
def test_nineteen_to_one(method) -> None:
    """Saying the commonest class is no success; telling the rare one apart is."""
    rows = drawn(1200)
    rare = rows[:, -1] < 3
    data = Examples.from_texts(model(), rows.tolist(), rare.astype(int).tolist()).unique()
    assert data.majority == pytest.approx(0.95, abs=0.02)
    found = rz.probe(model(), data, split_by="example", method=method)
    assert math.isfinite(found.best.control) and math.isfinite(found.best.test_bits)
    mixed = np.random.default_rng(1).permutation(rare.astype(int)).tolist()
    noise = Examples.from_texts(model(), rows.tolist(), mixed).unique()
    nothing = rz.probe(model(), noise, split_by="example", method=method)
    assert not nothing.decodable
    if isinstance(method, rz.Logistic):
        assert found.p <= 0.05 and found.best.low > found.majority


@pytest.mark.parametrize("method", [rz.MultiClass(), rz.MassMean(), rz.Ridge(), rz.SparseProbe(4)])
def test_three_uneven_classes_have_controls_with_every_class(method) -> None:
    rows = drawn(400)
    kinds = np.where(rows[:, -1] < 4, 2, rows[:, -1] % 2)
    data = Examples.from_texts(model(), rows.tolist(), kinds.tolist()).unique()
    split = data.split("example")
    control = control_task(data, split.rows[0], split.rows[2], 0)
    assert control.labels is not None and len(control.labels[split.rows[0]].unique()) == 3
    found = rz.probe(model(), data, split_by="example", method=method)
    for score in found.scores:
        assert all(
            math.isfinite(each)
            for each in (score.test_bits, score.control, score.shuffled, score.calibration_error)
        )


def test_fewer_tokens_than_classes_make_no_control() -> None:
    rows = np.unique(drawn(200) % 4, axis=0)
    kinds = np.random.default_rng(1).integers(0, 5, len(rows))
    data = Examples.from_texts(model(), rows.tolist(), kinds.tolist())
    split = data.split("example")
    found = control_task(data, split.rows[0], split.rows[2], 0)
    assert found.labels is None and found.token == "no token varies enough"


def test_a_dozen_examples() -> None:
    """Two or three on the test side: nothing can be shown, and every number is one."""
    rows = drawn(12)
    data = Examples.from_texts(model(), rows.tolist(), (np.arange(12) % 2).tolist())
    found = rz.probe(model(), data, split_by="example")
    assert not found.decodable and found.p >= 1 / 6
    assert 0 <= found.best.calibration_error <= 1 and math.isfinite(found.best.test_bits)


def test_one_template_is_refused_and_one_on_the_test_side_is_said() -> None:
    rows = drawn(60)
    labels = (rows[:, -1] % 2).tolist()
    one = Examples.from_texts(model(), rows.tolist(), labels, ["a"] * 60)
    with pytest.raises(OptionError, match="1 groups cannot be split"):
        rz.probe(model(), one)
    three = Examples.from_texts(model(), rows.tolist(), labels, ["a", "b", "c"] * 20)
    found = rz.probe(model(), three)
    assert math.isnan(found.best.low) and "no interval" in found.verdict


def test_what_is_read_stands_beside_what_is_used(tmp_path) -> None:
    world = rz.load("microworld", check=False)
    task = rz.task("refusal", world, n=40)
    probed = rz.probe(world, Examples.from_task(task), layers=[0, 2], method=rz.MassMean())
    found = rz.prove_layers(probed, world, task)
    assert found.places == ("L0.resid_post@-1", "L2.resid_post@-1")
    assert all("left out" in proof.split for proof in found.proofs)  # probed templates are out
    assert min(found.effects) > 0.8 and min(found.accuracy) > 0.9
    assert not found.by_template  # one test template: the interval is over examples
    for value, low, high in zip(found.accuracy, found.low, found.high, strict=True):
        assert 0 < low < value <= high <= 1
    assert all(math.isnan(end) for ends in found.effect_intervals for end in ends)
    found.figure().save(tmp_path / "proofs.html")
    html = (tmp_path / "proofs.html").read_text()
    assert "read: test accuracy" in html and "used: share of the gap, swap" in html
    for suffix in ("json", "csv", "svg"):
        found.save(tmp_path / f"proofs.{suffix}")
        assert (tmp_path / f"proofs.{suffix}").stat().st_size > 100
    with pytest.raises(OptionError, match="edit='move' is none"):
        rz.prove_layers(probed, world, task, edit="move")


def test_what_can_be_read_at_two_layers_is_used_at_one() -> None:
    world = rz.load("microworld", check=False)
    task = rz.task("sycophancy", world, n=120)
    probed = rz.probe(world, Examples.from_task(task), layers=[1, 2], method=rz.MassMean())
    found = rz.prove_layers(probed, world, task)
    table = found.to_dataframe()
    assert found.by_template and (table.accuracy > 0.85).all()
    assert table.effect_frac[0] > 0.9 and table.effect_frac[1] < 0.25
    assert (table.effect_low <= table.effect_frac).all()
    assert (table.effect_frac <= table.effect_high).all()
    assert table.effect_high[1] < table.effect_low[0] and not table.causal[1]
    assert "by template; used, by template" in found.figure().caption
