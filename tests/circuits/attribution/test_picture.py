"""The picture: what stands where, which edges come first, and what the slider's measure is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from random_transcoders import transcoders
from tiny import loaded, random_ids

from residuum.circuits import attribution_graph
from residuum.circuits.attribution.drawn_edges import flow_of, grown
from residuum.circuits.attribution.influence import influence_of, normalised
from residuum.core import OptionError
from residuum.figures import LayeredGraph, figure_from_json

IDS = random_ids(1, 6)


@pytest.fixture(scope="module")
def graph():
    model = loaded("gpt2")
    given = transcoders(model)
    given[1] = given[1].with_labels({i: f"latent {i}" for i in range(12)})
    return attribution_graph(
        model, IDS, given, target=[7, 40], skip=(), node_threshold=0.97, edge_threshold=0.99
    )


@pytest.fixture(scope="module")
def figure(graph):
    return graph.figure()


def ends(figure, link):
    return figure.parts[link.source].name, figure.parts[link.target].name


def by_name(graph):
    return {each.name: i for i, each in enumerate(graph.all_nodes)}


def bare(name):
    """Without the label of a feature."""
    return name.split(" (latent")[0]


def test_tokens_are_below_layers_above_them_and_answers_on_top(graph, figure):
    nodes = by_name(graph)
    kinds = [graph.all_nodes[nodes[bare(part.name)]] for part in figure.parts]
    rows = {}
    for part, node in zip(figure.parts, kinds, strict=True):
        level = {"token": -1, "logit": 99}.get(node.kind, node.layer)
        rows.setdefault((level, node.kind == "error"), set()).add(part.row)
        assert figure.parts[0].row == 0
    order = [rows[key] for key in sorted(rows)]
    for lower, upper in pairwise(order):
        assert max(lower) < min(upper)
    assert figure.rows[0] == "tokens" and {"L0", "L1", "L2", "errors", "answer"} <= set(figure.rows)
    lanes = {(node.pos, part.lane) for part, node in zip(figure.parts, kinds, strict=True)}
    assert len(lanes) == len({pos for pos, _ in lanes}) == len({lane for _, lane in lanes})
    assert sorted(lanes) == sorted(lanes, key=lambda each: each[1])
    for link in figure.links:
        assert figure.parts[link.source].row < figure.parts[link.target].row


def test_no_cell_holds_more_than_fit_side_by_side(figure):
    cells = [(part.row, part.lane) for part in figure.parts]
    assert max(cells.count(each) for each in cells) in (2, 3)
    assert any(label == "" for label in figure.rows)


def test_errors_and_features_are_told_apart_and_labels_are_read_out(graph, figure):
    nodes = by_name(graph)
    for part in figure.parts:
        node = graph.all_nodes[nodes[bare(part.name)]]
        wanted = {"error": "err", "feature": str(node.index)}.get(node.kind, part.label)
        assert part.label == wanted
        row = next(figure.rows[i] for i in range(part.row, -1, -1) if figure.rows[i])
        assert (row == "errors") == (node.kind == "error")
        if node.kind == "feature" and node.layer == 1:
            assert part.name.endswith(f"(latent {node.index})")


def test_links_have_the_edges_sign_weight_and_share_of_paths(graph, figure):
    nodes, flow = by_name(graph), graph.strengths * (graph.influence + graph.shares)[:, None]
    for link in figure.links:
        source, target = (nodes[bare(name)] for name in ends(figure, link))
        assert graph.kept_edges[target, source]
        weight = graph.weights[target, source]
        assert np.sign(link.value) == np.sign(weight) and link.note == f"weight {weight:+.3g}"
        assert abs(link.value) == pytest.approx(flow[target, source])
    assert {np.sign(link.value) for link in figure.links} == {-1, 1}
    assert len({ends(figure, link) for link in figure.links}) == len(figure.links) == 120
    assert figure.total == graph.kept_edges.sum() > 120


def test_the_first_links_hang_together_and_the_largest_come_first(graph, figure):
    inside = {each.name for each in graph.all_nodes if each.kind == "logit"}
    for link in figure.links:
        source, target = ends(figure, link)
        assert target in inside
        inside.add(source)
    flow = graph.strengths * (graph.influence + graph.shares)[:, None]
    into = flow[graph.of_kind("logit")].max()
    assert abs(figure.links[0].value) == pytest.approx(into)


def test_the_measure_is_the_replacement_score_of_the_first_links(graph, figure):
    nodes = by_name(graph)
    assert figure.measured.name == "replacement"
    assert figure.measured.sizes.tolist() == list(range(1, 121))
    for n in (1, 20, 60, 120):
        left = np.zeros_like(graph.strengths)
        for link in figure.links[:n]:
            source, target = (nodes[bare(name)] for name in ends(figure, link))
            left[target, source] = graph.strengths[target, source]
        wanted = influence_of(left, graph.shares)[graph.of_kind("token")].sum()
        assert figure.measured.values[n - 1] == pytest.approx(wanted)
    assert 0 < figure.measured.values[-1] <= graph.pruned_scores.replacement
    assert (np.diff(figure.measured.values) >= 0).all()
    whole, left = graph.scores, graph.pruned_scores
    assert f"replacement {whole.replacement:.2f}, completeness {whole.completeness:.2f}" in (
        figure.caption
    )
    assert f"kept: {left.replacement:.2f} and {left.completeness:.2f}" in figure.caption


def test_everything_drawn_reaches_the_pruned_score():
    """With every kept edge in it, the curve ends at the pruned graph's score."""
    model = loaded("gpt2")
    few = attribution_graph(
        model, IDS[:, :3], transcoders(model), target=7, skip=(), node_threshold=0.3,
        edge_threshold=0.6,
    )  # fmt: skip
    figure = few.figure()
    assert len(figure.links) == figure.total < 120
    assert figure.measured.values[-1] == pytest.approx(few.pruned_scores.replacement)


