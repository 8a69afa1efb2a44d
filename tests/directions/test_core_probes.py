"""Probes against closed forms, their calibration, their controls and their claims."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import residuum as rz
from residuum.core import OptionError, ShapeError
from residuum.directions import Examples
from residuum.directions.moments import ClassMoments
from residuum.directions.probes.calibration import calibration_error, fitted_temperature
from residuum.directions.probes.softmax_fit import fit_softmax
from residuum.directions.probes.weights import ProbeWeights

WORDS = 60


@cache
def model() -> rz.Model:
    torch.manual_seed(0)
    config = GPT2Config(n_layer=2, n_head=2, n_embd=64, vocab_size=WORDS, n_positions=16)
    return rz.load(GPT2LMHeadModel(config).eval(), check=False)


def gaussian(n: int, d: int, classes: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    centres = torch.randn(classes, d, generator=generator)
    x = centres[labels] + torch.randn(n, d, generator=generator)
    x = x * torch.logspace(-2, 2, d) + 3
    moments = ClassMoments(d, classes)
    moments.update(x, labels)
    return x, labels, moments


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_equals_an_independent_minimiser_in_float64(classes: int) -> None:
    x, labels, moments = gaussian(600, 8, classes)
    rows = 1 if classes == 2 else classes
    ours = fit_softmax([(x[:250], labels[:250]), (x[250:], labels[250:])], moments, 0.01, rows)

    work = (x.double() - x.double().mean(0)) / x.double().std(0, unbiased=False)
    weights = torch.zeros(rows, 9, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights], max_iter=500, tolerance_grad=1e-11, tolerance_change=0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        raw = work @ weights[:, :-1].T + weights[:, -1]
        logits = torch.cat([torch.zeros_like(raw), raw], 1) if rows == 1 else raw
        value = torch.nn.functional.cross_entropy(logits, labels)
        value = value + 0.005 * weights[:, :-1].square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    theirs = (work @ weights[:, :-1].T + weights[:, -1]).detach()
    mine = x.double() @ ours.matrix.T + ours.bias
    gap = mine - theirs
    if rows > 1:  # the softmax does not see a shift of all logits
        gap = gap - gap.mean(1, keepdim=True)
    assert float(gap.abs().max()) < 1e-4


def test_ridge_equals_least_squares() -> None:
    x, labels, moments = gaussian(400, 6, 2)
    found = rz.Ridge(l2=0.1).fit([], moments)
    centred = x.double() - x.double().mean(0)
    target = 2.0 * labels.double() - 1
    penalty = 0.1 * float(centred.var(0, unbiased=False).mean())
    gram = centred.T @ centred / 400 + penalty * torch.eye(6, dtype=torch.float64)
    weights = torch.linalg.solve(gram, centred.T @ (target - target.mean()) / 400)
    assert torch.allclose(found.matrix[0], weights, rtol=1e-9)


def test_whitened_mass_mean_equals_the_gaussian_posterior() -> None:
    x, labels, moments = gaussian(4000, 4, 2)
    found = rz.MassMean(whiten=True).fit([], moments)
    means = torch.stack([x[labels == c].double().mean(0) for c in (0, 1)])
    rest = x.double() - means[labels]
    inverse = torch.linalg.inv(rest.T @ rest / len(x))
    wanted = inverse @ (means[1] - means[0])
    assert torch.allclose(found.matrix[0], wanted, rtol=1e-3)


def test_sparse_probe_reads_the_planted_dimensions_only() -> None:
    torch.manual_seed(0)
    labels = torch.arange(2000) % 2
    x = torch.randn(2000, 30)
    x[:, [4, 17]] += 3 * labels[:, None]
    moments = ClassMoments(30, 2)
    moments.update(x, labels)
    found = rz.SparseProbe(2).fit([(x, labels)], moments)
    assert found.matrix[0].nonzero().flatten().tolist() == [4, 17]
    with pytest.raises(OptionError, match="k=31 of 30"):
        rz.SparseProbe(31).fit([(x, labels)], moments)


def test_temperature_undoes_a_wrong_scale_and_calibrates() -> None:
    generator = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(40000, 1, generator=generator)
    labels = (torch.rand(40000, 1, generator=generator) < true.sigmoid()).long()[:, 0]
    logits = torch.cat([torch.zeros_like(true), true], 1)
    sure = 5 * logits
    temperature = fitted_temperature(sure, labels)
    assert temperature == pytest.approx(5, rel=0.05)
    before = calibration_error(sure.softmax(-1), labels)
    after = calibration_error((sure / temperature).softmax(-1), labels)
    assert before > 0.1 and after < 0.01


def leaking() -> Examples:
    """The label is a token of the template alone: nothing else in the prompt tells it."""
    rng = np.random.default_rng(0)
    rows, labels, groups = [], [], []
    for group in range(20):
        for _ in range(20):
            rows.append([group, *rng.integers(30, WORDS, 3).tolist(), group])
            labels.append(group % 2)
            groups.append(group)
    meaning = rng.permutation(20) % 2
    labels = [int(meaning[group]) for group in groups]
    return Examples.from_texts(model(), rows, labels, groups)


def test_a_template_that_leaks_is_seen_through_by_the_split() -> None:
    by_example = rz.probe(model(), leaking(), split_by="example")
    by_group = [rz.probe(model(), leaking(), layers=[0], seed=seed).best.test for seed in range(6)]
    assert by_example.best.test > 0.95
    assert np.mean(by_group) < 0.75 and min(by_group) < 0.6


def test_random_labels_are_claimed_no_more_often_than_stated() -> None:
    claims = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, WORDS, (120, 4)).tolist()
        data = Examples.from_texts(model(), rows, rng.integers(0, 2, 120).tolist())
        claims += rz.probe(
            model(), data, split_by="example", method=rz.MassMean(), seed=seed
        ).decodable
    assert claims <= 10  # P(more than 10 of 100 at a rate of 5 %) = 1 %


def test_what_is_there_is_claimed_and_controls_are_lower() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, WORDS, (400, 3))
    data = Examples.from_texts(model(), rows.tolist(), (rows[:, -1] % 2).tolist())
    found = rz.probe(model(), data.unique(), split_by="example")
    assert found.decodable and found.p < 0.01
    assert found.best.shuffled < 0.75
    assert found.control_token == "the token read"
    row = found.to_dataframe().iloc[found.best_index]
    assert row.selectivity == pytest.approx(row.test - row.control) and bool(row.best)


def test_the_best_place_is_chosen_without_the_test_side(monkeypatch) -> None:
    from residuum.directions.probes import scores

    kept = [
        scores.ProbeScore("a", 0, "-1", 1, 0.9, 0.1, 0, 1, 0.5, 1, 0, 1, 0, 0),
        scores.ProbeScore("b", 1, "-1", 1, 0.8, 1.0, 0, 1, 0.5, 1, 0, 1, 0, 0),
        scores.ProbeScore("c", 2, "-1", 1, 0.9, 0.2, 0, 1, 0.4, 1, 0, 1, 0, 0),
    ]
    assert scores.best_of(kept) == 2


def test_every_layer_and_position_at_once_and_multi_class(tmp_path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, WORDS, (300, 3))
    names = np.array(["x", "y", "z"])[rows[:, 1] % 3]
    data = Examples.from_texts(model(), rows.tolist(), names.tolist()).unique()
    found = rz.probe(model(), data, split_by="example", positions=[0, 1, 2])
    assert [score.at for score in found.scores[:3]] == [f"L0.resid_post@{i}" for i in range(3)]
    assert found.best.position == "1" and found.best.test > 0.8
    assert found.scores[0].test < 0.6  # the first token cannot know the second
    assert found.direction().k == 2
    for suffix in ("json", "csv", "svg"):
        found.save(tmp_path / f"probes.{suffix}")
        assert (tmp_path / f"probes.{suffix}").stat().st_size > 100
    with pytest.raises(OptionError, match="two classes apart"):
        rz.probe(model(), data, split_by="example", method=rz.Logistic())
    run = model().run(torch.tensor([[1, 2, 3]]), capture=["resid_post"])
    assert torch.allclose(found.probabilities(run).sum(-1), torch.ones(1, 3).double())


def test_places_without_differences_are_left_out_and_said() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.integers(0, WORDS, (200, 2)), np.full((200, 1), 7)], 1)
    data = Examples.from_texts(model(), rows.tolist(), (rows[:, 0] % 2).tolist()).unique()
    sites = ["L0.resid_pre", "L0.resid_post"]
    found = rz.probe(model(), data, sites, split_by="example")
    assert len(found) == 1 and found.skipped == ("L0.resid_pre@-1: the same in every example",)
    with pytest.raises(ShapeError, match="the same in every example"):
        rz.probe(model(), data, "L0.resid_pre", split_by="example")


def test_blocks_on_disk_give_the_same_probe_as_memory(monkeypatch) -> None:
    from residuum.directions import activation_writer, site_values
    from residuum.directions.probes import softmax_fit

    rng = np.random.default_rng(0)
    rows = rng.integers(0, WORDS, (300, 3))
    data = Examples.from_texts(model(), rows.tolist(), (rows[:, -1] % 2).tolist()).unique()
    whole = rz.probe(model(), data, split_by="example")
    monkeypatch.setattr(activation_writer, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(site_values, "_BLOCK", 37)
    monkeypatch.setattr(softmax_fit, "_CACHED", 0)
    streamed = rz.probe(model(), data, split_by="example")
    for ours, theirs in zip(streamed.probes, whole.probes, strict=True):
        assert isinstance(ours, ProbeWeights)
        assert torch.allclose(ours.matrix, theirs.matrix, rtol=1e-3, atol=1e-5)
    assert [s.test for s in streamed.scores] == [s.test for s in whole.scores]
