from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from handmade import induction_task
from hypothesis import given, settings, strategies as st

import residuum as rz
from residuum.circuits import (
    EAP,
    Circuit,
    EdgeScores,
    Graph,
    JointMask,
    circuit_of,
    discover,
    graph_of,
    rival_circuits,
)
from residuum.circuits.controls.overlap import jaccard, pairwise, to_one
from residuum.circuits.controls.resamples import resampled_rows
from residuum.circuits.controls.stability import circuit_stability


@cache
def hand() -> rz.Model:
    return rz.load("handmade_induction")


@cache
def found(n: int = 16) -> Circuit:
    return discover(hand(), induction_task(n), EAP(), n_edges=3)


def test_the_hand_set_circuit_is_found_again_on_every_sample() -> None:
    again = circuit_stability(found(), hand(), induction_task())
    assert again.stable and again.prompts.n == 100
    assert (again.prompts.edges.mean, again.prompts.nodes.mean) == (1, 1)
    assert again.prompts.edges_to_circuit.mean == 1 and again.passes == 0
    assert set(again.prompts.edge_frac) == {0, 1}
    assert again.chance is not None and again.chance.edges.mean < 0.3
    table = again.to_dataframe()
    assert sorted(table["edge"]) == sorted(found().edge_names)
    assert "above the bar" in again.summary() and "Does not show" in again.summary()


def test_a_method_is_run_again_on_each_sample_and_for_each_seed() -> None:
    again = circuit_stability(
        found(), hand(), induction_task(), method=EAP(), n_boot=3, seeds=(0, 1)
    )
    assert again.stable is None and "too few samples" in again.summary()
    assert again.seeds is not None and again.seeds.n == 2
    assert again.seeds.edges.mean == again.prompts.edges.mean == 1
    assert again.passes == pytest.approx(5 * found().scores.passes)


def test_a_graph_that_leaves_edges_out_is_told_by_stability_and_by_rivals() -> None:
    whole = graph_of(hand())
    circuit = discover(
        hand(), induction_task(), EAP(), n_edges=3, graph=replace(whole, edges=whole.edges[1:])
    )
    for result in (
        circuit_stability(circuit, hand(), induction_task(), n_boot=2),
        rival_circuits(circuit, hand(), induction_task(), factors=(0.0,)),
    ):
        assert result.warnings == circuit.own_warnings
        assert result.warnings[0].startswith("the graph leaves out 1 of the model's 52 edges")
        assert all(f"warning: {each}" in result.summary() for each in result.warnings)
        assert result.to_json()["warnings"] == list(result.warnings)
    whole_graph = circuit_stability(found(), hand(), induction_task(), n_boot=2)
    assert not any("leaves out" in each for each in whole_graph.warnings)


def test_scores_that_are_noise_are_not_stable() -> None:
    circuit = found()
    noise = np.random.default_rng(0).normal(size=(16, circuit.graph.n_edges))
    scores = replace(circuit.scores, examples=noise, values=noise.mean(axis=0), se=None)
    again = circuit_stability(replace(circuit, scores=scores).resized(20), hand(), induction_task())
    assert again.stable is False and again.prompts.edges.mean < 0.6


def test_templates_are_drawn_whole() -> None:
    rows = resampled_rows(4, 20, "template", ["a", "a", "b", "b"])
    assert {tuple(sorted(each.tolist())) for each in rows} <= {
        (0, 0, 1, 1), (2, 2, 3, 3), (0, 1, 2, 3)
    }  # fmt: skip
    assert len({tuple(each.tolist()) for each in rows}) > 1


def test_where_no_path_is_so_long_there_are_no_random_circuits() -> None:
    graph = Graph.of(["embed", "L0.head_out[H2]"], ["L1.k_in[H1]", "logits"])
    examples = np.tile(np.arange(graph.n_edges, dtype=float), (16, 1))
    task = induction_task()
    scores = EdgeScores(graph, examples[0], examples, provenance=hand().provenance())
    circuit = circuit_of(scores, n_edges=2, how="top")
    again = circuit_stability(circuit, hand(), task)
    assert again.prompts.edges.mean == 1 and again.chance is None
    assert set(again.groups) == {"prompts"} and "chance" not in again.summary()
    with pytest.raises(rz.OptionError, match="each of the 8 examples"):
        circuit_stability(circuit, hand(), induction_task(8))


