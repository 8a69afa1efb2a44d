"""Circuits and directions as levers, where it is known what they are needed for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from handmade import INDUCTION, PREVIOUS, induction_task

import residuum as rz
from residuum.circuits import Circuit, MaskedRuns, graph_of
from residuum.core import Address
from residuum.directions.interventions import read_pairs
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.circuit_lever import CircuitLever
from residuum.findings.chain.controls_stage import controls, in_null_model
from residuum.findings.chain.direction_lever import DirectionLever, donors
from residuum.findings.chain.levers import lever_of
from residuum.findings.chain.mechanisms import mechanism_of
from residuum.findings.chain.other_circuits import every_circuit, other_circuits
from residuum.findings.chain.removing import knocked_out
from residuum.findings.chain.robustness_stage import robustness
from residuum.findings.chain.specificity_stage import specificity
from residuum.findings.chain.texts import Texts
from residuum.findings.chain.whole_stage import of_circuit
from residuum.findings.record.budget import BUDGETS, budget_named
from residuum.findings.record.controls_rules import controls_rules
from residuum.findings.record.robustness_rules import (
    robustness_notes,
    robustness_rules,
    robustness_words,
)
from residuum.findings.record.specificity_rules import specificity_rules, specificity_words
from residuum.findings.record.whole_rules import whole_words
from residuum.runs import Model

SPEND = replace(budget_named("quick"), n=16)
FIRST, SECOND = f"L0.head_out[H{PREVIOUS}]", f"L1.head_out[H{INDUCTION}]"


@pytest.fixture(scope="module")
def hand() -> Bench:
    return Bench(rz.load("handmade_induction"), induction_task(24))


def circuit_of(bench: Bench, *edges: str) -> CircuitLever:
    graph = graph_of(bench.model)
    made = rz.circuit_from_edges(graph, list(edges), provenance=bench.model.provenance())
    return CircuitLever(made, tuple(map(str, made.nodes)))


@pytest.fixture(scope="module")
def known(hand: Bench) -> CircuitLever:
    """Previous-token head into the keys of the induction head, and that into the logits."""
    zero, one = f"[H{PREVIOUS}]", f"[H{INDUCTION}]"
    return circuit_of(
        hand,
        *(f"embed -> L0.{site}{zero}" for site in ("q_in", "k_in", "v_in")),
        *(f"embed -> L1.{site}{one}" for site in ("q_in", "v_in")),
        f"{FIRST} -> L1.k_in{one}", f"{SECOND} -> logits",
    )  # fmt: skip


def test_the_known_circuit_carries_the_behaviour_and_an_idle_one_nothing(
    hand: Bench, known: CircuitLever
) -> None:
    gain, loss = known.moves(hand)
    distance = hand.clean - hand.corrupt
    assert gain == pytest.approx(distance, abs=0.05 * hand.distance)
    assert loss == pytest.approx(distance, abs=0.05 * hand.distance)
    idle = circuit_of(hand, f"embed -> L1.v_in[H{3 - INDUCTION}]")
    assert np.abs(idle.cost(hand, "swapped")).max() < 1e-4


def test_logits_of_masked_runs_are_those_of_the_metric(hand: Bench, known: CircuitLever) -> None:
    kept = np.stack([known.circuit.kept, ~known.circuit.kept])
    runs = MaskedRuns(hand.model, known.circuit.graph, hand.task)
    logits = runs.logits(kept)
    assert logits.shape == (2, len(hand.task), hand.model.dims.d_vocab)
    both = np.stack([hand.measure(each) for each in logits])
    assert both == pytest.approx(runs.metric(kept), abs=1e-5)
    empty, alone = known.logits(hand)
    assert torch.allclose(empty, hand.logits("corrupt"), atol=1e-3)
    assert torch.allclose(alone, logits[0])


def test_a_circuit_that_other_tasks_need_is_said_to_be_needed(
    hand: Bench, known: CircuitLever
) -> None:
    others = [replace(induction_task(24, seed), name=f"other {seed}") for seed in (1, 2, 3)]
    found = specificity(hand, known, SPEND, others=others)
    assert {each.verdict for each in found.others} <= {"needed", "as random"}
    assert {each.how for each in found.own} == {"swapped", "mean"}
    assert all(each.worst and each.worst.random for each in found.others)
    rule, *_ = specificity_rules(found)
    assert rule.outcome != "holds" and "removing the circuit's edges" in rule.demands
    idle = circuit_of(hand, f"embed -> L1.v_in[H{3 - INDUCTION}]")
    spared = specificity(hand, idle, SPEND, others=others)
    assert [each.verdict for each in spared.others] == ["spared"] * 3
    assert specificity_words(spared).startswith("Specificity: all 3 other tasks are spared")


def test_a_circuit_on_other_pairs_and_by_other_removals(hand: Bench, known: CircuitLever) -> None:
    task = replace(hand.task, templates=("a", "b") * 12)
    found = robustness(hand, Bench(hand.model, replace(task, name="t")), known, SPEND)
    assert [each.n for each in found.folds] == [12, 12] and not found.draws
    assert all(each.recovered.value > 0.9 and each.lost.value > 0.9 for each in found.folds)
    assert [each.how for each in found.ways][:2] == ["swapped", "mean"]
    assert "new pairs: the task's source is not known" in " ".join(found.left_out)
    rules = {rule.name: rule for rule in robustness_rules(found)}
    assert rules["Other templates"].outcome == "holds"
    assert "alone it does" in rules["Other templates"].found
    idle = circuit_of(hand, f"embed -> L1.v_in[H{3 - INDUCTION}]")
    weak = robustness(hand, Bench(hand.model, task), idle, SPEND)
    assert "not shown to carry over to other templates" in robustness_words(weak)


def test_controls_of_a_circuit(hand: Bench, known: CircuitLever) -> None:
    """Right labels only; and the same model would count as "found there too"."""
    found = controls(hand, known, SPEND)
    assert found.kind == "circuit" and found.pushes is None and not found.attending
    assert any("asked of named parts alone" in each for each in found.left_out)
    labels = next(rule for rule in controls_rules(found) if rule.name == "Right labels only")
    assert labels.outcome == "holds" and labels.demands.startswith("the circuit alone helps")
    assert in_null_model(hand, hand, known, "permuted", 0).found


def test_edges_that_ride_along_are_counted(hand: Bench, known: CircuitLever) -> None:
    """Hand-set induction needs its three edges, and none of the others."""
    seen = of_circuit(hand, known.circuit, BUDGETS["quick"])
    assert seen.tried == 7 and seen.idle < 5
    kept = known.circuit.kept.copy()
    kept[np.flatnonzero(~kept)[:5]] = True
    more = of_circuit(hand, known.circuit.with_kept(kept), BUDGETS["quick"])
    assert (more.tried, more.idle) == (12, seen.idle + 5)
    said = f"{more.idle} of them change less than 0.5 % when left out one by one"
    assert said in whole_words(more)


@pytest.fixture(scope="module")
def refusal(model: Model) -> tuple[Bench, Bench, DirectionLever]:
    """Refusal is one direction at the last token; found on two templates, tried on two others."""
    task = rz.task("refusal", model, n=64)
    names = sorted(set(task.templates))
    rows = [[i for i, name in enumerate(task.templates) if name in some]
            for some in (names[:2], names[2:])]  # fmt: skip
    choose, rest = (Bench(model, task.subset(some)) for some in rows)
    found = rz.direction(model, choose.task, at="L1.resid_post@-1", prove=False)
    lever = lever_of(mechanism_of(model, found), rest)
    assert isinstance(lever, DirectionLever)
    return choose, rest, lever


def test_the_refusal_direction_spares_what_has_nothing_to_do_with_it(
    model: Model, refusal: tuple[Bench, Bench, DirectionLever]
) -> None:
    _, bench, lever = refusal
    others = [rz.task(name, model, n=8) for name in ("ioi", "induction", "agreement")]
    found = specificity(bench, lever, SPEND, others=others)
    assert [each.verdict for each in found.others] == ["spared"] * 3
    assert found.text is not None and found.text.verdict == "spared"
    said = "Specificity: all 3 other tasks are spared; plain text is spared"
    assert specificity_words(found) == said
    four = rz.task("refusal", model, n=32)
    again = specificity(bench, lever, SPEND, others=[replace(four, name=n) for n in "abc"])
    assert {each.verdict for each in again.others} == {"needed"}


def test_the_refusal_direction_holds_on_other_templates(
    refusal: tuple[Bench, Bench, DirectionLever],
) -> None:
    choose, bench, lever = refusal
    found = robustness(choose, bench, lever, SPEND)
    assert found.folds and all(each.lost.low > 0.3 for each in found.folds)
    costs = {each.how: each for each in found.ways}
    assert costs["swapped"].lost.low > costs["swapped"].worst_random
    assert found.new or "gave 8 or more not used before" in " ".join(found.left_out)
    assert all(each.recovered.value > 0.9 for each in found.new)  # two templates: wide intervals
    gain, loss = lever.moves(bench)
    assert gain.mean() > 0.9 * bench.distance and loss.mean() > 0.9 * bench.distance


def test_resampling_where_donors_have_the_same_answer_is_no_removal(
    hand: Bench, known: CircuitLever, refusal: tuple[Bench, Bench, DirectionLever]
) -> None:
    """Every clean prompt of ``refusal`` is refused by one word."""
    choose, bench, lever = refusal
    why = "with another answer to resample from"
    found = robustness(choose, bench, lever, SPEND)
    assert [each.how for each in found.ways] == ["swapped", "mean", "silenced"]
    assert any(each.startswith("resampled: ") and why in each for each in found.left_out)
    assert "not tried: " in robustness_notes(found) and why in robustness_notes(found)
    others = [rz.task(name, bench.model, n=8) for name in ("ioi", "agreement")]
    told = specificity(bench, lever, SPEND, others=others)
    assert [each.how for each in told.own] == ["mean"]
    assert told.left_out == (
        "this behaviour's own prompts, resampled: no prompt with another answer to resample from",
    )
    assert why not in specificity_words(told)
    parts, missing = knocked_out(bench, ["L0.z[H0]"], 0)
    assert set(parts) == {"swapped", "mean", "silenced"} and why in missing[0]
    three, four = (torch.full_like(hand.task.answers, each) for each in (3, 4))
    alike = Bench(hand.model, replace(hand.task, answers=three, wrong=four))
    with pytest.raises(rz.TaskError, match="24 of 24 donors have the same answer"):
        known.cost(alike, "resampled")
    assert known.cost(hand, "resampled").mean() > 0


def test_a_direction_takes_another_answers_value(hand: Bench) -> None:
    """At the same position, and never its own."""
    task = replace(hand.task, answers=torch.tensor([[3 + row % 3] for row in range(24)]))
    at = Address.parse("L0.resid_post")
    pairs = read_pairs(hand.model, at, task)
    row, position = pairs.written.nonzero(as_tuple=True)
    for seed in range(3):
        drawn = donors(pairs, seed)
        assert ((row[drawn] - row) % 3 != 0).all() and (position[drawn] == position).all()


def test_a_direction_is_not_measured_on_what_it_was_found_on(
    refusal: tuple[Bench, Bench, DirectionLever],
) -> None:
    choose, bench, lever = refusal
    assert len(lever.allowed(bench.task)) == len(bench.task)
    with pytest.raises(rz.ResiduumError, match="the direction was found on"):
        lever.allowed(choose.task)


def test_a_direction_along_which_nothing_lies_costs_nothing(
    model: Model, refusal: tuple[Bench, Bench, DirectionLever]
) -> None:
    """Random values in place of the vector, on plain text and on the task."""
    _, bench, lever = refusal
    unit = lever.direction.unit
    away = torch.randn(len(unit), generator=torch.Generator().manual_seed(5)).to(unit)
    away -= (away @ unit) * unit
    other = DirectionLever(replace(lever.direction, vector=away), bench)
    assert abs(other.cost(bench, "mean").mean()) < 0.1 * abs(lever.cost(bench, "mean").mean())
    rows = tuple(tuple(row.tolist()) for row in bench.task.clean[:4])
    intact, without, *random = lever.text_losses(bench, Texts("prompts", rows), 2)
    assert intact.shape == (4,) and len(random) == 2
    held = other.text_losses(bench, Texts("prompts", rows), 0)
    assert np.abs(held[1] - intact).mean() < np.abs(without - intact).mean()


def test_a_small_graph_is_compared_with_all_that_there_is() -> None:
    graph = graph_of(rz.load("handmade_induction"))
    few = rz.Graph.of(["embed", "L0.mlp_out", "L1.mlp_out"], ["L0.mlp_in", "L1.mlp_in", "logits"])
    every = every_circuit(few, 2)
    assert every is not None and len(every) == 2
    others, all_there, _ = other_circuits(few, every[0], 20, 0)
    assert all_there and others.tolist() == [every[1].tolist()]
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[:6] = True
    drawn, all_there, _ = other_circuits(graph, kept, 20, 0)
    assert not all_there and len(drawn) >= 10


def test_too_few_edges_to_compare_are_called_so(hand: Bench) -> None:
    from residuum.findings.chain.whole_stage import of_circuit
    from residuum.findings.record.whole_rules import whole_rules, whole_words

    graph = graph_of(hand.model)
    kept = np.ones(graph.n_edges, dtype=bool)
    kept[0] = False
    evidence = of_circuit(hand, Circuit(graph, kept), budget_named("quick"))
    assert evidence.controls < graph.n_edges
    if evidence.controls < 10:
        rule = next(each for each in whole_rules(evidence) if each.name == "More than chance")
        assert rule.outcome == "unclear" and "too few edges to compare" in whole_words(evidence)
