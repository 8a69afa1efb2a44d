"""The records: names and indices, shapes, tables, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from residuum.circuits import Circuit, EdgeScores, Graph, circuit_from_edges, circuit_of
from residuum.circuits.graph.edge_runs import from_runs, to_runs
from residuum.core import OptionError, StoreError


def test_names_lead_back_to_edges(small):
    for edge, name in enumerate(small.names):
        assert small.index(name) == edge == small.index(small.name(edge))
    assert small.names[0] == "embed -> L0.q_in[H0]"
    assert small.out_of("L0.z[H0]").tolist() == small.out_of("L0.head_out[H0]").tolist()


def test_a_matrix_has_nan_where_no_edge_is(small):
    table = small.matrix(np.arange(12))
    assert table.shape == (3, 7) and np.isfinite(table).sum() == 12
    assert table[1, 4] == small.index("L0.head_out[H0] -> L1.k_in[H0]")
    placed = Graph.of(small.senders, small.receivers, ("a", "b"))
    assert placed.matrix(np.zeros(24)).shape == (3, 7, 2)
    with pytest.raises(OptionError, match=r"values of shape \[3\] for 12 edges"):
        small.matrix([1, 2, 3])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("embed", "names no edge"),
        ("embed -> L9.q_in[H0]", "is no receiver of this graph"),
        ("L1.head_out[H0] -> L0.q_in[H0]", "there is no edge"),
        ("nothing -> logits", "there is no site named 'nothing'"),
    ],
)
def test_an_edge_that_is_not_there_says_why(small, name, text):
    with pytest.raises(OptionError, match=text) as caught:
        small.index(name)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("senders", "edges", "text"),
    [
        (("embed", "embed"), [[0, 0]], "a sender is given twice"),
        (("L0.q_in[H0]",), [[0, 0]], "is no sender"),
        (("embed",), [[0, 0], [0, 0]], "an edge is given twice"),
        (("embed",), [[1, 0]], "ends at a node that there is not"),
        (("L1.mlp_out",), [[0, 0]], "runs backwards: L1.mlp_out -> L0.mlp_in"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(senders, edges, text):
    with pytest.raises(OptionError, match=text):
        Graph(senders, ("L0.mlp_in", "logits"), np.array(edges))


def test_records_do_not_share_what_was_given(small):
    values = np.zeros(12)
    scores = EdgeScores(small, values)
    values[0] = 9
    assert scores.values[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        scores.values[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        small.edges[0, 0] = 1


def test_graphs_are_equal_by_content(small):
    again = Graph.from_json(small.to_json())
    assert again == small and hash(again) == hash(small)
    assert again != Graph.of(small.senders, small.receivers, ("a",))
    with pytest.raises(StoreError, match="not a circuit's graph"):
        Graph.from_json({})
    broken = small.to_json() | {"runs": [[0, 99, 1]]}
    with pytest.raises(StoreError, match="does not hold: an edge is given twice, or ends at"):
        Graph.from_json(broken)


@given(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 1))), st.randoms())
def test_runs_keep_edges_and_their_order(found, shuffle):
    edges = sorted(found)
    shuffle.shuffle(edges)
    for width in (2, 3):
        table = np.array(edges, dtype=np.int32).reshape(-1, 3)[:, :width]
        assert from_runs(to_runs(table), width).tolist() == table.tolist()


def test_a_whole_graph_has_a_run_for_each_receiver_and_position(small):
    assert len(to_runs(small.edges)) == len(small.receivers)
    placed = Graph.of(small.senders, small.receivers, ("a", "b"))
    assert len(to_runs(placed.edges)) == 2 * len(small.receivers)
    for runs in ([[0, 0, 0]], [[0, -1, 2]], [[0, 0]]):
        with pytest.raises(ValueError):
            from_runs(runs, 2)


def test_the_top_has_the_largest_with_intervals(scores):
    top = scores.top(5)
    order = np.argsort(-np.abs(scores.values))[:5]
    assert [each.score for each in top] == scores.values[order].tolist()
    assert all(low <= each.score <= high for each in top for low, high in [each.interval])
    assert scores.top(3, by="signed")[0].score == scores.values.max()
    assert scores.score(top[0].name) == top[0].score
    error = scores.examples[:, order[0]].std(ddof=1) / np.sqrt(6)
    row = scores.to_dataframe().set_index("edge").loc[top[0].name]
    assert row["se"] == pytest.approx(error) and row["score"] == top[0].score


def test_scores_that_do_not_fit_are_refused(small):
    for values, text in (
        (np.zeros(3), r"values of shape \[3\] for 12 edges"),
        (np.full(12, np.nan), "12 values are NaN or infinite"),
    ):
        with pytest.raises(OptionError, match=text):
            EdgeScores(small, values)
    with pytest.raises(OptionError, match=r"examples of shape \[12\]"):
        EdgeScores(small, np.zeros(12), np.zeros(12))
    with pytest.raises(OptionError, match="reference='none' is unknown"):
        EdgeScores(small, np.zeros(12), reference="none")
    with pytest.raises(OptionError, match="by='size' is unknown"):
        EdgeScores(small, np.zeros(12)).top(2, by="size")


def test_nodes_of_a_circuit_are_its_parts(small):
    circuit = circuit_from_edges(
        small,
        ["embed -> L0.v_in[H0]", "L0.head_out[H0] -> L1.k_in[H0]", "L1.head_out[H0] -> logits"],
    )
    assert [str(part) for part in circuit.nodes] == [
        "embed",
        "L0.head_out[H0]",
        "L1.head_out[H0]",
        "logits",
    ]
    assert "embed -> L0.v_in[H0]" in circuit and "embed -> logits" not in circuit
    assert circuit.share == 3 / 12 and circuit.n_edges == 3


def test_a_shared_key_head_belongs_to_the_heads_that_are_there():
    graph = Graph.of(
        ["embed", *(f"L0.head_out[H{h}]" for h in range(4))],
        [*(f"L0.q_in[H{h}]" for h in range(4)), "L0.k_in[H0]", "L0.k_in[H1]", "logits"],
        group=2,
    )
    named = circuit_from_edges(graph, ["embed -> L0.k_in[H1]", "L0.head_out[H2] -> logits"])
    assert [str(part) for part in named.nodes] == ["embed", "L0.head_out[H2]", "logits"]
    alone = circuit_from_edges(graph, ["embed -> L0.k_in[H1]"])
    assert [str(part) for part in alone.nodes] == ["embed", "L0.head_out[H2]", "L0.head_out[H3]"]


def test_a_circuit_that_does_not_fit_its_graph_is_refused(small, scores):
    with pytest.raises(OptionError, match=r"kept is int64 of shape \[12\]"):
        Circuit(small, np.zeros(12, dtype=int))
    with pytest.raises(OptionError, match="of another graph than the circuit"):
        Circuit(small, np.zeros(12, dtype=bool), scores)
    with pytest.raises(OptionError, match="without scores cannot be resized"):
        Circuit(small, np.ones(12, dtype=bool)).resized(3)


def test_the_table_has_its_edges_largest_first(scores):
    circuit = circuit_of(scores, 30)
    table = circuit.to_dataframe()
    assert sorted(table["edge"]) == sorted(circuit.edge_names) and len(table) == 30
    assert table["score"].abs().is_monotonic_decreasing
    by_hand = circuit_from_edges(scores.graph, circuit.edge_names)
    assert "score" not in by_hand.to_dataframe() and len(by_hand.to_dataframe()) == 30


def test_what_is_printed_says_size_and_choice(scores):
    text = repr(circuit_of(scores, 30))
    assert text.startswith("Circuit(30 of 1,519 edges (2 %), ")
    assert "greedy by absolute" in text and "and 26 more" in text
    assert "1,519 edges by made up, logit_diff, counterfactual, 7.0 passes" in repr(scores)