def test_how_many_are_drawn_at_first(graph, figure, tmp_path):
    assert figure.shown == 60 and "Drawn at first: 60 of the" in figure.caption
    assert graph.figure(shown=5).shown == 5 and graph.figure(shown=10**6).shown == 120
    assert graph.figure(title="Mine").title == "Mine" and figure.title.startswith("What leads to")
    assert isinstance(figure_from_json(figure.to_json()), LayeredGraph)
    for wrong in (0, -1, 2.5, True, "all"):
        with pytest.raises(OptionError, match="is no number of edges"):
            graph.figure(shown=wrong)
    for name in ("graph.html", "graph.svg", "graph.png", "graph.csv"):
        graph.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 200


def test_a_graph_without_edges_says_so(graph):
    bare = replace(graph, weights=np.zeros_like(graph.weights))
    with pytest.raises(OptionError, match="pruning kept no edge"):
        bare.figure()


def test_one_token_and_many_answers_are_drawn(tmp_path):
    model = loaded("gpt2")
    graph = attribution_graph(
        model, IDS[:, :1], transcoders(model), skip=(), target_share=1.0, max_targets=6
    )
    figure = graph.figure()
    rows = [part.row for part in figure.parts if part.name.startswith("logits")]
    assert len(rows) == len(set(rows)) > 1 and {part.lane for part in figure.parts} == {0}
    shares = {each.name: each.share for each in graph.all_nodes}
    logits = sorted(
        (p for p in figure.parts if p.name.startswith("logits")), key=lambda each: each.row
    )
    found = [shares[each.name] for each in logits]
    assert found == sorted(found)


def test_growing_takes_the_largest_whose_target_is_in():
    weights = np.zeros((5, 5))
    weights[4, [2, 3]] = 1.0, 3.0
    weights[3, 0] = 1.0
    weights[2, 1] = 1.0
    shares = np.array([0, 0, 0, 0, 1.0])
    strengths = normalised(weights)
    flow = flow_of(strengths, influence_of(strengths, shares), shares)
    found = grown(flow, weights != 0, np.array([4]), 10)
    assert found.tolist() == [[4, 3], [3, 0], [4, 2], [2, 1]]
    assert grown(flow, weights != 0, np.array([4]), 2).tolist() == [[4, 3], [3, 0]]
    assert grown(flow, np.zeros((5, 5), bool), np.array([4]), 2).shape == (0, 2)
