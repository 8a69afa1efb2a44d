"""Testing edges: what is predicted, what is measured, and how the two are compared."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from frozen_reference import Reference
from random_transcoders import cross_layer, transcoders
from tiny import loaded, random_ids

import residuum as rz
from residuum.circuits import EdgeTest, attribution_graph
from residuum.circuits.attribution.edge_test import spearman
from residuum.core import LoadError, OptionError, Provenance

IDS = random_ids(1, 5, seed=8)


def traced(name="gpt2", kind="plain"):
    model = loaded(name, torch.float64)
    given = cross_layer(model) if kind == "cross_layer" else transcoders(model)
    return model, given, attribution_graph(model, IDS, given, target=[7, 40], skip=())


@pytest.mark.parametrize("kind", ["plain", "cross_layer"])
def test_predictions_are_what_a_frozen_model_does(kind):
    model, given, graph = traced(kind=kind)
    found = graph.test(model, given, n=6, times=0.5, n_random=0)
    reference = Reference(model, IDS, dict(enumerate(given.layers)) if kind != "plain" else given)
    reference.remember()
    base = reference.forward()
    rows = {each.name: each for each in graph.all_nodes}
    for row, name in enumerate(found.sources):
        source = rows[name]
        leaves = {key: value.detach().clone() for key, value in reference.leaves.items()}
        leaves["acts", source.layer][source.pos, source.index] *= 0.5
        logits = reference.forward(leaves, follow=True)
        for column, other in enumerate(found.targets):
            target = rows[other]
            if target.kind == "logit":
                moved = logits - base
                wanted = float((moved[target.index] - moved.mean()).detach())
            else:
                own = reference.pre[target.layer] - reference.start[target.layer]
                wanted = float(own[target.pos, target.index].detach())
            assert found.predicted[row, column] == pytest.approx(wanted, abs=1e-9)
    assert np.abs(found.predicted[found.reached]).max() > 0.01
    assert not found.predicted[~found.reached].any()


@pytest.mark.parametrize("kind", ["plain", "cross_layer"])
def test_measured_changes_are_those_of_one_run_each(kind):
    model, given, graph = traced("gemma2", kind)
    coders = dict(enumerate(given.layers)) if kind == "cross_layer" else given
    found = graph.test(model, given, n=4, times=0.0, n_random=0, batch_size=3)
    nodes = {each.name: each for each in graph.all_nodes}
    sites = ["ln_final", *(str(each.reads[0]) for each in coders.values())]
    base = model.run(IDS, capture=sites)
    for row, name in enumerate(found.sources):
        source = nodes[name]
        coder, edits = coders[source.layer], []
        for column, at in enumerate(coder.writes):
            gone = -source.value * coder.W_dec[source.index, column]
            edits.append(rz.Add(f"{at}@{source.pos}", gone))
        run = model.run(IDS, capture=sites, edits=edits)
        for column, other in enumerate(found.targets):
            target = nodes[other]
            if target.kind == "logit":
                moved = (run["ln_final"] - base["ln_final"])[0, -1] @ model.W_U
                wanted = float(moved[target.index] - moved.mean())
            else:
                own = coders[target.layer]
                moved = (run[own.reads[0]] - base[own.reads[0]])[0, target.pos]
                wanted = float(moved @ own.W_enc[0, :, target.index])
            assert found.measured[row, column] == pytest.approx(wanted, abs=1e-6)


def test_an_ablated_feature_keeps_the_error():
    """Taking a feature out changes the MLP's output by its own direction, nothing else."""
    model, given, graph = traced()
    name = graph.test(model, given, n=1, n_random=0).sources[0]
    node = graph.all_nodes[graph.index(name)]
    out = model.run(IDS, capture=["mlp_out"])["mlp_out", node.layer][0]
    rebuilt = given[node.layer].reconstruct(
        model.run(IDS, capture=[given[node.layer].reads[0]])[given[node.layer].reads[0]][0]
    )
    error = out - rebuilt
    left = out[node.pos] - node.value * given[node.layer].W_dec[node.index, 0]
    assert torch.allclose(left - error[node.pos], rebuilt[node.pos] - node.value
                          * given[node.layer].W_dec[node.index, 0])  # fmt: skip
    assert error.norm() > 0.1


def made(predicted, measured, null, logits=(False, False, False)):
    shape = np.shape(predicted)
    return EdgeTest(
        sources=tuple("ab")[: shape[0]],
        targets=tuple("xyz"),
        logits=np.array(logits),
        reached=np.ones(shape, bool),
        direct=np.array(predicted, float),
        predicted=np.array(predicted, float),
        measured=np.array(measured, float),
        null=np.array(null, float),
        times=0.0,
        seed=0,
        provenance=Provenance("made"),
    )