def test_files_and_figure(tmp_path) -> None:
    again = circuit_stability(found(), hand(), induction_task())
    again.save(tmp_path / "s.json")
    data = json.loads((tmp_path / "s.json").read_text())
    assert data["groups"]["prompts"]["edges"]["mean"] == 1 and data["bar"]["reached"] is True
    again.save(tmp_path / "s.csv")
    again.save(tmp_path / "s.svg")
    assert again.figure().values[0] == 1


def test_what_cannot_be_asked() -> None:
    circuit, task = found(), induction_task()
    unscored = replace(circuit, scores=replace(circuit.scores, examples=None))
    for given_, options, match in (
        (unscored, {}, "no scores of each of the 16 examples"),
        (circuit, {"seeds": (1, 2)}, "seeds without a method"),
        (circuit, {"seeds": (1,), "method": EAP()}, "one seed"),
        (circuit, {"n_boot": 1}, "n_boot"),
        (circuit, {"unit": "word"}, "unit"),
        (circuit.with_kept(circuit.kept), {}, "not chosen from scores"),
        (circuit.with_kept(np.zeros_like(circuit.kept)), {}, "empty circuit"),
        ("circuit", {}, "asks of a circuit"),
    ):
        with pytest.raises(rz.OptionError, match=match):
            circuit_stability(given_, hand(), task, **options)
    with pytest.raises(rz.TaskError, match="found on task"):
        circuit_stability(circuit, hand(), induction_task(8))
    with pytest.raises(rz.TaskError, match="cannot be drawn again"):
        circuit_stability(circuit, hand(), task, unit="template")
    with pytest.raises(rz.LoadError):
        circuit_stability(circuit, rz.load("microworld", check=False), task)


def test_a_joint_mask_keeps_the_metric_under_both_references() -> None:
    """On the hand-set model one reference asks for three edges, the other for more."""
    task = induction_task(8)
    circuit = discover(hand(), task, JointMask(n_edges=7, steps=150), reference="mean")
    scores = rz.evaluate(
        circuit, hand(), task, references=("counterfactual", "mean"), subsets=0, sizes=()
    )
    low, high = scores.spread
    assert 0.9 < low <= high < 1.1, (low, high)
    assert circuit.scores.method["name"] == "JointMask" and circuit.n_edges == 7


def test_a_joint_mask_is_the_same_again() -> None:
    first, again = (
        discover(hand(), induction_task(4), JointMask(n_edges=7, steps=3), seed=1) for _ in "12"
    )
    assert first == again


def test_a_joint_mask_refuses() -> None:
    for options in ({}, {"share": 0.1, "references": "mean"}, {"share": 0.1, "references": ()}):
        with pytest.raises(rz.OptionError):
            JointMask(**options)
    with pytest.raises(rz.OptionError, match="none that an edge"):
        JointMask(share=0.1, references=("median",))
    with pytest.raises(rz.OptionError, match="no gradient"):
        discover(hand(), induction_task(4), JointMask(n_edges=3), metric="accuracy")


SETS = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=2, max_size=5)
)


@given(SETS)
@settings(deadline=None)
def test_jaccard_by_sets(rows: list[list[bool]]) -> None:
    sets = [{i for i, each in enumerate(row) if each} for row in rows]
    pairs = [
        len(a & b) / len(a | b) if a | b else 1.0
        for at, a in enumerate(sets)
        for b in sets[at + 1 :]
    ]
    table = np.array(rows)
    assert pairwise(table) == pytest.approx(pairs)
    assert to_one(table, table[0])[0] == jaccard(table[0], table[0]) == 1
