"""Pruning on the hand-set model, whose circuit is known, and with another method before it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from handmade import INDUCTION, PREVIOUS, induction_task

import residuum as rz
from residuum.circuits import EAP, Circuit, MaskedRuns, discover
from residuum.circuits.controls.pruning import Pruned, prune_circuit
from residuum.circuits.controls.stability import circuit_stability
from residuum.circuits.discovery.learned_mask import LearnedMask


@cache
def hand() -> rz.Model:
    return rz.load("handmade_induction")


@cache
def found(n_edges: int = 3) -> Circuit:
    return discover(hand(), induction_task(8), EAP(), n_edges=n_edges)


def faithfulness(kept: np.ndarray, reference: str) -> float:
    runs = MaskedRuns(hand(), found().graph, induction_task(8), reference)
    masks = np.stack([np.ones_like(kept), np.zeros_like(kept), kept])
    full, empty, alone = runs.metric(masks).mean(axis=1)
    return float((alone - empty) / (full - empty))


def padded(seed: int, idle: int) -> Circuit:
    """The three edges that carry all, and edges drawn from the others."""
    rest = np.flatnonzero(~found().kept)
    kept = found().kept.copy()
    kept[np.random.default_rng(seed).choice(rest, idle, replace=False)] = True
    return found().with_kept(kept, how="padded")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_only_the_known_circuit_is_left(seed: int) -> None:
    """Previous-token head to the keys of the induction head, its way in and its way out."""
    given = padded(seed, idle=25)
    left = prune_circuit(given, hand(), induction_task(8), references="counterfactual")
    assert set(left.edge_names) == set(found().edge_names)
    assert f"L0.head_out[H{PREVIOUS}] -> L1.k_in[H{INDUCTION}]" in left
    assert faithfulness(left.kept, "counterfactual") == pytest.approx(1, abs=1e-5)


def test_no_edge_that_is_left_can_go_alone_under_both_references() -> None:
    whole = found().with_kept(np.ones_like(found().kept), how="all")
    left = prune_circuit(whole, hand(), induction_task(8), tolerance=0.02)
    assert 3 < left.n_edges < 12 and set(found().edge_names) <= set(left.edge_names)
    names = ("counterfactual", "mean")
    assert all(abs(faithfulness(left.kept, each) - 1) <= 0.02 for each in names)
    for edge in np.flatnonzero(left.kept):
        fewer = left.kept.copy()
        fewer[edge] = False
        assert max(abs(faithfulness(fewer, each) - 1) for each in names) > 0.02


def test_the_rounds_are_told_and_end_at_the_circuit() -> None:
    given = padded(0, idle=25)
    left = prune_circuit(given, hand(), induction_task(8))
    rounds = left.selection["rounds"]
    sizes = [each["n_edges"] for each in rounds]
    assert sizes[0] == 28 and sizes[-1] == left.n_edges and sizes == sorted(sizes, reverse=True)
    last = rounds[-1]["faithfulness"]
    assert last["mean"] == pytest.approx(faithfulness(left.kept, "mean"), abs=1e-6)
    assert left.selection["of"] == given.hash and left.task_hash == given.task_hash


def test_a_circuit_that_falls_short_is_pruned_to_no_worse() -> None:
    """Without its way in and out it does nothing: all of it can go, but the last edge stays."""
    short = found(20).with_kept(found(20).kept & ~found().kept, how="without")
    before = faithfulness(short.kept, "counterfactual")
    left = prune_circuit(short, hand(), induction_task(8), references="counterfactual")
    assert before < 0.5 and 1 <= left.n_edges < 20
    assert faithfulness(left.kept, "counterfactual") >= before - 1e-6


def test_pruning_belongs_to_a_method(tmp_path) -> None:
    method = Pruned(EAP(), n_edges=20, references=("counterfactual",))
    circuit = discover(hand(), induction_task(8), method)
    assert set(circuit.edge_names) == set(found().edge_names)
    assert circuit.scores is not None and circuit.scores.method["rounds"][0]["n_edges"] == 20
    assert circuit.scores.passes > discover(hand(), induction_task(8), EAP()).scores.passes
    circuit.save(tmp_path / "c.json")
    assert rz.load_circuit(tmp_path / "c.json", hand()) == circuit
    again = circuit_stability(circuit, hand(), induction_task(8), method=method, n_boot=3)
    assert again.prompts.edges.mean == 1


def test_pruning_twice_changes_nothing() -> None:
    task = induction_task(8)
    left = prune_circuit(padded(0, idle=25), hand(), task)
    again = prune_circuit(left, hand(), task)
    assert (again.kept == left.kept).all() and len(again.selection["rounds"]) == 1


def test_pruning_refuses() -> None:
    circuit, task = found(), induction_task(8)
    empty = circuit.with_kept(np.zeros_like(circuit.kept))
    for given, options, match in (
        ("a", {}, "asks of a circuit"),
        (empty, {}, "empty circuit"),
        (circuit, {"references": ()}, "none"),
        (circuit, {"references": "median"}, "median"),
        (circuit, {"tolerance": 0}, "tolerance=0 is out of range"),
        (circuit, {"part": 2}, "part=2 is out of range"),
        (circuit, {"seed": -1}, "seed"),
    ):
        with pytest.raises(rz.OptionError, match=match):
            prune_circuit(given, hand(), task, **options)
    with pytest.raises(rz.TaskError, match="found on task"):
        prune_circuit(circuit, hand(), induction_task(9))
    with pytest.raises(rz.LoadError):
        prune_circuit(replace(circuit), rz.load("microworld"), task)
    for given, options, match in (
        (EAP, {"n_edges": 3}, "no method"),
        (EAP(), {}, "no size"),
        (EAP(), {"n_edges": 3, "share": 0.1}, "no size, or two"),
        (LearnedMask(n_edges=3), {"tolerance": 3}, "tolerance"),
    ):
        with pytest.raises(rz.OptionError, match=match):
            Pruned(given, **options)
