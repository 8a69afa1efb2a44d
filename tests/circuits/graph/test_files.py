"""Circuits as files: what comes back, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "families"))
from configs import build

import residuum as rz
from residuum.circuits import (
    Circuit,
    EdgeScores,
    circuit_from_edges,
    circuit_from_mib,
    circuit_from_networkx,
    circuit_of,
    graph_of,
    load_circuit,
)
from residuum.core import LoadError, OptionError, StoreError


@pytest.fixture
def circuit(scores):
    return circuit_of(scores, 40)


def test_a_saved_circuit_comes_back(circuit, model, tmp_path):
    circuit.save(tmp_path / "c.json")
    again = load_circuit(tmp_path / "c.json", model)
    assert again == circuit and again.hash == circuit.hash
    assert (again.scores.values == circuit.scores.values).all()
    assert (again.scores.se == circuit.scores.se).all()
    assert again.scores.full == 3.5 and again.scores.warnings == ("made up",)
    assert again.resized(10) == circuit.resized(10)
    assert again.provenance == circuit.provenance and again.weight_hash
    data = json.loads((tmp_path / "c.json").read_text())
    assert data["reference"] == "counterfactual" and len(data["sha256"]) == 64


def test_a_circuit_by_position_comes_back(model, task, tmp_path):
    graph = graph_of(model, task, by_position=True)
    values = np.random.default_rng(1).normal(size=graph.n_edges)
    circuit = circuit_of(EdgeScores(graph, values), 25)
    for name in ("c.json", "c.graphml"):
        circuit.save(tmp_path / name)
        again = load_circuit(tmp_path / name)
        assert again.graph == graph and (again.kept == circuit.kept).all()


@pytest.mark.parametrize("change", ["kept", "values", "reference"])
def test_an_edited_file_is_refused(circuit, tmp_path, change):
    circuit.save(tmp_path / "c.json")
    data = json.loads((tmp_path / "c.json").read_text())
    if change == "kept":
        data["kept"] = data["kept"][1:]
    elif change == "values":
        data["scores"]["values"][0] += 0.5
    else:
        data["reference"] = "zero"
    (tmp_path / "c.json").write_text(json.dumps(data))
    with pytest.raises(StoreError) as caught:
        load_circuit(tmp_path / "c.json")
    assert "the circuit was changed after it was written" in caught.value.what
    assert "find the circuit again" in caught.value.mend


def test_another_model_is_refused(circuit, tmp_path):
    circuit.save(tmp_path / "c.json")
    other = rz.load(build("gpt2"), check=False)
    with pytest.raises(LoadError) as caught:
        load_circuit(tmp_path / "c.json", other)
    assert "the circuit is of microworld (" in caught.value.what
    assert caught.value.mend == "find it again on this model: rz.discover(model, task)"


def test_an_empty_circuit_is_refused(circuit, tmp_path):
    empty = circuit.resized(0)
    assert empty.n_edges == 0
    for name in ("c.json", "c.mib.json", "c.graphml"):
        with pytest.raises(OptionError, match="an empty circuit: no edge is kept"):
            empty.save(tmp_path / name)
    with pytest.raises(StoreError) as caught:
        Circuit.from_json(empty.to_json())
    assert caught.value.what == "an empty circuit: no edge is kept"
    assert "circuit.resized" in caught.value.mend


def test_an_empty_circuit_without_scores_is_not_told_to_resize(circuit):
    empty = circuit_from_edges(circuit.graph, [])
    with pytest.raises(OptionError, match="an empty circuit") as caught:
        empty.need_edges()
    assert caught.value.mend.startswith("name at least one: circuit_from_edges(graph, ")
    with pytest.raises(StoreError, match="an empty circuit") as caught:
        Circuit.from_json(empty.to_json())
    assert "resized" not in caught.value.mend


@pytest.mark.parametrize(
    ("text", "what"),
    [("{}", "not a circuit of format 1"), ("[", "cannot be read as a circuit"), ("3", "not a cir")],
)
def test_what_is_no_circuit_is_refused(tmp_path, text, what):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(StoreError, match=what):
        load_circuit(tmp_path / "c.json")


def test_a_file_that_is_not_there_is_refused(circuit, tmp_path):
    for name in ("c.json", "c.graphml"):
        with pytest.raises(StoreError, match="there is no such file"):
            load_circuit(tmp_path / name)
    with pytest.raises(OptionError, match=r"cannot save a circuit as '\.txt'"):
        circuit.save(tmp_path / "c.txt")


def test_the_mib_layout_has_their_names(circuit, model):
    data = circuit.to_mib(d_model=128)
    assert data["cfg"] == {
        "n_layers": 4,
        "n_heads": 8,
        "parallel_attn_mlp": False,
        "d_model": 128,
    }
    assert len(data["edges"]) == circuit.graph.n_edges
    assert set(data["edges"]) > {"input->a0.h0<q>", "a0.h7->m0", "m0->a1.h3<k>", "m3->logits"}
    edge = circuit.graph.index("L0.mlp_out -> L1.k_in[H3]")
    there = data["edges"]["m0->a1.h3<k>"]
    assert there == {
        "score": circuit.scores.values[edge],
        "in_graph": bool(circuit.kept[edge]),
    }
    kept = {name for name, each in data["edges"].items() if each["in_graph"]}
    assert len(kept) == 40
    assert data["nodes"]["logits"] == {"in_graph": True}
    inside = {name for name, each in data["nodes"].items() if each["in_graph"]} - {"logits"}
    assert inside == {name.split("->")[0] for name in kept}


def test_the_mib_layout_comes_back(circuit, model, tmp_path):
    circuit.save(tmp_path / "c.mib.json")
    for given in (model, None):
        again = load_circuit(tmp_path / "c.mib.json", given)
        assert again.graph == circuit.graph and (again.kept == circuit.kept).all()
        assert np.allclose(again.scores.values, circuit.scores.values)
    assert load_circuit(tmp_path / "c.mib.json", model).weight_hash == circuit.weight_hash


def test_grouped_heads_share_out_their_scores_and_sum_them_again():
    model = rz.load(build("llama"), check=False)
    graph = graph_of(model)
    values = np.random.default_rng(2).normal(size=graph.n_edges)
    circuit = circuit_of(EdgeScores(graph, values), 30, how="top")
    data = circuit.to_mib()
    shared = values[graph.index("embed -> L1.k_in[H1]")]
    assert data["edges"]["input->a1.h2<k>"]["score"] == pytest.approx(shared / 2)
    assert data["edges"]["input->a1.h3<k>"]["score"] == pytest.approx(shared / 2)
    again = circuit_from_mib(data, model)
    assert (again.kept == circuit.kept).all() and np.allclose(again.scores.values, values)


def test_parallel_blocks_and_models_without_mlps_in_the_mib_layout():
    model = rz.load(build("gptj"), check=False)
    graph = graph_of(model)
    circuit = circuit_of(EdgeScores(graph, np.arange(graph.n_edges)), 30, how="top")
    data = circuit.to_mib()
    assert data["cfg"]["parallel_attn_mlp"] and "a1.h0->m1" not in data["edges"]
    assert circuit_from_mib(data).graph == graph
    bare = rz.load("handmade_induction")
    wiring = circuit_from_edges(graph_of(bare), ["L0.head_out[H0] -> L1.k_in[H0]"])
    data = wiring.to_mib()
    assert data["edges"]["input->m0"] == {"score": 0.0, "in_graph": False}
    again = circuit_from_mib(data, bare)
    assert again.edge_names == wiring.edge_names and again.scores is None
    data["edges"]["input->m0"]["in_graph"] = True
    with pytest.raises(StoreError, match="the circuit keeps input->m0, of which this model"):
        circuit_from_mib(data, bare)


def test_the_older_layout_of_nodes_is_read(circuit):
    data = circuit.to_mib()
    data["nodes"] = {name: each["in_graph"] for name, each in data["nodes"].items()}
    assert (circuit_from_mib(data).kept == circuit.kept).all()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d["cfg"].pop("n_heads"), "not a circuit in the MIB layout"),
        (lambda d: d["cfg"].update(n_heads="8"), "a circuit of 4 layers × '8' heads"),
        (lambda d: d["cfg"].update(n_heads=4), "a circuit of 4 layers × 4 heads, for a model of 4"),
        (lambda d: d["cfg"].update(parallel_attn_mlp=True), "in parallel blocks, for a model"),
        (lambda d: d["edges"].pop("input->m0"), "the edge input->m0 is missing"),
        (lambda d: d["edges"].update({"m0->x": {}}), "there is no edge 'm0->x'"),
        (lambda d: d["nodes"].update({"x": {}}), "there is no node"),
        (lambda d: d["edges"]["input->m0"].update(score="a"), "has the score 'a'"),
        (lambda d: [e.update(in_graph=False) for e in d["edges"].values()], "an empty circuit"),
    ],
)
def test_a_broken_mib_file_is_refused(circuit, model, change, what):
    data = circuit.to_mib()
    change(data)
    with pytest.raises(StoreError) as caught:
        circuit_from_mib(data, model)
    assert what in caught.value.what and caught.value.mend


def test_what_the_mib_layout_has_no_word_for_is_refused(model, task):
    for graph, text in (
        (graph_of(model, task, by_position=True), "no positions"),
        (graph_of(model, finer="L1.mlp_act[N3]"), "no single neurons or latents"),
    ):
        circuit = Circuit(graph, np.ones(graph.n_edges, dtype=bool))
        with pytest.raises(OptionError, match=text):
            circuit.to_mib()


def test_paths_of_the_network_are_paths_of_the_model(small):
    import networkx as nx

    names = ["embed -> L0.v_in[H0]", "L0.head_out[H0] -> L1.k_in[H0]", "L1.head_out[H0] -> logits"]
    made = circuit_from_edges(small, names).to_networkx()
    path = ["embed", "L0.head_out[H0]", "L1.head_out[H0]", "logits"]
    assert nx.shortest_path(made, "embed", "logits") == path
    assert made["L0.head_out[H0]"]["L1.head_out[H0]"][names[1]]["into"] == "k_in"
    assert made.nodes["L1.head_out[H0]"] == {"layer": 1, "site": "head_out"}


def test_a_network_comes_back_and_may_have_lost_edges(circuit):
    made = circuit.to_networkx(whole=True)
    again = circuit_from_networkx(made)
    assert (again.kept == circuit.kept).all()
    assert np.allclose(again.scores.values, circuit.scores.values)
    assert again.selection == circuit.selection and again.provenance == circuit.provenance
    few = circuit.to_networkx()
    source, target, name = next(iter(few.edges(keys=True)))
    few.remove_edge(source, target, name)
    smaller = circuit_from_networkx(few)
    assert set(circuit.edge_names) - set(smaller.edge_names) == {name}
    assert smaller.scores is None


def test_shared_key_heads_are_one_edge_again():
    model = rz.load(build("llama"), check=False)
    graph = graph_of(model)
    circuit = circuit_from_edges(graph, ["embed -> L0.k_in[H1]"])
    made = circuit.to_networkx()
    assert set(made.successors("embed")) == {"L0.head_out[H2]", "L0.head_out[H3]"}
    assert circuit_from_networkx(made).edge_names == circuit.edge_names


def test_graphml_comes_back(circuit, model, tmp_path):
    circuit.save(tmp_path / "c.graphml")
    again = load_circuit(tmp_path / "c.graphml", model)
    assert (again.kept == circuit.kept).all()
    assert np.allclose(again.scores.values, circuit.scores.values)
    (tmp_path / "c.graphml").write_text("<graphml>")
    with pytest.raises(StoreError, match="no GraphML of a circuit"):
        load_circuit(tmp_path / "c.graphml")


def test_a_strange_network_is_refused(circuit):
    import networkx as nx

    with pytest.raises(StoreError, match="a network that holds no circuit"):
        circuit_from_networkx(nx.MultiDiGraph())
    made = circuit.to_networkx()
    made.add_edge("embed", "logits", edge="embed -> nowhere")
    with pytest.raises(StoreError, match="the model has no edge 'embed -> nowhere'"):
        circuit_from_networkx(made)
    made = circuit.to_networkx()
    made.remove_edges_from(list(made.edges(keys=True)))
    with pytest.raises(StoreError, match="an empty circuit"):
        circuit_from_networkx(made)


def test_a_file_nested_too_deep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(rz.StoreError, match="cannot be read as a circuit"):
        rz.load_circuit(tmp_path / "deep.json")
    with pytest.raises(rz.StoreError, match="cannot be read as an attribution graph"):
        rz.load_attribution_graph(tmp_path / "deep.json")
