"""Transcoders that were trained: what their graphs explain, and what their edges foretell."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

import residuum as rz
from residuum.circuits import attribution_graph
from residuum.dictionaries import Dictionary, ReLU
from residuum.worlds import microworld_text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def model():
    return rz.load("microworld")


@pytest.fixture(scope="module")
def trained(model, tmp_path_factory):
    text = list(islice(microworld_text("attribution/train"), 400))
    sites = [f"L{i}.{name}" for i in range(model.n_layers) for name in ("ln2", "mlp_out")]
    kept = rz.harvest(model, text, sites, keep=tmp_path_factory.mktemp("kept"), dtype="float32")
    plans = {
        str(i): rz.CoderPlan(
            reads=(f"L{i}.ln2",), writes=(f"L{i}.mlp_out",), width=128, n_latents=256,
            activation=rz.TopK(12),
        )
        for i in range(model.n_layers)
    }  # fmt: skip
    made = rz.train_dictionaries(
        kept.source(seed=0), plans, steps=100, batch_size=256, optimiser=rz.Adam(2e-3), seed=0
    )
    return {i: made[str(i)].dictionary for i in range(model.n_layers)}


def dense(layer):
    made = torch.Generator().manual_seed(layer)
    tensors = {
        name: torch.randn(*shape, generator=made) * 0.5
        for name, shape in {"W_enc": (1, 128, 64), "W_dec": (64, 1, 128), "b_enc": (64,)}.items()
    }
    return Dictionary(
        f"L{layer}.ln2", f"L{layer}.mlp_out", b_dec=torch.zeros(1, 128), activation=ReLU(),
        **tensors,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["ioi", "agreement"])
def test_trained_features_explain_and_foretell(model, trained, name):
    task = rz.task(name, model, n=2, seed=0)
    ids = task.clean[:1] if task.attention_mask is None else task.clean[:1, task.attention_mask[0]]
    target = {int(task.answers[0].flatten()[0]): 1, int(task.wrong[0].flatten()[0]): -1}
    graph = attribution_graph(model, ids, trained, target=target)
    assert graph.gap < 1e-4
    assert max(graph.unexplained.values()) < 0.8
    assert graph.scores.replacement > 0.35 and graph.scores.completeness > 0.6
    test = graph.test(model, trained, n=12, n_random=39)
    assert test.of_features.spearman > 0.4 and test.of_features.p_value == 1 / 40
    assert test.of_features.spearman > test.of_features.null_high

    random = {i: dense(i) for i in range(model.n_layers)}
    other = attribution_graph(model, ids, random, target=target)
    assert min(other.unexplained.values()) > 10
    assert other.test(model, random, n=12, n_random=0).of_features.spearman < 0.45
