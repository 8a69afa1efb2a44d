"""Edges equal an independent autograd reference with stop-gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from frozen_reference import Reference
from random_transcoders import cross_layer, transcoders
from tiny import loaded, random_ids

from residuum.circuits import attribution_graph

IDS = random_ids(1, 5, seed=8)
FAMILIES = {"gpt2": 0.0, "llama": 0.0, "gemma2": 1.0, "gptj": 0.0, "gpt_neox": 0.0, "olmo2": 0.0}


def built(name, kind):
    model = loaded(name, torch.float64)
    given = cross_layer(model) if kind == "cross_layer" else transcoders(model)
    coders = dict(enumerate(given.layers)) if kind == "cross_layer" else given
    reference = Reference(model, IDS, coders, FAMILIES[name])
    return model, given, reference


@pytest.mark.parametrize("kind", ["plain and skip", "cross_layer"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_edge_is_a_gradient_times_its_source(name, kind):
    model, given, reference = built(name, kind)
    graph = attribution_graph(model, IDS, given, target=[7, 40], skip=())
    # RMSNorms compute in float32 whatever the model's dtype
    bound = 1e-10 if name in ("gpt2", "gptj", "gpt_neox") else 1e-5
    logits = reference.forward()
    centred = logits - logits.mean()
    rng = np.random.default_rng(0)
    features = np.flatnonzero(graph.of_kind("feature"))
    checked = [*rng.choice(features, 12, replace=False), *np.flatnonzero(graph.of_kind("logit"))]
    worst = largest = 0.0
    for i in checked:
        node = graph.all_nodes[i]
        if node.kind == "logit":
            value = centred[node.index]
        else:
            value = reference.pre[node.layer][node.pos, node.index]
        assert abs(value.item() - node.value) <= bound
        effects = reference.effects(value)
        for j, source in enumerate(graph.all_nodes):
            if source.kind == "logit":
                wanted = 0.0
            elif source.kind == "feature":
                wanted = float(effects["acts", source.layer][source.pos, source.index])
            elif source.kind == "error":
                wanted = float(effects["error", source.layer][source.pos])
            else:
                wanted = float(effects["embed"][source.pos])
            worst = max(worst, abs(wanted - graph.weights[i, j]))
            largest = max(largest, abs(wanted))
    assert worst <= bound * largest and largest > 0.1


@pytest.mark.parametrize("name", ["gpt2", "gptj"])
def test_no_edge_runs_backward_or_within_a_layer(name):
    model = loaded(name)
    graph = attribution_graph(model, IDS, transcoders(model), skip=())
    for i, j in zip(*np.nonzero(graph.weights), strict=True):
        target, source = graph.all_nodes[i], graph.all_nodes[j]
        assert target.kind in ("feature", "logit") and source.kind != "logit"
        assert source.pos <= target.pos
        if source.layer is not None and target.layer is not None:
            assert source.layer < target.layer


def test_a_contrast_is_the_difference_of_its_tokens():
    model = loaded("gpt2", torch.float64)
    given = transcoders(model)
    both = attribution_graph(model, IDS, given, target=[7, 40], skip=())
    one = attribution_graph(model, IDS, given, target={7: 1, 40: -1}, skip=())
    rows = np.flatnonzero(both.of_kind("logit"))
    own = np.flatnonzero(one.of_kind("logit"))
    n = len(both.all_nodes) - 2
    wanted = both.weights[rows[0], :n] - both.weights[rows[1], :n]
    assert np.allclose(one.weights[own[0], :n], wanted, atol=1e-12)
    assert one.bias[own[0]] == pytest.approx(both.bias[rows[0]] - both.bias[rows[1]])
