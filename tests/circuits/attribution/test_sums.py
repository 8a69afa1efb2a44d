"""The law: what flows into a node, with its bias, is its value, on every family."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_transcoders import cross_layer, transcoders
from tiny import BOTH, MIXTURES, NAMES, loaded, random_ids

from residuum.circuits import attribution_graph
from residuum.core import OptionError

IDS = random_ids(1, 6)
CAUSAL = [name for name in NAMES if name != "bert"]


def bound(dtype):
    return 1e-9 if dtype == torch.float64 else 1e-4


def values(model, graph, given):
    """Activations and centred logits, from the model and the transcoders themselves."""
    coders = given if isinstance(given, dict) else dict(enumerate(given.layers))
    # patterns are looked at, so that attention is computed in the model's own dtype
    run = model.run(IDS, capture=["pattern", *(each.reads[0] for each in coders.values())])
    acts = {layer: own.encode(run[own.reads[0]])[0] for layer, own in coders.items()}
    logits = run.logits[0, -1].double()
    config = model.hf.config.get_text_config()
    cap = getattr(config, "final_logit_softcapping", None)
    logits = torch.atanh(logits / cap) * cap if cap else logits
    centred = logits - logits.mean()
    found = np.full(len(graph.all_nodes), np.nan)
    for i, node in enumerate(graph.all_nodes):
        if node.kind == "feature":
            found[i] = float(acts[node.layer][node.pos, node.index])
        elif node.kind == "logit":
            found[i] = float(centred[node.index])
    return found, acts


def gap(graph, found):
    read = ~np.isnan(found)
    rest = np.abs(graph.weights.sum(1) + graph.bias - found)[read]
    size = (np.abs(graph.weights).sum(1) + np.abs(graph.bias))[read]
    return float((rest / np.maximum(size, size.mean())).max())


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", CAUSAL)
def test_inputs_and_bias_sum_to_the_value_on_every_family(name, dtype):
    model = loaded(name, dtype)
    given = transcoders(model)
    graph = attribution_graph(model, IDS, given, skip=(), max_targets=3, target_share=1.0)
    found, acts = values(model, graph, given)
    assert gap(graph, found) <= bound(dtype)
    assert graph.gap <= bound(dtype)
    assert graph.n_active == sum(int((each != 0).sum()) for each in acts.values())
    assert graph.of_kind("feature").sum() == graph.n_active > 50
    assert graph.of_kind("logit").sum() == 3
    logits = np.flatnonzero(graph.of_kind("logit"))
    assert np.abs(graph.weights[logits]).sum(1).min() > 0.1 * np.abs(found[logits]).min() > 0


KINDS = {
    "cross_layer": lambda model: cross_layer(model),
    "cross_layer_scaled": lambda model: cross_layer(model, scale=2.5, activation="jumprelu"),
    "topk": lambda model: transcoders(model, activation="topk", scale=0.4, tied=True),
    "jumprelu": lambda model: transcoders(model, activation="jumprelu", tied=True),
    "gated": lambda model: transcoders(model, activation="gated", scale=1.7),
    "one layer alone": lambda model: transcoders(model, layers=(1,)),
    "reads the stream": lambda model: {0: stream_coder(model)},
}


def stream_coder(model):
    from random_transcoders import coder

    return coder("L0.mlp_in", ("L0.mlp_out",), skip=True, dtype=model.dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "cohere"])
def test_inputs_and_bias_sum_to_the_value_for_every_kind(name, kind):
    model = loaded(name, torch.float64)
    given = KINDS[kind](model)
    graph = attribution_graph(model, IDS, given, skip=())
    assert gap(graph, values(model, graph, given)[0]) <= 1e-9


def test_sums_stay_exact_where_features_are_left_to_the_errors():
    model = loaded("llama", torch.float64)
    given = cross_layer(model)
    whole = attribution_graph(model, IDS, given, skip=())
    few = attribution_graph(model, IDS, given, skip=(), max_nodes=20)
    assert few.of_kind("feature").sum() == 20 < few.n_active == whole.n_active
    assert gap(few, values(model, few, given)[0]) <= 1e-9
    assert f"{few.n_active - 20} active features are no nodes" in str(few)
    assert few.scores.error_share > whole.scores.error_share
    # edges between features do not depend on what else is a node
    names = {each.name: i for i, each in enumerate(whole.all_nodes)}
    own = np.flatnonzero(few.of_kind("feature"))
    same = [names[few.all_nodes[i].name] for i in own]
    assert np.allclose(few.weights[np.ix_(own, own)], whole.weights[np.ix_(same, same)], atol=1e-12)


def test_the_strongest_features_are_chosen():
    model = loaded("gpt2", torch.float64)
    whole = attribution_graph(model, IDS, transcoders(model), skip=())
    few = attribution_graph(model, IDS, transcoders(model), skip=(), max_nodes=30)
    by_name = {e.name: whole.influence[i] for i, e in enumerate(whole.all_nodes)}
    chosen = sorted(by_name[e.name] for e in few.all_nodes if e.kind == "feature")
    every = sorted(whole.influence[whole.of_kind("feature")])
    assert sum(chosen) > 0.8 * sum(every[-30:])
    assert sum(chosen) > 2 * 30 * np.mean(every)


def test_a_layer_without_a_transcoder_is_an_error_as_a_whole():
    model = loaded("gpt2")
    graph = attribution_graph(model, IDS, transcoders(model, layers=(1,)), skip=())
    assert "no transcoder for L0, L2: their MLPs are errors as a whole" in graph.warnings
    lengths = model.run(IDS, capture=["mlp_out"])["mlp_out", 2][0].norm(dim=-1)
    errors = [e.value for e in graph.all_nodes if e.kind == "error" and e.layer == 2]
    assert np.allclose(errors, lengths.tolist(), rtol=1e-5)
    assert list(graph.unexplained) == ["L1"]


def test_a_skipped_token_has_no_features_and_sums_stay_exact():
    model = loaded("gpt2", torch.float64)
    given = transcoders(model)
    graph = attribution_graph(model, IDS, given, skip=(0, -3))
    assert {e.pos for e in graph.all_nodes if e.kind == "feature"} == {1, 2, 4, 5}
    assert "at token 0, 3 every MLP is an error as a whole (skip=)" in graph.warnings
    assert gap(graph, values(model, graph, given)[0]) <= 1e-9
    with pytest.raises(OptionError, match="leaves no token"):
        attribution_graph(model, IDS, given, skip=range(6))
    with pytest.raises(OptionError, match="is none of the 6"):
        attribution_graph(model, IDS, given, skip=(6,))


def test_results_do_not_depend_on_the_chunks(monkeypatch):
    model = loaded("mistral", torch.float64)
    whole = attribution_graph(model, IDS, transcoders(model), skip=())
    monkeypatch.setattr("residuum.circuits.attribution.graph_memory._LEAST", 1)
    monkeypatch.setattr("residuum.circuits.attribution.rows._COPIES", 2**21)
    small = attribution_graph(model, IDS, transcoders(model), skip=())
    assert np.allclose(small.weights, whole.weights, atol=1e-12)


def test_mixtures_are_among_the_families():
    assert set(MIXTURES) <= set(CAUSAL)
    assert len(CAUSAL) >= 25
