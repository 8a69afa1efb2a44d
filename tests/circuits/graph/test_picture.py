"""The picture of a circuit: what it holds, in which order, what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "families"))
from configs import build

import residuum as rz
from residuum.circuits import EdgeScores, circuit_from_edges, circuit_of, graph_of, keep
from residuum.core import OptionError, StoreError
from residuum.figures import LayeredGraph, figure_from_json

WIRING = [
    "embed -> L0.v_in[H0]",
    "L0.head_out[H0] -> L1.k_in[H0]",
    "embed -> L1.q_in[H0]",
    "L1.head_out[H0] -> logits",
]


def drawn(figure, count):
    names = [part.name for part in figure.parts]
    return {(names[link.source], names[link.target]) for link in figure.links[:count]}


@pytest.mark.parametrize("how", ["greedy", "top"])
def test_the_first_links_are_the_smaller_circuit(scores, how):
    circuit = circuit_of(scores, 60, how=how)
    figure = circuit.figure()
    assert len(figure.links) == figure.shown == 60 and figure.total == 1519
    values = sorted(link.value for link in figure.links)
    assert values == sorted(scores.values[circuit.kept])
    for n in (1, 7, 30):
        kept = keep(scores.graph, scores.values, n, how=how)
        assert sorted(link.value for link in figure.links[:n]) == sorted(scores.values[kept])


def test_rows_go_up_by_layer_with_heads_together(scores):
    figure = circuit_of(scores, 60).figure()
    row = {part.name: part.row for part in figure.parts}
    for link in figure.links:
        assert figure.parts[link.source].row < figure.parts[link.target].row
    heads = [part for part in figure.parts if "head_out" in part.name]
    assert {part.lane for part in heads} == {0}
    assert {part.lane for part in figure.parts if "mlp" in part.name} == {1}
    labels = {figure.rows[part.row] for part in heads}
    assert labels == {part.name.split(".")[0] for part in heads}
    assert row["logits"] == len(figure.rows) - 1


def test_edges_without_scores_have_neither_width_nor_colour():
    circuit = circuit_from_edges(graph_of(rz.load("handmade_induction")), WIRING)
    figure = circuit.figure(title="By hand")
    assert [part.label for part in figure.parts] == ["embed", "H0", "H0", "logits"]
    assert figure.rows == ("", "L0", "L1", "") and figure.title == "By hand"
    assert {link.value for link in figure.links} == {None}
    assert [link.note for link in figure.links] == ["v", "q", "k", ""]
    assert "The edges have no scores." in figure.caption
    assert isinstance(figure_from_json(figure.to_json()), LayeredGraph)


def test_a_large_circuit_is_drawn_in_part_and_says_so(scores):
    figure = circuit_of(scores, share=0.5).figure()
    assert len(figure.links) == 760 and figure.shown == 150
    assert "Drawn at first: 150 of its 760 edges" in figure.caption
    assert circuit_of(scores, share=0.5).figure(shown=10).shown == 10


def test_positions_are_told(model, task):
    graph = graph_of(model, task, by_position=True)
    circuit = circuit_from_edges(graph, ["embed -> L0.k_in[H1] @S2", "L0.mlp_out -> logits @end"])
    figure = circuit.figure()
    assert [link.note for link in figure.links] == ["k @S2", "@end"]
    assert [part.label for part in figure.parts] == ["embed @S2", "H1", "MLP0 @end", "logits"]
    assert "Edges by position: S2 1, end 1." in figure.caption
    several = ["embed -> L0.k_in[H1] @S2", "embed -> logits @end", "embed -> L0.q_in[H1] @end"]
    values = np.zeros(graph.n_edges)
    values[[graph.index(each) for each in several]] = 1.0, -5.0, 2.0
    two = circuit_of(EdgeScores(graph, values), 3, how="top").figure()
    assert two.parts[0].label == "embed @end +1" and "end 2, S2 1." in two.caption


def test_one_edge_is_one_edge(scores):
    one = circuit_of(scores, 1, how="top")
    assert one.figure().title.startswith("Circuit of 1 edge in ")
    assert scores.figure(1).title == "The edge with the largest score, of 1,519"
    assert scores.figure(2).title == "The 2 edges with the largest scores, of 1,519"


def test_a_shared_key_head_is_drawn_at_each_of_its_heads():
    graph = graph_of(rz.load(build("llama"), check=False))
    figure = circuit_from_edges(graph, ["embed -> L0.k_in[H1]", "embed -> logits"]).figure()
    ends = {("embed", "L0.head_out[H2]"), ("embed", "L0.head_out[H3]"), ("embed", "logits")}
    assert drawn(figure, figure.shown) == ends
    assert "drawn at each of the 2 heads that share it" in figure.caption


def test_neurons_have_their_own_boxes(model):
    graph = graph_of(model, finer="L1.mlp_act[N3]")
    figure = circuit_from_edges(
        graph, ["embed -> L1.mlp_pre[N3]", "L1.mlp_act[N3] -> logits"]
    ).figure()
    assert [part.label for part in figure.parts] == ["embed", "N3", "logits"]
    assert figure.rows == ("", "L1", "")


def test_faithfulness_stands_beside(scores):
    circuit = circuit_of(scores, 60)
    curve = circuit.figure({20: 0.5, 10: 0.25, 60: 1.0}).measured
    assert curve.sizes.tolist() == [10, 20, 60] and curve.values.tolist() == [0.25, 0.5, 1.0]
    ends = circuit.figure({20: (0.5, 0.4, 0.6), 60: (1, 0.9, 1.1)}).measured
    assert ends.lo.tolist() == [0.4, 0.9] and ends.hi.tolist() == [0.6, 1.1]
    assert circuit.figure().measured is None
    for given in ({20: (1, 2)}, {20: 0.5, 30: (1, 0, 2)}, {20: np.nan}, [0.5], {"a": 1}):
        with pytest.raises(OptionError, match="faithfulness is no") as caught:
            circuit.figure(given)
        assert "{50: 0.8, 100: 0.95}" in caught.value.mend


def test_an_empty_circuit_has_no_picture(scores):
    empty = circuit_of(scores, 0)
    with pytest.raises(OptionError, match="an empty circuit"):
        empty.figure()
    assert empty._repr_html_() is None
    assert "rz-graph" in circuit_of(scores, 5)._repr_html_()


def test_pictures_and_tables_are_saved(scores, tmp_path):
    circuit = circuit_of(scores, 12)
    for name in ("c.svg", "c.png", "c.html", "c.csv"):
        circuit.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 500
    scores.save(tmp_path / "s.csv")
    scores.save(tmp_path / "s.json")
    again = EdgeScores.load(tmp_path / "s.json")
    assert (again.values == scores.values).all() and again.graph == scores.graph
    assert "rz-bars" in scores._repr_html_()
    with pytest.raises(StoreError, match="cannot be read as scores of edges"):
        EdgeScores.load(tmp_path / "c.svg")
    bars = scores.figure(5)
    assert len(bars.values) == 5 and bars.lo is not None


def test_a_format_that_is_none_is_refused_with_all_that_there_are(scores, tmp_path):
    for name in ("c.gexf", "c"):
        with pytest.raises(OptionError, match="cannot save a circuit as") as refused:
            circuit_of(scores, 3).save(tmp_path / name)
        assert ".mib.json, .graphml, .csv" in refused.value.mend
    assert not list(tmp_path.iterdir())
