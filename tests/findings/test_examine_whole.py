"""A circuit and a direction are examined as a whole, beside random ones of their size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import residuum as rz
from residuum.circuits import Circuit, MaskedRuns
from residuum.core import LoadError, OptionError
from residuum.findings import Finding
from residuum.findings.chain.whole_stage import of_circuit
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.whole_evidence import WholeEvidence, whole_rules
from residuum.runs import Model, Task


@pytest.fixture(scope="module")
def task(model: Model) -> Task:
    return rz.task("refusal", model, n=48)


@pytest.fixture(scope="module")
def circuit(model: Model, task: Task) -> Circuit:
    return rz.discover(model, task[0::2], method=rz.EAP(), share=0.03)


def test_a_discovered_circuit_is_supported_and_a_random_one_is_not(
    model: Model, task: Task, circuit: Circuit, tmp_path: Path
) -> None:
    found = rz.examine(model, task, circuit)
    assert found.status == "supported" and found.kind == "circuit" and found.parts is None
    assert f"a circuit of {circuit.n_edges} edges" in found.claim and found.whole is not None
    runs = MaskedRuns(model, circuit.graph, task[1::2])
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
    found = rz.examine(model, task, rz.direction(model, task[0::2], at=at))
    assert found.status == "supported" and found.kind == "direction"
    assert "one direction at L1.resid_post@-1" in found.claim and found.whole is not None
    names = rz.task("ioi", model, n=64)
    early = rz.direction(model, names[0::2], at=at, prove=False)
    wrong = rz.examine(model, names, early)
    assert wrong.status == "not supported" and "does not depend on one direction" in wrong.claim


def test_a_claim_says_how_many_of_the_pairs_a_direction_was_proven_on(model: Model) -> None:
    """Templates that it was found on are left out of its proof: the claim may not count them."""
    task = rz.task("refusal", model, n=64)
    half = task[1::2]
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
    assert [rule.name for rule in found if not rule.decides] == ["Needed more than chance"]


def test_a_circuit_that_no_random_one_equals_in_size(model: Model, task: Task) -> None:
    """Of the whole graph there is no other circuit: nothing is claimed against chance."""
    from residuum.findings import BUDGETS
    from residuum.findings.chain.bench import Bench

    graph = rz.discover(model, task[:8], method=rz.EAP(), share=0.03).graph
    whole = Circuit(graph, np.ones(graph.n_edges, bool))
    evidence = of_circuit(Bench(model, task[1::2]), whole, BUDGETS["quick"])
    assert evidence.controls == 0 and evidence.recovered.value == pytest.approx(1.0)
    assert [rule.outcome for rule in whole_rules(evidence)][2] == "unclear"
