"""Controls where the answer is known: hand-set weights, and a head that attends and does nothing.

The trap is the head that a picture of attention would name: it looks where the induction head
looks, and what it writes is nothing, or something that nobody reads.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from handmade import INDUCTION, PREVIOUS, handmade_induction, induction_task

import residuum as rz
from residuum.figures import page
from residuum.findings.chain import controls_stage
from residuum.findings.chain.attending import attending, use_of
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.controls_stage import (
    controls,
    in_null_model,
    labels_at_random,
    pushed,
)
from residuum.findings.chain.null_models import fresh_weights
from residuum.findings.chain.part_lever import PartLever
from residuum.findings.record.budget import budget_named
from residuum.findings.record.controls_evidence import ControlsEvidence
from residuum.findings.record.controls_rules import attending_words, controls_rules
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.plain import from_plain, to_plain
from residuum.findings.report.controls_report import controls_parts
from residuum.models.handset import _D_HEAD, _UNREAD
from residuum.organisms import compile_program

KNOWN = (f"L0.z[H{PREVIOUS}]", f"L1.z[H{INDUCTION}]")
IDLE = 3 - INDUCTION
"""A head of layer 1 that does nothing for the answer."""


def rows(head: int) -> slice:
    return slice(head * _D_HEAD, (head + 1) * _D_HEAD)


def trapped(output: str) -> Any:
    """The hand-set model in which an idle head attends as the induction head does.

    Args:
        output: ``nothing`` (W_O is zero), ``unread`` (written where nobody reads), or ``used``.
    """
    model = handmade_induction()
    attn: Any = model.model.blocks[1].attn
    with torch.no_grad():
        for name in ("q_proj", "k_proj", "v_proj"):
            weight = getattr(attn, name).weight
            weight[rows(IDLE)] = weight[rows(INDUCTION)]
        if output == "used":
            attn.o_proj.weight[:, rows(IDLE)] = attn.o_proj.weight[:, rows(INDUCTION)]
        else:
            attn.o_proj.weight[:, rows(IDLE)] = 0.0
        if output == "unread":
            attn.o_proj.weight[_UNREAD, rows(IDLE)] = torch.eye(_D_HEAD)
    return model


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(rz.load("handmade_induction"), induction_task(32))


@pytest.fixture(scope="module")
def evidence(bench: Bench) -> ControlsEvidence:
    return controls(bench, PartLever.of(KNOWN), budget_named("quick"))


@pytest.mark.parametrize("output", ["nothing", "unread"])
def test_the_planted_trap_attends_and_is_not_causal(output: str) -> None:
    bench = Bench(rz.load(trapped(output)), induction_task(32))
    heads, more = attending(bench, KNOWN, 12)
    found = {head.at: head for head in heads}
    trap, real = found[f"L1.z[H{IDLE}]"], found[f"L1.z[H{INDUCTION}]"]
    assert more == 0
    assert (trap.place, real.place) == ("the answer", "the answer")
    assert trap.attention.value > 0.99 and real.attention.value > 0.99
    assert (trap.use, real.use) == ("not causal", "causal")
    assert found[f"L0.z[H{PREVIOUS}]"].use == "causal"
    record = ControlsEvidence((), None, None, heads, more, ())
    assert [head.at for head in record.idle] == [f"L1.z[H{IDLE}]"]
    said = attending_words(record)
    assert said.startswith(f"L1.H{IDLE} attends strikingly (100 % of its attention to the answer)")
    assert "not causal" in said and f"L1.H{INDUCTION}" not in said
    assert "Attending, not causal" in page("t", controls_parts(record, "logits"))


def test_a_finding_says_that_the_trap_attends_and_does_not_name_it() -> None:
    """The whole chain, from the search to the page."""
    model, task = rz.load(trapped("unread")), induction_task(64)
    finding = rz.investigate(model, task, stages=("controls",))
    assert finding.status == "supported" and set(finding.components) == set(KNOWN)
    assert finding.controls is not None
    trap = f"L1.z[H{IDLE}]"
    assert trap in {head.at for head in finding.controls.idle} and trap not in finding.movers
    assert any(f"L1.H{IDLE}" in line and "not causal" in line for line in finding.scope)
    assert f"L1.H{IDLE}" not in finding.claim
    stated = rz.examine(model, task, [trap], stages=())
    assert stated.status == "not supported"


def test_the_same_head_with_an_output_that_is_read_is_causal() -> None:
    """The trap's verdict can come out the other way."""
    bench = Bench(rz.load(trapped("used")), induction_task(32))
    heads, _ = attending(bench, KNOWN, 12)
    assert {head.at: head.use for head in heads}[f"L1.z[H{IDLE}]"] == "causal"


