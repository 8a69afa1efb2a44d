"""The circuit of a finding, where it is known, and what is said of one that fails."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import INDUCTION, PREVIOUS
from known_halves import halves, handmade_halves, permuted_letters

import residuum as rz
from residuum.circuits import MaskedRuns, graph_of
from residuum.figures import page
from residuum.findings.chain.circuit_stage import circuit, nothing
from residuum.findings.record.budget import BUDGETS
from residuum.findings.record.circuit_evidence import (
    CircuitEdge,
    CircuitEvidence,
    CircuitSize,
    Judged,
)
from residuum.findings.record.circuit_rules import circuit_rules
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.plain import from_plain, to_plain
from residuum.findings.record.rules import decide
from residuum.findings.report.circuit_report import circuit_parts, edge_graph
from residuum.findings.report.part_layers import layers_of
from residuum.organisms.compiled import compile_program
from residuum.runs import Model

QUICK = BUDGETS["quick"]


def outcomes(evidence: CircuitEvidence) -> dict[str, str]:
    return {rule.name: rule.outcome for rule in circuit_rules(evidence)}


def names(evidence: CircuitEvidence) -> set[str]:
    return {f"{edge.sender} -> {edge.receiver}" for edge in evidence.edges}


@pytest.fixture(scope="module")
def gbmi(test_data: Path) -> CircuitEvidence:
    model = rz.load(test_data / "gbmi_indhead")
    return circuit(*halves(model, permuted_letters()), ("L1.z[H0]", "L0.z[H0]"), QUICK)


def test_gbmi_is_its_four_known_edges(gbmi: CircuitEvidence) -> None:
    assert names(gbmi) == {
        "embed -> L0.v_in[H0]",
        "embed -> L1.v_in[H0]",
        "L0.head_out[H0] -> L1.k_in[H0]",
        "L1.head_out[H0] -> logits",
    }
    assert gbmi.reached and gbmi.total == 12 and gbmi.n_edges == 4
    assert gbmi.main is not None and gbmi.main.reference == "counterfactual"
    assert gbmi.main.faithfulness.value == pytest.approx(1.0, abs=0.01)
    assert max(gbmi.random_faithfulness) < 0.7
    found = outcomes(gbmi)
    assert found.pop("Whatever the rest carries") == "fails"
    assert set(found.values()) == {"holds"}


def test_handmade_circuit_holds_the_heads_that_were_set_and_no_other() -> None:
    sender, reader = f"L0.z[H{PREVIOUS}]", f"L1.z[H{INDUCTION}]"
    found = circuit(*handmade_halves(rz.load("handmade_induction")), (sender, "L0.z[H1]"), QUICK)
    assert found.parts == (sender, reader)
    assert found.named_in == (sender,) and found.named_out == ("L0.z[H1]",)
    rule = next(rule for rule in circuit_rules(found) if rule.name == "The same parts")
    assert rule.outcome == "unclear" and rule.found == "1 of 2 are in it; L0.H1 not"


@pytest.mark.parametrize("name", ["frac_prevs", "sort_unique", "reverse"])
def test_compiled_programs_give_the_edges_that_are_causal(name: str) -> None:
    """Edges whose exchange changes an answer, found by trying each on every prompt."""
    made = compile_program(name)
    found = circuit(*halves(made.model, made.task(64)), (), QUICK)
    causal = np.flatnonzero(made.edges_of("resample")).tolist()
    assert names(found) == {made.graph.name(edge) for edge in causal}
    assert outcomes(found)["A circuit does it"] == "holds"


def test_a_program_whose_gradients_fail_is_said_to_fall_short() -> None:
    """The gradient of a count is zero: what EAP-IG cannot see shows where edges are measured."""
    made = compile_program("hist")
    found = circuit(*halves(made.model, made.task(64)), (), QUICK)
    assert found.checked is not None and found.checked.agreement < 0.9
    assert names(found) == {
        made.graph.name(edge) for edge in np.flatnonzero(made.edges_of("resample")).tolist()
    }


def test_numbers_are_those_of_masked_runs(model: Model) -> None:
    choose, bench = halves(model, rz.task("refusal", model, n=24))
    found = circuit(choose, bench, ("L0.z[H2]",), replace(QUICK, n=8, random_sets=3))
    graph = graph_of(model)
    kept = np.isin(graph.names, sorted(names(found)))
    assert kept.sum() == found.n_edges == len(found.edges)
    runs = MaskedRuns(model, graph, bench.task)
    ends = np.stack([np.ones_like(kept), np.zeros_like(kept), kept, ~kept])
    full, empty, alone, without = runs.metric(ends).mean(axis=1)
    assert found.main is not None
    assert full == pytest.approx(bench.clean.mean(), abs=1e-3)
    share = (alone - empty) / (full - empty), (full - without) / (full - empty)
    assert found.main.faithfulness.value == pytest.approx(share[0], abs=1e-4)
    assert found.main.completeness.value == pytest.approx(share[1], abs=1e-4)
    assert len(found.random_faithfulness) == 3
    assert found.checked is not None and found.checked.best == 8 and found.checked.sampled == 16
    smaller = [point for point in found.curve if point.edges < found.n_edges]
    assert smaller and all(point.faithfulness < 0.9 for point in smaller)


def test_a_model_without_a_proven_seam_is_said_not_to_be_testable() -> None:
    found = nothing("no circuit was searched for: the model has no graph")
    (rule,) = circuit_rules(found)
    assert rule.outcome == "unclear" and not rule.decides
    assert rule.found == "not testable: no circuit was searched for: the model has no graph"
    assert "Not testable: no circuit" in page("", circuit_parts(found, "logits"))


def about(value: float, half: float = 0.05) -> Estimate:
    return Estimate(value, value - half, value + half, 32)


def evidence(
    faithful: float,
    *,
    other: float = 0.95,
    complete: float = 0.95,
    best: float = 0.1,
    reached: bool = True,
    lost: tuple[Estimate, ...] = (about(0.4), about(0.3)),
) -> CircuitEvidence:
    def judged(reference: str, value: float) -> Judged:
        return Judged(reference, about(value), about(value), about(complete), 0.1, lost)

    edges = (
        CircuitEdge("embed", "L0.v_in[H1]", 2.0, True),
        CircuitEdge("L0.head_out[H1]", "L1.mlp_in", -1.0, False),
        CircuitEdge("L1.mlp_out", "logits", 3.0, True),
    )
    return CircuitEvidence(
        "EAP-IG", 90, 3, 1, (CircuitSize(3, faithful),), reached, edges,
        ("L0.z[H1]", "L1.mlp_out"), ("L0.z[H1]",), (), None,
        (judged("counterfactual", faithful), judged("mean", other)),
        (0.0, best) * 10, (0.9, 0.2) * 10, (), (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "name", "outcome", "said"),
    [
        (evidence(0.95), "A circuit does it", "holds", "3 of 90 edges do 95 % [90, 100]"),
        (evidence(0.82), "A circuit does it", "unclear", "82 %"),
        (evidence(0.5), "A circuit does it", "fails", "50 %"),
        (evidence(1.4), "A circuit does it", "fails", "140 %"),
        (
            evidence(0.95, reached=False),
            "A circuit does it",
            "fails",
            "no size up to 3 edges comes so near: 95 % to 95 %",
        ),
        (evidence(0.95), "More than random circuits", "holds", "the best random one 10 %"),
        (evidence(0.95, best=0.97), "More than random circuits", "fails", "97 %"),
        (evidence(0.95, complete=0.3), "Nothing without it", "fails", "30 %"),
        (evidence(0.95, other=0.2), "Whatever the rest carries", "fails", "20 % to 95 %"),
        (evidence(0.95), "Whatever the rest carries", "holds", "means over the prompts 95 %"),
        (evidence(0.95, lost=(about(0.4), about(0.01))), "No idle part", "unclear", "1 of 2"),
    ],
)
def test_rules_say_what_fails(found: CircuitEvidence, name: str, outcome: str, said: str) -> None:
    rule = next(rule for rule in circuit_rules(found) if rule.name == name)
    assert rule.outcome == outcome and said in rule.found
    assert decide(circuit_rules(found)) == "undecided", "these rules decide nothing"


def test_the_same_parts_are_asked_for() -> None:
    """Found without them: all named parts in it, none, and nothing named."""
    found = evidence(0.95)
    assert outcomes(found)["The same parts"] == "holds"
    missed = replace(found, named_in=(), named_out=("L2.z[H3]",))
    rule = next(rule for rule in circuit_rules(missed) if rule.name == "The same parts")
    assert rule.outcome == "fails" and rule.found == "0 of 1 are in it; L2.H3 not"
    assert outcomes(replace(found, named_in=()))["The same parts"] == "unclear"


def test_the_report_draws_the_edges_and_the_record_is_plain(gbmi: CircuitEvidence) -> None:
    again = from_plain(CircuitEvidence, to_plain(gbmi))
    assert to_plain(again) == to_plain(gbmi)
    shown = page("", circuit_parts(again, "logits"))
    for said in (
        "The circuit: 4 of 12 edges",
        "<strong>Whatever the rest carries? No.</strong>",
        "best of 16 random circuits",
        "12 edges, the best by the method",
    ):
        assert said in shown
    assert ">nan<" not in shown and "-0 %" not in shown and "{evidence" not in shown
    graph = edge_graph(again, "logits")
    assert [box.label for box in graph.parts] == ["embed", "H0", "H0", "logits"]
    assert {(link.source, link.target, link.note) for link in graph.links} == {
        (0, 1, "v"), (0, 2, "v"), (1, 2, "k"), (2, 3, ""),
    }  # fmt: skip


def test_a_shared_key_head_is_drawn_at_each_of_its_heads() -> None:
    found = evidence(0.95)
    edges = (CircuitEdge("embed", "L1.k_in[H1]", 1.0, True),)
    graph = edge_graph(replace(found, edges=edges, group=2, n_edges=1), "logits")
    assert [box.name for box in graph.parts] == ["embed", "L1.z[H2]", "L1.z[H3]"]
    assert [link.port for link in graph.links] == [0.0, 0.0]


def test_layers_are_in_forward_order() -> None:
    parts = ["logits", "L1.mlp_out", "L1.z[H10]", "L1.z[H2]", "L0.mlp_out", "embed"]
    listed, boxes, rows = layers_of(parts)
    assert listed == ["embed", "L0.mlp_out", "L1.z[H2]", "L1.z[H10]", "L1.mlp_out", "logits"]
    assert [box.row for box in boxes] == [0, 1, 2, 2, 3, 4] and rows[2] == "L1"
    assert not math.isnan(sum(box.lane for box in boxes))
