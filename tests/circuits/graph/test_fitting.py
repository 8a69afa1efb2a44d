"""A graph is used on its own model only, and one that leaves edges out says so everywhere."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "families"))
from configs import build

import residuum as rz
from residuum.circuits import (
    EAP,
    Circuit,
    DiscoveryProblem,
    EdgeScores,
    ExactEdges,
    Graph,
    MaskedRuns,
    circuit_from_edges,
    discover,
    graph_of,
    load_circuit,
)
from residuum.circuits.graph.fitting import graph_on, shape_of
from residuum.core import LoadError, OptionError, StoreError
from residuum.runs import metric_named


@pytest.fixture(scope="session")
def model():
    return rz.load("microworld")


@pytest.fixture(scope="module")
def other():
    return rz.load(build("gpt2"), check=False)


def partial(graph, keep):
    """The graph with these edges alone, as someone makes it by hand."""
    return Graph(graph.senders, graph.receivers, graph.edges[keep], graph.positions, graph.group)


def test_a_graph_carries_the_shape_of_its_model(model, graph, tmp_path):
    assert graph.shape == shape_of(model) and str(graph.shape) == "4 layers x 8 heads"
    assert graph.left_out == ()
    again = Graph.from_json(json.loads(json.dumps(graph.to_json())))
    assert again.shape == graph.shape and again == graph


def test_an_older_graph_has_no_shape_and_gets_its_models(model, graph):
    data = {k: v for k, v in graph.to_json().items() if k != "shape"}
    old = Graph.from_json(data)
    assert old.shape is None and old == graph and old.left_out == ()
    assert graph_on(old, model).shape == graph.shape


def test_scores_and_trials_say_what_a_partial_graph_left_out(model, graph, task):
    some = np.arange(graph.n_edges) % 3 > 0
    left = replace(partial(graph, some), shape=graph.shape)
    circuit = circuit_from_edges(left, left.names[-200:])
    said = circuit.own_warnings
    assert said and "leaves out" in said[0]
    scores = rz.evaluate(circuit, model, task, references=["counterfactual"], subsets=1)
    assert set(said) <= set(scores.warnings)
    judged = rz.trial(circuit, model, task, references=("counterfactual",), alpha=0.2)
    assert set(said) <= set(judged.warnings)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox", "falcon_7b", "mixtral"])
def test_the_shape_alone_gives_every_edge(name):
    graph = graph_of(rz.load(build(name), check=False))
    shape = graph.shape
    made = Graph.of(
        shape.senders, shape.receivers, parallel=shape.parallel, group=shape.group, shape=shape
    )
    assert made == graph and made.left_out == ()


def test_another_models_graph_is_refused_wherever_they_meet(model, task, other):
    theirs = graph_of(other)
    what = "the graph is of a model of 3 layers x 4 heads; microworld has 4 layers x 8 heads"
    for call in (
        lambda: discover(model, task, EAP(), graph=theirs),
        lambda: DiscoveryProblem(model, task, theirs, metric_named("logit_diff")),
        lambda: MaskedRuns(model, theirs, task),
    ):
        with pytest.raises(OptionError, match=what) as caught:
            call()
        assert caught.value.mend == "make the graph of this model: graph_of(model)"
    with pytest.raises(LoadError, match=what) as lost:
        circuit_from_edges(theirs, ["embed -> logits"]).check_fits(model)
    assert "rz.discover(model, task)" in lost.value.mend


@pytest.mark.parametrize("verb", ["evaluate", "trial", "load_circuit"])
def test_a_circuit_without_hashes_is_checked_by_its_shape(model, task, other, verb, tmp_path):
    circuit = circuit_from_edges(graph_of(other), ["embed -> logits"])
    circuit.save(tmp_path / "c.json")
    calls = {
        "evaluate": lambda: rz.evaluate(circuit, model, task),
        "trial": lambda: rz.trial(circuit, model, task),
        "load_circuit": lambda: load_circuit(tmp_path / "c.json", model),
    }
    with pytest.raises(LoadError, match="a circuit of another model: the graph is of a model of"):
        calls[verb]()


@pytest.mark.parametrize("graph", ["x", 3, {"a": 1}], ids=["text", "number", "dict"])
def test_what_is_no_graph_is_refused_in_a_line(model, task, graph):
    for call in (
        lambda: discover(model, task, EAP(), graph=graph),
        lambda: MaskedRuns(model, graph, task),
        lambda: EdgeScores(graph, [1.0]),
        lambda: Circuit(graph, np.ones(1, dtype=bool)),
    ):
        with pytest.raises(OptionError, match="is no graph") as caught:
            call()
        assert "graph_of(model" in caught.value.mend


def test_a_graph_made_by_hand_must_fit_too(model, task, other):
    theirs = partial(graph_of(model), slice(None))
    with pytest.raises(OptionError, match=r"has no L0.head_out\[H4\], which the graph has"):
        graph_on(theirs, other)
    parallel = rz.load(build("gpt_neox"), check=False)
    hand = Graph.of(["embed", "L0.head_out[H0]"], ["L0.mlp_in", "logits"])
    with pytest.raises(OptionError, match=r"has no edge L0.head_out\[H0\] -> L0.mlp_in"):
        graph_on(hand, parallel)
    grouped = rz.load(build("llama"), check=False)
    with pytest.raises(OptionError, match="2 heads share keys and values, in the graph 1"):
        graph_on(Graph.of(["embed"], ["L0.k_in[H0]", "logits"]), grouped)


def test_a_shape_that_the_nodes_do_not_have_is_refused(graph):
    small = replace(graph.shape, n_layers=2)
    with pytest.raises(OptionError, match=r"a model of 2 layers x 8 heads has no L2.head_out"):
        replace(graph, shape=small)
    data = graph.to_json()
    data["shape"]["n_heads"] = "eight"
    with pytest.raises(StoreError, match="the shape of a graph's model does not hold"):
        Graph.from_json(data)


def test_a_partial_graph_says_what_it_leaves_out(model, task, graph):
    into_logits = graph.into("logits")
    small = partial(graph, into_logits)
    circuit = discover(model, task, EAP(), graph=small, n_edges=5)
    left = graph.n_edges - len(into_logits)
    assert len(circuit.graph.left_out) == left
    assert set(circuit.graph.left_out) == set(graph.names) - set(small.names)
    assert circuit.share == (5 + left) / graph.n_edges
    told = f"the graph leaves out {left:,} of the model's {graph.n_edges:,} edges"
    for said in (circuit.scores.warnings[0], circuit.warnings[0], repr(circuit)):
        assert told in said and "own value in every circuit" in said
    whole = discover(model, task, EAP(), n_edges=5)
    assert whole.share == 5 / graph.n_edges and "leaves out" not in repr(whole)
    assert not any("leaves out" in each for each in whole.warnings)


def test_edges_without_an_effect_are_not_called_found(model, task):
    null = rz.Task.from_pairs(
        clean=task.clean,
        corrupt=task.clean,
        answers=task.answers,
        wrong=task.wrong,
        lengths=task.lengths,
    )
    circuit = discover(model, null, EAP(), n_edges=7)
    told = "every score is 0: nothing was found, and its 7 edges are the first of the graph"
    assert told in circuit.warnings[0] and told in repr(circuit)
    found = discover(model, task, EAP(), n_edges=7)
    assert not any("score" in each and "0" in each for each in found.warnings)
    values = np.zeros(found.graph.n_edges)
    values[found.graph.into("logits")[:3]] = 1.0
    some = replace(found.scores, values=values, examples=None)
    few = replace(found, scores=some).resized(7)
    said = "4 of its 7 edges score 0 by this method: it gives no reason to keep them"
    assert few.warnings[0] == said


def test_edges_left_out_at_some_positions_are_kept_there(model, task):
    graph = graph_of(model, task, by_position=True)
    drawn = np.random.default_rng(0).random(graph.n_edges) < 0.5
    small = partial(graph, drawn)
    runs = MaskedRuns(model, small, task)
    assert len(runs.graph.left_out) == int((~drawn).sum())
    kept = np.random.default_rng(1).random((2, small.n_edges)) < 0.5
    whole = np.ones((2, graph.n_edges), dtype=bool)
    whole[:, drawn] = kept
    found, truth = runs.metric(kept), MaskedRuns(model, graph, task).metric(whole)
    assert np.abs(found - truth).max() < 1e-4 * np.abs(truth).max()
    exact = discover(model, task, ExactEdges(), graph=partial(graph, slice(0, 4)), n_edges=2)
    assert exact.warnings[0].startswith("the graph leaves out")


def test_a_number_that_is_no_edge_is_refused(small):
    for number in (99999, -1, "x", 1.5):
        with pytest.raises(OptionError, match="there is no edge") as caught:
            small.name(number)
        assert caught.value.mend == "use 0 to 11, or graph.index(name)"
    assert small.name(np.int64(3)) == small.names[3]


def test_scores_that_are_no_numbers_are_refused(small):
    with pytest.raises(OptionError, match="values='x' are no numbers"):
        EdgeScores(small, "x")


def test_another_dtype_of_the_same_model_is_named(model, task, tmp_path):
    import torch

    circuit = discover(model, task, EAP(), n_edges=5)
    half = rz.load("microworld", dtype=torch.bfloat16, check=False)
    with pytest.raises(LoadError) as caught:
        circuit.check_fits(half)
    assert "microworld in float32 (" in caught.value.what
    assert "this is microworld in bfloat16 (" in caught.value.what
    assert 'rz.load(..., dtype="float32")' in caught.value.mend
    circuit.check_fits(rz.load("microworld", dtype="float32", check=False))