def test_a_head_that_stands_in_for_the_named_ones_is_not_called_idle() -> None:
    """What it does beyond the named parts counts, though it does nothing while they are there."""
    none, some = Estimate(0.0, -0.01, 0.01, 32), Estimate(0.3, 0.2, 0.4, 32)
    assert use_of([none, none, none]) == "not causal"
    assert use_of([none, none, none, some]) == "causal"
    assert use_of([none, Estimate(0.03, -0.2, 0.3, 32)]) == "unclear"
    assert use_of([none, Estimate(0.0, float("nan"), float("nan"), 1)]) == "unclear"
    assert use_of([Estimate(-0.3, -0.4, -0.2, 32)]) == "causal"


def test_controls_of_the_known_mechanism_hold(evidence: ControlsEvidence) -> None:
    outcomes = {rule.name: (rule.outcome, rule.decides) for rule in controls_rules(evidence)}
    assert outcomes == {
        "Not without training": ("holds", True),
        "Right labels only": ("holds", True),
        "Not by any push": ("holds", False),
    }
    assert {each.kind for each in evidence.weights} == {"permuted", "fresh"}
    assert not any(each.found for each in evidence.weights)
    assert not evidence.left_out


def test_a_wrong_mechanism_is_no_better_than_random_labels(bench: Bench) -> None:
    labels = labels_at_random(bench, PartLever(("L0.z[H1]",)), 200)
    assert labels is None or labels.p > 0.05
    good = labels_at_random(bench, PartLever.of(KNOWN), 200)
    assert good is not None and good.p == pytest.approx(1 / 201)
    assert good.high < good.own.low


def test_a_model_with_the_mechanism_would_be_noticed_among_the_null_models(bench: Bench) -> None:
    """The control can fail: handed the trained model itself, it says ``found there too``."""
    same = in_null_model(bench, bench, PartLever.of(KNOWN), "permuted", 0)
    assert same.present and same.found
    assert same.gained.value == pytest.approx(1.0, abs=1e-3)
    failing = ControlsEvidence((same,), None, None, (), 0, ())
    (rule,) = controls_rules(failing)
    assert rule.outcome == "fails" and rule.decides


def test_a_part_that_reaches_nothing_without_training_is_said_to_be_left_out() -> None:
    """A compiled program's zeros, permuted: some of its sites lead nowhere."""
    made = compile_program("hist")
    bench = Bench(made.model, made.task(24))
    found = controls(bench, PartLever(("L0.z[H0]", "L0.mlp_out")), budget_named("quick"))
    assert len(found.weights) + len(found.left_out) >= 2
    assert not any(each.found for each in found.weights)
    assert all("weights: " in each for each in found.left_out)


def test_copies_of_a_large_model_are_not_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls_stage, "LARGEST", 10)
    found = controls(bench, PartLever.of(KNOWN), budget_named("quick"))
    assert found.weights == () and "too large" in found.left_out[0]
    names = [rule.name for rule in controls_rules(found)]
    assert names == ["Right labels only", "Not by any push"]


def test_pushes_are_as_far_as_the_swap_and_mean_nothing(bench: Bench) -> None:
    pushes = pushed(bench, KNOWN, 5)
    assert pushes is not None and len(pushes.random_recovered) == 5
    assert pushes.recovered.value == pytest.approx(1.0, abs=1e-3)
    assert max(pushes.random_recovered) < 0.5


def test_fresh_weights_are_new_and_leave_model_and_random_state_alone(bench: Bench) -> None:
    before = bench.model.provenance().weight_hash
    state = torch.random.get_rng_state()
    one, two = fresh_weights(bench.model, 1), fresh_weights(bench.model, 1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert bench.model.provenance().weight_hash == before != one.provenance().weight_hash
    assert one.provenance().weight_hash == two.provenance().weight_hash
    assert one.name.endswith("fresh weights with seed 1")


def test_the_evidence_is_plain_data_and_has_a_page(evidence: ControlsEvidence) -> None:
    assert from_plain(ControlsEvidence, to_plain(evidence)) == evidence
    html = page("t", controls_parts(evidence, "logits"))
    assert "models that learned nothing" in html and "random pushes" in html
