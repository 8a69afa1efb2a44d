"""Random circuits: of the exact size, every edge on a way from embedding to logits, seeded."""

from __future__ import annotations

import numpy as np
import pytest

from residuum.circuits import Graph, random_circuits
from residuum.circuits.graph.nodes import KEYS_VALUES, parts_of
from residuum.circuits.trial.random_circuits import random_additions
from residuum.core import OptionError


def graph_with(layers=2, heads=4, kv=4, mlp=True, positions=()):
    senders, receivers = ["embed"], []
    for layer in range(layers):
        receivers += [f"L{layer}.q_in[H{h}]" for h in range(heads)]
        receivers += [f"L{layer}.{name}[H{h}]" for name in KEYS_VALUES for h in range(kv)]
        senders += [f"L{layer}.head_out[H{h}]" for h in range(heads)]
        if mlp:
            receivers.append(f"L{layer}.mlp_in")
            senders.append(f"L{layer}.mlp_out")
    return Graph.of(senders, [*receivers, "logits"], positions, group=heads // kv)


GRAPHS = {
    "gpt2": graph_with(),
    "attention only": graph_with(mlp=False),
    "grouped": graph_with(kv=2),
    "by position": graph_with(layers=2, heads=2, kv=2, positions=("rest", "end")),
}


def on_a_way(graph, kept):
    """Whether each kept edge lies on a path of kept edges, by walking every path."""
    edges = [tuple(edge) for edge in graph.edges[kept].tolist()]
    at = {edge: edge[2] if graph.positions else 0 for edge in edges}
    found = set()

    def reads(edge):
        receiver = graph.receivers[edge[1]]
        anywhere = receiver.name in KEYS_VALUES
        own = {str(part) for part in parts_of(receiver, graph.group)}
        return own, None if anywhere else at[edge]

    def walk(edge, path):
        own, place = reads(edge)
        if "logits" in own:
            found.update([*path, edge])
            return
        for other in edges:
            if str(graph.senders[other[0]]) in own and place in (None, at[other]):
                walk(other, [*path, edge])

    for edge in edges:
        if graph.senders[edge[0]].name == "embed":
            walk(edge, [])
    return len(found) == len(edges)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("n_edges", [1, 2, 3, 7, 14])
def test_size_is_exact_and_every_edge_is_on_a_way(name, n_edges):
    graph = GRAPHS[name]
    circuits = random_circuits(graph, n_edges, 15, seed=3)
    assert circuits.dtype == bool and circuits.shape == (15, graph.n_edges)
    assert (circuits.sum(axis=1) == n_edges).all()
    assert all(on_a_way(graph, each) for each in circuits)


def test_the_check_itself_sees_a_dangling_edge():
    graph = GRAPHS["attention only"]
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[[graph.index("embed -> logits"), graph.index("embed -> L0.q_in[H0]")]] = True
    assert not on_a_way(graph, kept)


def test_large_circuits_and_the_whole_graph():
    graph = GRAPHS["gpt2"]
    for n_edges in (graph.n_edges // 2, graph.n_edges - 1, graph.n_edges):
        assert (random_circuits(graph, n_edges, 3).sum(axis=1) == n_edges).all()


def test_the_seed_decides_and_circuits_differ():
    graph = GRAPHS["gpt2"]
    first, again, other = (random_circuits(graph, 9, 20, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all() and not (first == other).all()
    assert len(np.unique(first, axis=0)) > 15


def test_every_edge_is_drawn():
    graph = GRAPHS["attention only"]
    assert (random_circuits(graph, 10, 400).sum(axis=0) > 5).all()


def test_only_edges_that_are_allowed():
    graph = GRAPHS["gpt2"]
    kept = random_circuits(graph, 12, 1, seed=5)[0]
    outside = random_circuits(graph, 12, 10, among=~kept)
    assert not (outside & kept).any() and (outside.sum(axis=1) == 12).all()


def test_sizes_that_there_are_not_are_refused():
    graph = GRAPHS["gpt2"]
    with pytest.raises(OptionError, match="no connected circuit of 999 edges"):
        random_circuits(graph, 999, 1)
    only = np.zeros(graph.n_edges, dtype=bool)
    only[graph.index("embed -> logits")] = True
    with pytest.raises(OptionError, match="no connected circuit of 2 edges was found among 1"):
        random_circuits(graph, 2, 1, among=only)
    with pytest.raises(OptionError, match="n_edges=0"):
        random_circuits(graph, 0, 1)


@pytest.mark.parametrize("name", GRAPHS)
def test_an_added_edge_lies_on_a_way_through_the_inflated_circuit(name):
    graph = GRAPHS[name]
    kept = random_circuits(graph, 5, 1, seed=8)[0]
    inflated, added = random_additions(graph, kept, 25, seed=1)
    assert (inflated & kept == kept).all() and not kept[added].any()
    assert inflated[np.arange(25), added].all()
    assert all(on_a_way(graph, each) for each in inflated)


def test_nothing_can_be_added_to_the_whole_graph():
    graph = GRAPHS["gpt2"]
    inflated, added = random_additions(graph, np.ones(graph.n_edges, dtype=bool), 5)
    assert (len(inflated), len(added)) == (0, 0)
