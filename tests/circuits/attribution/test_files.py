"""Tables, pictures, files, and the JSON that viewers read."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from random_transcoders import transcoders
from tiny import loaded, random_ids

from residuum.circuits import AttributionGraph, attribution_graph, load_attribution_graph
from residuum.core import OptionError, StoreError, content_hash

IDS = random_ids(1, 6)
REQUIRED = {  # facts of the public schema, version 1.0.0
    "metadata": {"slug": str, "scan": str, "prompt_tokens": list, "prompt": str},
    "node": {
        "node_id": str,
        "feature": int,
        "layer": str,
        "ctx_idx": int,
        "feature_type": str,
        "jsNodeId": str,
        "clerp": str,
    },
    "link": {"source": str, "target": str, "weight": float},
}
TYPES = {"cross layer transcoder", "mlp reconstruction error", "embedding", "logit"}


@pytest.fixture(scope="module")
def graph():
    model = loaded("gpt2")
    given = transcoders(model)
    given[1] = given[1].with_labels({i: f"latent {i}" for i in range(12)})
    return attribution_graph(model, IDS, given, target=[7, 40], skip=())


def holds(data, wanted):
    for key, kind in wanted.items():
        assert isinstance(data[key], kind), (key, data[key])


def test_viewers_find_what_their_schema_asks_for(graph, tmp_path):
    graph.write_json(tmp_path / "tiny-graph.json")
    data = json.loads((tmp_path / "tiny-graph.json").read_text())
    assert set(data) == {"metadata", "qParams", "nodes", "links"}
    holds(data["metadata"], REQUIRED["metadata"])
    assert data["metadata"]["slug"] == "tiny-graph"
    assert data["metadata"]["pruning_settings"] == {"node_threshold": 0.8, "edge_threshold": 0.98}
    assert {"pinnedIds", "supernodes", "linkType", "clickedId", "sg_pos"} == set(data["qParams"])
    ids = [each["node_id"] for each in data["nodes"]]
    assert len(set(ids)) == len(ids) == graph.kept.sum()
    for node in data["nodes"]:
        holds(node, REQUIRED["node"])
        assert 0 <= node["ctx_idx"] < 6
    assert {each["feature_type"] for each in data["nodes"]} == TYPES
    assert len(data["links"]) == graph.kept_edges.sum()
    for link in data["links"]:
        holds(link, REQUIRED["link"])
        assert link["source"] in ids and link["target"] in ids


def test_ids_are_those_that_viewers_take_apart(graph, tmp_path):
    graph.write_json(tmp_path / "x.json", slug="mine", scan="gpt2-small")
    data = json.loads((tmp_path / "x.json").read_text())
    assert data["metadata"]["slug"] == "mine" and data["metadata"]["scan"] == "gpt2-small"
    by_id = {each["node_id"]: each for each in data["nodes"]}
    pages = {}
    for node in graph.nodes:
        place = {"feature": node.layer, "error": node.layer, "token": "E", "logit": 4}[node.kind]
        number = -1 if node.kind == "error" else node.index
        own = by_id[f"{place}_{number}_{node.pos}"]
        assert own["ctx_idx"] == node.pos and own["layer"] == str(place)
        if node.kind == "feature":
            x, y = node.layer, node.index
            assert own["feature"] == (x + y) * (x + y + 1) // 2 + y
            assert own["activation"] == node.value and own["clerp"] == node.words
            assert own["jsNodeId"] == f"{x}_{y}-0"
        elif node.kind == "logit":
            assert own["token_prob"] == node.probability
            assert own["clerp"] == f'Output "<{node.index}>" (p={node.probability:.3f})'
            assert own["influence"] is None
        pages.setdefault(own["jsNodeId"], set()).add((node.kind, node.layer, node.index))
    assert all(len(each) == 1 for each in pages.values())
    assert sum(each["is_target_logit"] for each in data["nodes"]) == 1


def test_a_contrast_has_no_probability_in_a_viewer(tmp_path):
    model = loaded("gpt2")
    own = attribution_graph(model, IDS, transcoders(model), target={7: 1, 40: -1}, skip=())
    own.write_json(tmp_path / "x.json")
    nodes = json.loads((tmp_path / "x.json").read_text())["nodes"]
    logit = next(each for each in nodes if each["feature_type"] == "logit")
    assert logit["clerp"] == 'Output "<7> - <40>"' and logit["is_target_logit"]
    assert logit["token_prob"] == 0.0 and logit["feature"] == 7


def test_the_viewers_slider_reads_cumulative_influence(graph, tmp_path):
    graph.write_json(tmp_path / "x.json")
    nodes = json.loads((tmp_path / "x.json").read_text())["nodes"]
    reached = {e["node_id"]: e["influence"] for e in nodes if e["influence"] is not None}
    assert all(0 < each <= 1 + 1e-12 for each in reached.values())
    order = np.argsort(-graph.influence)
    running = np.cumsum(graph.influence[order]) / graph.influence.sum()
    for place, i in enumerate(order):
        node = graph.all_nodes[i]
        if node.kind == "feature" and graph.kept[i]:
            own = reached[f"{node.layer}_{node.index}_{node.pos}"]
            assert own == pytest.approx(running[place])


def test_a_saved_graph_comes_back(graph, tmp_path):
    graph.save(tmp_path / "graph.json")
    back = load_attribution_graph(tmp_path / "graph.json")
    assert back.all_nodes == graph.all_nodes and back.terms == graph.terms
    assert np.allclose(back.weights, graph.weights, rtol=1e-8)
    assert back.provenance == graph.provenance and back.unexplained == graph.unexplained
    assert (back.kept == graph.kept).all() and (back.kept_edges == graph.kept_edges).all()
    assert str(back) == str(graph)


def hashed(data):
    """With the hash of what it holds, as if it had been written so."""
    plain = {key: value for key, value in data.items() if key != "sha256"}
    return plain | {"sha256": content_hash(plain)}


def test_a_damaged_file_is_refused(graph, tmp_path):
    data = graph.to_json()
    for change in (
        {"extra": 1},
        {"format": 2},
        {"edges": data["edges"] | {"source": [10**6] * len(data["edges"]["source"])}},
        {"edges": data["edges"] | {"target": [-1] * len(data["edges"]["target"])}},
        {"edges": data["edges"] | {"weight": [float("nan")] * len(data["edges"]["weight"])}},
        {"edges": {}},
        {"bias": [0.0]},
        {"bias": [float("nan")] * len(data["bias"])},
        {"nodes": [{"kind": "other"}]},
        {"nodes": [3]},
        {"nodes": None},
        {"tokens": 3},
        {"unexplained": 3},
        {"provenance": 3},
    ):
        with pytest.raises(StoreError):
            AttributionGraph.from_json(hashed(data | change))
    for wrong in ({}, [], 3, None):
        with pytest.raises(StoreError, match="no attribution graph"):
            AttributionGraph.from_json(wrong)
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read as an attribution graph"):
        load_attribution_graph(tmp_path / "torn.json")
    with pytest.raises(StoreError, match="there is no such file"):
        load_attribution_graph(tmp_path / "absent.json")


def test_an_edited_file_is_refused(graph, tmp_path):
    graph.save(tmp_path / "graph.json")
    data = json.loads((tmp_path / "graph.json").read_text())
    was = data["edges"]["weight"][0]
    data["edges"]["weight"][0] = was + 0.5
    (tmp_path / "graph.json").write_text(json.dumps(data))
    with pytest.raises(StoreError, match="changed after it was written") as error:
        load_attribution_graph(tmp_path / "graph.json")
    assert "make the graph again" in error.value.mend
    data["edges"]["weight"][0] = was
    (tmp_path / "graph.json").write_text(json.dumps(data, indent=2))
    assert str(load_attribution_graph(tmp_path / "graph.json")) == str(graph)


def test_tables_and_networkx_hold_what_was_kept(graph):
    edges, nodes, made = graph.to_dataframe(), graph.to_dataframe("nodes"), graph.to_networkx()
    assert len(edges) == len(graph.edges) == made.number_of_edges() == graph.kept_edges.sum()
    assert (edges["weight"].abs().diff().dropna() <= 0).all()
    assert len(nodes) == len(graph.all_nodes) and nodes["kept"].sum() == len(graph.nodes)
    first = graph.edges[0]
    ends = [graph.all_nodes[i].name for i in (first.source, first.target)]
    assert made.edges[ends[0], ends[1]]["weight"] == first.weight
    assert set(made) == {each.name for each in graph.nodes}
    with pytest.raises(OptionError, match="is no table"):
        graph.to_dataframe("paths")


def test_names_are_addresses_and_all_different(graph):
    names = [each.name for each in graph.all_nodes]
    assert len(set(names)) == len(names)
    assert graph.all_nodes[0].name.startswith("L0.ln2/transcoder[F")
    assert graph.index(names[5]) == 5
    with pytest.raises(OptionError, match="no node is called 'L9"):
        graph.index("L9.x")


def test_the_summary_says_what_errors_hold(graph):
    text = str(graph)
    assert f"errors start {graph.scores.error_share:.0%} of the paths" in text
    assert "which the graph does not explain" in text
    assert all(f"L{i} {graph.unexplained[f'L{i}']:.0%}" in text for i in range(3))
    assert "do not say what weights they were trained on" in text


def test_pruned_scores_count_what_is_gone_as_unexplained(graph):
    whole, left = graph.scores, graph.pruned_scores
    assert left.replacement < whole.replacement and left.completeness < whole.completeness
    assert whole.replacement + whole.error_share == pytest.approx(1)


def test_unexplained_is_the_share_of_variance_that_errors_hold(graph):
    model = loaded("gpt2")
    given = transcoders(model)[2]
    run = model.run(IDS, capture=["mlp_out", given.reads[0]])
    own = run["mlp_out", 2][0]
    rest = own - given.reconstruct(run[given.reads[0]][0])
    wanted = float(rest.square().sum() / (own - own.mean(0)).square().sum())
    assert graph.unexplained["L2"] == pytest.approx(wanted, rel=1e-4)
    assert isinstance(own, torch.Tensor)