def test_agreement_by_hand():
    null = [[[3.0, 2, 1]] * 2, [[1.0, 2, 3]] * 2, [[2.0, 3, 1]] * 2]
    found = made([[1, 2, 3]] * 2, [[1, 2, 4]] * 2, null).of_features
    assert found.pairs == 6 and found.spearman == 1.0 and found.same_sign == 1.0
    assert found.error == pytest.approx(2 / 14)
    # one of three draws reaches 1: (1 + 1) / (3 + 1)
    assert found.p_value == 0.5
    assert found.null_mean == pytest.approx((-1.0 + 1.0 - 0.5) / 3)
    other = made([[1, 2, 3]], [[-1, -2, -4]], np.zeros((0, 1, 3))).of_features
    assert other.spearman == -1.0 and other.same_sign == 0.0
    assert math.isnan(other.p_value) and math.isnan(other.null_high)


def test_no_pairs_make_no_numbers():
    found = made([[1, 2, 3]], [[1, 2, 3]], np.zeros((0, 1, 3))).of_logits
    assert found.pairs == 0 and math.isnan(found.spearman) and math.isnan(found.error)


def test_ranks_share_ties():
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([5.0, 5.0, 9.0])) == 1.0
    assert math.isnan(spearman(np.ones(4), np.arange(4.0)))
    assert math.isnan(spearman(np.arange(2.0), np.arange(2.0)))


def test_random_latents_are_pushed_as_far_and_by_the_seed():
    model, given, graph = traced()
    one, two, other = (
        graph.test(model, given, n=3, n_random=2, seed=seed).null for seed in (0, 0, 1)
    )
    assert np.array_equal(one, two) and not np.allclose(one, other)
    measured = graph.test(model, given, n=3, n_random=2).measured
    assert one.shape == (2, *measured.shape)
    assert not np.allclose(one[0], measured)
    assert 0.05 < np.abs(one).mean() / np.abs(measured).mean() < 20


def test_the_result_is_written_and_drawn(tmp_path):
    model, given, graph = traced()
    found = graph.test(model, given, n=3, n_random=2)
    table = found.to_dataframe()
    assert list(table) == ["source", "target", "direct", "predicted", "measured"]
    assert len(table) == found.reached.sum() > 3
    for name in ("test.json", "test.csv", "test.svg", "test.html"):
        found.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 100
    text = str(found)
    assert "nothing frozen" in text and "random latents" in text and "p = " in text


def test_other_models_transcoders_and_numbers_are_refused():
    model, given, graph = traced()
    with pytest.raises(LoadError, match="other weights"):
        graph.test(loaded("llama", torch.float64), given)
    with pytest.raises(LoadError, match="other transcoders"):
        graph.test(model, transcoders(model, skip=False))
    with pytest.raises(OptionError, match="changes nothing"):
        graph.test(model, given, times=1)
    for wrong in ({"n": 0}, {"n_random": -1}, {"batch_size": 0}, {"times": math.nan}):
        with pytest.raises(OptionError):
            graph.test(model, given, **wrong)
    bare = replace(graph, node_threshold=1e-6)
    with pytest.raises(OptionError, match="no feature, so there is nothing to change"):
        bare.test(model, given)


def test_draws_do_not_depend_on_the_batch():
    model, given, graph = traced(kind="cross_layer")
    many = graph.test(model, given, n=3, n_random=7, batch_size=64)
    few = graph.test(model, given, n=3, n_random=7, batch_size=2)
    assert many.null.shape == few.null.shape == (7, 3, len(many.targets))
    assert np.allclose(many.null, few.null, atol=1e-9)
    assert np.allclose(many.measured, few.measured, atol=1e-9)
    assert np.abs(many.null - many.measured).max() > 0.01
    assert np.abs(many.null[0] - many.null[1]).max() > 0.01


def test_a_single_latent_has_no_other_in_its_place():
    model = loaded("gpt2", torch.float64)
    given = transcoders(model, n=1)
    given = {0: replace(given[0], b_enc=torch.full((1,), 9.0, dtype=torch.float64))}
    graph = attribution_graph(model, IDS, given, target=7, skip=(), node_threshold=1.0)
    with pytest.raises(OptionError, match="has one latent, so none can take its place"):
        graph.test(model, given, n=1, n_random=3)
    assert graph.test(model, given, n=1, n_random=0).null.shape[0] == 0
