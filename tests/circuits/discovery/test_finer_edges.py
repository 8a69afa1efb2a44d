"""Discovery on graphs with neurons and latents: sums, slopes of masks, measured effects."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
sys.path.insert(0, str(Path(__file__).parents[2] / "families"))
from finer_models import LATENTS, NEURONS, with_dictionary
from test_masked import task_of
from tiny import loaded

import residuum as rz
from residuum.circuits import (
    ACDC,
    EAP,
    EAPIG,
    AtPStar,
    DiscoveryProblem,
    ExactEdges,
    InformationFlow,
    LearnedMask,
    MaskedRuns,
    PathSearch,
    discover,
    graph_of,
    load_circuit,
)
from residuum.core import LoadError, OptionError
from residuum.runs import metric_named

F64 = torch.float64
CASES = ("gpt2 neurons", "llama neurons", "gpt_neox neurons", "gpt2 mlp_out", "gpt2 ln2")


@cache
def case(name):
    family, kind = name.split()
    model = loaded(family, F64) if kind == "neurons" else with_dictionary(family, F64, kind)
    return model, graph_of(model, finer=NEURONS if kind == "neurons" else LATENTS), task_of()


def problem(model, graph, task, reference="counterfactual"):
    return DiscoveryProblem(model, task, graph, metric_named("logit_diff"), reference)


def coarse_name(name):
    """The edge that an edge of a neuron or latent is a piece of."""
    ends = []
    for end in name.split(" -> "):
        site = end.split(".")[-1].split("[")[0].split("/")[0]
        whole = {"mlp_act": "mlp_out", "mlp_pre": "mlp_in"}.get(site, site)
        ends.append(end.split(".")[0] + "." + whole if whole.startswith("mlp") else end)
    return " -> ".join(ends)


@pytest.mark.parametrize("reference", ["counterfactual", "mean", "zero"])
@pytest.mark.parametrize("name", CASES)
def test_first_order_is_the_slope_of_the_mask(name, reference):
    """By another way: masked runs differentiated for the edge, at all edges kept."""
    model, graph, task = case(name)
    runs = MaskedRuns(model, graph, task, reference)
    kept = torch.ones(1, graph.n_edges, dtype=F64, requires_grad=True)
    values = runs.differentiable(kept)[0]
    rows = [torch.autograd.grad(each, kept, retain_graph=True)[0][0].numpy() for each in values]
    found = EAP().score(problem(model, graph, task, reference)).examples
    bound = 1e-6 if name.startswith("llama") else 1e-10  # its norm is taken in float32
    assert np.abs(found - np.stack(rows)).max() <= bound * np.abs(rows).max()


MOVED = [(name, EAPIG(2, "activations")) for name in CASES if "neurons" not in name]
"""Latents are moved together with the rest of their MLP, neurons one after the other."""


@pytest.mark.parametrize(
    ("name", "method"), [(name, each) for name in CASES for each in (EAP(), EAPIG(2))] + MOVED
)
def test_pieces_add_up_to_the_edge_of_the_whole_mlp(name, method):
    model, graph, task = case(name)
    plain = graph_of(model)
    whole = method.score(problem(model, plain, task)).examples
    finer = method.score(problem(model, graph, task)).examples
    sums = np.zeros_like(whole)
    for edge, each in enumerate(graph.names):
        sums[:, plain.index(coarse_name(each))] += finer[:, edge]
    np.testing.assert_allclose(sums, whole, atol=1e-10 * np.abs(whole).max())


@pytest.mark.parametrize("name", CASES)
def test_exact_effects_are_masked_runs_with_one_edge_cut(name):
    model, graph, task = case(name)
    scores = ExactEdges().score(problem(model, graph, task))
    runs = MaskedRuns(model, graph, task)
    for edge in np.linspace(0, graph.n_edges - 1, 12).astype(int):
        kept = np.ones(graph.n_edges, dtype=bool)
        kept[edge] = False
        lost = runs.whole - runs.metric(kept)[0]
        np.testing.assert_allclose(scores.examples[:, edge], lost, atol=1e-12)
    plain = graph_of(model)
    forked = ExactEdges().score(problem(model, plain, task))
    for edge in ("embed -> L0.q_in[H1]", "L0.head_out[H2] -> logits", "embed -> L2.v_in[H0]"):
        assert scores.score(edge) == pytest.approx(forked.score(edge), abs=1e-10)
    assert scores.full == pytest.approx(forked.full) and scores.empty == pytest.approx(forked.empty)


def test_a_neurons_effect_by_a_plain_edit():
    """Into the logits: the last stream without what the neuron adds more than in the reference."""
    model, graph, task = case("gpt2 neurons")
    scores = ExactEdges().score(problem(model, graph, task))
    sites = ["L1.mlp_act", "L2.resid_post"]
    clean, corrupt = (model.run(ids, capture=sites) for ids in (task.clean, task.corrupt))
    row = model.adapted.weights.by_layer("W_out")[1][5]
    change = (corrupt[sites[0]] - clean[sites[0]])[..., 5, None] * row
    logits = model.run(task.clean, edits=[rz.Add("L2.resid_post", change)]).last
    metric = metric_named("logit_diff")
    lost = metric(clean.last.double(), task) - metric(logits.double(), task)
    found = scores.examples[:, graph.index("L1.mlp_act[N5] -> logits")]
    np.testing.assert_allclose(found, lost.numpy(), atol=1e-10)
    assert np.abs(found).max() > 1e-6


@pytest.mark.parametrize(
    "method",
    [AtPStar(), ACDC(0.01), LearnedMask(share=0.3, steps=4), InformationFlow(), PathSearch(0.2)],
    ids=["atp", "acdc", "mask", "flow", "paths"],
)
@pytest.mark.parametrize("name", ["gpt2 neurons", "gpt2 ln2"])
def test_every_method_takes_them(name, method):
    model, graph, task = case(name)
    circuit = discover(model, task, method, graph=graph)
    assert np.isfinite(circuit.scores.values).all() and np.abs(circuit.scores.values).max() > 0
    finer = [i for i, each in enumerate(graph.names) if "mlp_act" in each or "/coder" in each]
    assert np.abs(circuit.scores.values[finer]).max() > 0


def test_such_a_circuit_is_saved_verified_and_judged(tmp_path):
    model, graph, task = case("gpt2 ln2")
    circuit = discover(model, task, EAP(), graph=graph, n_edges=20, verify=5, sample=5)
    assert "5 edges measured exactly" in "".join(circuit.scores.warnings)
    circuit.save(tmp_path / "c.json")
    again = load_circuit(tmp_path / "c.json", model)
    assert again == circuit and again.share == 20 / graph.n_edges
    judged = rz.evaluate(circuit, model, task_of(seed=9), references="counterfactual")
    runs = MaskedRuns(model, graph, task_of(seed=9))
    found = judged.by_reference["counterfactual"].circuit
    np.testing.assert_allclose(found, runs.metric(circuit.kept)[0], atol=1e-10)
    other = with_dictionary("gpt2", F64, "ln2")
    own = other.dictionaries["coder"]
    other.dictionaries["coder"] = replace(own, b_dec=2 * own.b_dec)
    with pytest.raises(LoadError, match=r"dictionary 'coder' on .* is another than the circuit's"):
        again.check_fits(other)


def test_an_engine_that_knows_no_neurons_is_refused():
    model, graph, task = case("gpt2 neurons")
    with pytest.raises(OptionError, match="measures no edges of neurons or latents") as caught:
        discover(model, task, ExactEdges("forked"), graph=graph)
    assert caught.value.mend == "use engine='auto'"
