"""Choosing edges: by hand on a small graph, by an independent walk on a large one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from residuum.circuits import Graph, circuit_of, graph_of, keep, pruned, select
from residuum.circuits.graph.nodes import inputs_of, parts_of
from residuum.core import OptionError

NODES = ["embed", "L0.head_out[H0]", "L0.head_out[H1]", "L0.mlp_out", "L1.head_out[H0]"]
NODES += ["L1.head_out[H1]", "L1.mlp_out"]
READS = [
    *(f"L0.{n}_in[H{h}]" for n in "qkv" for h in range(2 if n == "q" else 1)),
    "L0.mlp_in",
    *(f"L1.{n}_in[H{h}]" for n in "qkv" for h in range(2 if n == "q" else 1)),
    "L1.mlp_in",
    "logits",
]
GROUPED = Graph.of(NODES, READS, group=2)
PLACED = Graph.of(NODES, READS, ("a", "end"), group=2)


def walked(graph, key, n):
    """The greedy choice as it is said, with sets and a full search at each step."""
    chosen, nodes = [], {("logits", None)}
    while len(chosen) < n:
        open_edges = []
        for edge in range(graph.n_edges):
            if edge in chosen:
                continue
            receiver = graph.receivers[graph.edges[edge, 1]]
            at = graph.edges[edge, 2] if graph.positions else None
            anywhere = receiver.name in ("k_in", "v_in", "logits")
            for part in parts_of(receiver, graph.group):
                places = {p for name, p in nodes if name == str(part)}
                if places and (anywhere or at in places):
                    open_edges.append(edge)
                    break
        if not open_edges:
            break
        best = max(open_edges, key=lambda edge: (key[edge], -edge))
        chosen.append(best)
        sender = str(graph.senders[graph.edges[best, 0]])
        nodes.add((sender, graph.edges[best, 2] if graph.positions else None))
    return sorted(chosen)


@pytest.mark.parametrize("graph", [GROUPED, PLACED], ids=["all positions", "by position"])
@given(
    seed=st.integers(0, 10_000), n=st.integers(0, 30), by=st.sampled_from(["signed", "absolute"])
)
def test_greedy_is_the_walk_from_the_logits(graph, seed, n, by):
    values = np.random.default_rng(seed).normal(size=graph.n_edges).round(1)  # with ties
    key = np.abs(values) if by == "absolute" else values
    n = min(n, graph.n_edges)
    kept = keep(graph, values, n, how="greedy", by=by)
    assert np.flatnonzero(kept).tolist() == walked(graph, key, n)
    assert (pruned(graph, kept) == kept).all()


@given(seed=st.integers(0, 10_000), n=st.integers(0, 49))
def test_top_takes_the_largest_wherever_they_are(seed, n):
    values = np.random.default_rng(seed).normal(size=GROUPED.n_edges)
    n = min(n, GROUPED.n_edges)
    for by, key in (("signed", values), ("absolute", np.abs(values))):
        kept = keep(GROUPED, values, n, how="top", by=by)
        assert kept.sum() == n
        assert not n or n == len(kept) or key[kept].min() >= key[~kept].max()


def reaches_logits(graph, kept, edge):
    """Whether some chain of kept edges leads on from this one."""
    receiver = graph.receivers[graph.edges[edge, 1]]
    if receiver.name == "logits":
        return True
    at = graph.edges[edge, 2] if graph.positions else None
    for part in parts_of(receiver, graph.group):
        for onward in np.flatnonzero(kept):
            if graph.senders[graph.edges[onward, 0]] != part:
                continue
            there = graph.edges[onward, 2] if graph.positions else None
            reads = receiver.name in ("k_in", "v_in") or there == at
            if reads and reaches_logits(graph, kept, onward):
                return True
    return False


@pytest.mark.parametrize("graph", [GROUPED, PLACED], ids=["all positions", "by position"])
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.6))
def test_pruning_unread_edges_leaves_those_with_a_way_to_the_logits(graph, seed, share):
    kept = np.random.default_rng(seed).random(graph.n_edges) < share
    left = pruned(graph, kept)
    expected = [edge for edge in np.flatnonzero(kept) if reaches_logits(graph, kept, edge)]
    assert np.flatnonzero(left).tolist() == expected
    both = pruned(graph, kept, "both")
    assert not (both & ~left).any()
    for edge in np.flatnonzero(both):
        sender = graph.senders[graph.edges[edge, 0]]
        own = [str(each) for each in inputs_of(sender, graph.group)]
        fed = [e for e in np.flatnonzero(both) if str(graph.receivers[graph.edges[e, 1]]) in own]
        assert fed or sender.name == "embed"


def test_signs_are_kept_and_signed_leaves_out_what_works_against(small):
    values = np.linspace(-3, 2, small.n_edges)
    worst = int(values.argmin())
    assert keep(small, values, 1, how="top", by="absolute")[worst]
    assert not keep(small, values, 8, how="top", by="signed")[worst]


def test_a_choice_says_what_dangles(scores):
    circuit = circuit_of(scores, 60, how="top")
    record = circuit.selection
    assert record["asked"] == record["found"] == circuit.n_edges == 60
    assert record["dangling"] == 60 - pruned(scores.graph, circuit.kept).sum() > 0
    shorter = circuit_of(scores, 60, how="top", prune="unread")
    assert shorter.n_edges == 60 - record["dangling"] == shorter.selection["found"]
    assert shorter.selection["dangling"] == 0 and shorter.selection["asked"] == 60
    assert (select(scores, 60, how="top") == circuit.kept).all()


def test_sizes_are_nested_and_kept_by_default(scores):
    large = circuit_of(scores, share=0.1, by="signed")
    small = large.resized(20)
    assert small.selection["by"] == "signed" and small.n_edges == 20
    assert not (small.kept & ~large.kept).any()
    assert large.n_edges == round(0.1 * scores.graph.n_edges)
    assert large.resized(share=0.1) == large
    other = large.resized(20, by="absolute", how="top")
    assert (other.kept != small.kept).any()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"how": "best"}, "how='best' is unknown"),
        ({"by": "size"}, "by='size' is unknown"),
        ({"prune": "all"}, "prune='all' is unknown"),
    ],
)
def test_unknown_options_are_refused(small, options, text):
    with pytest.raises(OptionError, match=text):
        keep(small, np.zeros(small.n_edges), 1, **options)


def test_sizes_and_scores_that_do_not_fit_are_refused(small, scores):
    with pytest.raises(OptionError, match="n_edges=13 of a graph with 12"):
        keep(small, np.zeros(12), 13)
    with pytest.raises(OptionError, match="or with NaN, for 12 edges"):
        keep(small, np.full(12, np.nan), 3)
    with pytest.raises(OptionError, match="either n_edges or share"):
        circuit_of(scores)
    with pytest.raises(OptionError, match="either n_edges or share"):
        circuit_of(scores, 5, 0.5)
    with pytest.raises(OptionError, match=r"share=1\.5 is no share"):
        circuit_of(scores, share=1.5)


def test_greedy_of_all_takes_all_that_can_reach_the_logits(model, graph):
    assert keep(graph, np.zeros(graph.n_edges), graph.n_edges).all()
    assert graph_of(model) == graph
