"""A circuit and a direction are examined as a whole, beside random ones of their size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import residuum as rz
from residuum.circuits import Circuit, MaskedRuns
from residuum.core import LoadError, OptionError
from residuum.findings import Finding
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.direction_lever import DirectionLever
from residuum.findings.chain.replacement import share_of
from residuum.findings.chain.whole_stage import of_circuit
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.whole_evidence import WholeEvidence
from residuum.findings.record.whole_rules import whole_rules
from residuum.runs import Model, Task


@pytest.fixture(scope="module")
def task(model: Model) -> Task:
    return rz.task("refusal", model, n=48)


@pytest.fixture(scope="module")
def circuit(model: Model, task: Task) -> Circuit:
    return rz.discover(model, rz.halves(task)[0], method=rz.EAP(), share=0.03)


def test_a_discovered_circuit_is_supported_and_a_random_one_is_not(
    model: Model, task: Task, circuit: Circuit, tmp_path: Path
) -> None:
    found = rz.examine(model, task, circuit)
    assert found.status == "supported" and found.kind == "circuit" and found.parts is None
    assert f"a circuit of {circuit.n_edges} edges" in found.claim and found.whole is not None
    runs = MaskedRuns(model, circuit.graph, rz.halves(task)[1])
    ends = [np.ones(circuit.graph.n_edges, bool), np.zeros(circuit.graph.n_edges, bool)]
    full, empty, alone, without = runs.metric(
        np.stack([*ends, circuit.kept, ~circuit.kept])
    ).mean(axis=1)  # fmt: skip
    assert found.whole.recovered.value == pytest.approx((alone - empty) / (full - empty))
    assert found.whole.lost.value == pytest.approx((full - without) / (full - empty))
    drawn = rz.random_circuits(circuit.graph, circuit.n_edges, 1, seed=9)[0]
    wrong = rz.examine(model, task, circuit.with_kept(drawn))
    assert wrong.status == "not supported" and "does not depend on a circuit" in wrong.claim
    assert found.to_dataframe()["recovered"].tolist() == [found.whole.recovered.value]
    path = found.save(tmp_path)
    assert Finding.load(path) == found and rz.replay(path, model).agrees
    assert "Is this circuit the mechanism?" in path.with_name("report.html").read_text()
    assert rz.examine(model, task, found).whole == found.whole


def test_a_direction_is_proven_where_there_is_one(model: Model) -> None:
    """Refusal is one direction at the last token; who received the object is not yet there."""
    task, at = rz.task("refusal", model, n=64), "L1.resid_post@-1"
    stated = rz.direction(model, rz.halves(task)[0], at=at)
    found = rz.examine(model, task, stated)
    assert found.status == "supported" and found.kind == "direction"
    assert "one direction at L1.resid_post@-1" in found.claim and found.whole is not None
    held = Bench(model, rz.halves(task)[1])
    proof, moves = rz.prove(stated, model, held.task), DirectionLever(stated, held).moves(held)
    both = zip((found.whole.recovered, found.whole.lost), ("add", "erase"), moves, strict=True)
    for told, kind, each in both:  # widened for few templates, as everything else is
        assert told.value == pytest.approx(proof[kind].recovered_frac, rel=1e-4)
        assert told == share_of(held, each)
    names = rz.task("ioi", model, n=64)
    early = rz.direction(model, rz.halves(names)[0], at=at, prove=False)
    wrong = rz.examine(model, names, early)
    assert wrong.status == "not supported" and "does not depend on one direction" in wrong.claim


def test_a_claim_says_how_many_of_the_pairs_a_direction_was_proven_on(model: Model) -> None:
    """Templates that it was found on are left out of its proof: the claim may not count them."""
    task = rz.task("refusal", model, n=64)
    half = rz.halves(task)[1]
    rows = [row for row, name in enumerate(half.templates) if name in ("asked", "help")]
    found = rz.direction(model, half.subset(rows), at="L1.resid_post@-1", prove=False)
    finding = rz.examine(model, task, found, stages=())
    left = len(half) - len(rows)
    assert finding.whole is not None and finding.whole.recovered.n == left
    said = f"It was measured on {left} of these {len(half)}, of templates that it was not found on"
    assert said in finding.claim


def test_other_models_are_refused(model: Model, random_model: Model, circuit: Circuit) -> None:
    with pytest.raises(OptionError, match="the graph is of a model of"):
        rz.examine(random_model, "ioi", circuit)
    with pytest.raises(LoadError, match="the direction was found on"):
        task = rz.task("refusal", model, n=32)
        there = rz.direction(model, task, at="L1.resid_post@-1", prove=False)
        rz.examine(random_model, "ioi", there)


def about(value: float) -> Estimate:
    return Estimate(value, value - 0.02, value + 0.02, 32)


@pytest.mark.parametrize(
    ("alone", "lost", "best", "n", "outcomes"),
    [
        (0.9, 1.0, 0.1, 20, ["holds", "holds", "holds"]),
        (0.71, 1.0, 0.1, 20, ["unclear", "holds", "holds"]),
        (0.5, 1.0, 0.1, 20, ["fails", "holds", "holds"]),
        (1.5, 1.0, 0.1, 20, ["fails", "holds", "holds"]),
        (0.9, 0.5, 0.95, 20, ["holds", "fails", "fails"]),
        (0.9, 1.0, 0.1, 4, ["holds", "holds", "unclear"]),
        (0.9, 1.0, 0.83, 20, ["holds", "holds", "unclear"]),
        (1.0, 1.0, 1.0, 20, ["holds", "holds", "fails"]),
    ],
)
def test_rules_of_a_circuit(
    alone: float, lost: float, best: float, n: int, outcomes: list[str]
) -> None:
    random = (best,) * n
    evidence = WholeEvidence(
        "circuit", "c", 9, 99, about(alone), about(lost), random, random, None, n, ""
    )
    found = whole_rules(evidence)
    assert [rule.outcome for rule in found if rule.decides] == outcomes
    assert [rule.name for rule in found if not rule.decides] == [
        "Needed more than chance",
        "No idle edge",
    ]


@pytest.mark.parametrize(
    ("added", "random", "last", "outcomes"),
    [
        (0.95, 0.3, False, ["holds", "holds", "holds", "holds"]),
        (0.99, 0.65, True, ["holds", "holds", "holds", "unclear"]),
    ],
)
def test_rules_of_a_direction(added: float, random: float, last: bool, outcomes: list[str]) -> None:
    """One that only the unembedding reads is left open."""
    evidence = WholeEvidence(
        "direction", "d", 1, 128, about(added), about(added), (random,), (random,), 0.01, 50, "",
        last=last,
    )  # fmt: skip
    assert [rule.outcome for rule in whole_rules(evidence)] == outcomes


def test_a_direction_that_only_the_unembedding_reads_is_left_open(model: Model) -> None:
    """Known answer: the difference of two answers' unembeddings moves their logits anywhere."""
    task = rz.task("refusal", model, n=64)
    at = "L3.resid_post@-1"
    found = rz.examine(model, task, rz.direction(model, rz.halves(task)[0], at=at), stages=())
    assert found.status == "undecided"
    assert [r.name for r in found.rules if r.decides and r.outcome != "holds"] == [
        "Something reads it"
    ]
    assert "stand only the final norm and the unembedding" in found.claim


def test_a_circuit_that_no_random_one_equals_in_size(model: Model, task: Task) -> None:
    """Of the whole graph there is no other circuit: nothing is claimed against chance."""
    from residuum.findings import BUDGETS
    from residuum.findings.chain.bench import Bench

    graph = rz.discover(model, task[:8], method=rz.EAP(), share=0.03).graph
    whole = Circuit(graph, np.ones(graph.n_edges, bool))
    evidence = of_circuit(Bench(model, rz.halves(task)[1]), whole, BUDGETS["quick"])
    assert evidence.controls == 0 and evidence.recovered.value == pytest.approx(1.0)
    assert [rule.outcome for rule in whole_rules(evidence)][2] == "unclear"
