"""Who feeds whom, where it is known: a trained and a hand-set induction model, random weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import INDUCTION, PREVIOUS
from known_halves import halves, handmade_halves, permuted_letters

import residuum as rz
from residuum.figures import page
from residuum.findings.chain.composition_stage import composition
from residuum.findings.chain.part_paths import inputs, other_heads
from residuum.findings.record.budget import BUDGETS
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.composition_rules import (
    composition_rules,
    fed_words,
    path_words,
    reach_words,
)
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.head_reading import ComposedScore
from residuum.findings.record.path_evidence import PathEvidence, verdict
from residuum.findings.record.plain import from_plain, to_plain
from residuum.findings.record.rules import decide
from residuum.findings.report.composition_report import composition_parts, path_graph
from residuum.organisms.compiled import compile_program
from residuum.runs import Model

QUICK = BUDGETS["quick"]
SENDER, READER = f"L0.z[H{PREVIOUS}]", f"L1.z[H{INDUCTION}]"


def edges(evidence: CompositionEvidence) -> list[tuple[str, str, str]]:
    return [(path.sender, path.reads, path.receiver) for path in evidence.fed]


def outcomes(evidence: CompositionEvidence) -> dict[str, str]:
    return {rule.name: rule.outcome for rule in composition_rules(evidence)}


@pytest.fixture(scope="module")
def gbmi(test_data: Path) -> CompositionEvidence:
    model = rz.load(test_data / "gbmi_indhead")
    return composition(halves(model, permuted_letters())[1], ("L1.z[H0]", "L0.z[H0]"), QUICK)


@pytest.fixture(scope="module")
def handmade() -> CompositionEvidence:
    """The two heads that do it, and one that writes what nobody reads."""
    model = rz.load("handmade_induction")
    return composition(handmade_halves(model)[1], (SENDER, "L0.z[H1]", READER), QUICK)


def test_gbmi_is_a_previous_token_head_that_an_induction_head_reads_as_keys(
    gbmi: CompositionEvidence,
) -> None:
    assert edges(gbmi) == [("L0.z[H0]", "k", "L1.z[H0]")]
    (path,) = gbmi.fed
    assert path.restores.low > 0.25 and path.loses.low > 0.25
    assert "previous-token" in gbmi.kind("L0.z[H0]") and "induction" in gbmi.kind("L1.z[H0]")
    score = gbmi.score(path)
    assert score is not None and score.p < 0.01 and score.own > 0.8
    others = [each for each in gbmi.scores if each.reads != "k"]
    assert max(each.own for each in others) < 0.2
    assert set(outcomes(gbmi).values()) == {"holds"}
    assert "L0.H0 → (k) L1.H0" in fed_words(gbmi)
    said = path_words(gbmi, path)
    assert "(name mover and induction) reads as its keys what L0.H0 (previous-token) writes" in said
    assert "no other head before it to compare with" in said


def test_gbmi_paths_from_the_tokens_and_to_the_logits_are_the_known_ones(
    gbmi: CompositionEvidence,
) -> None:
    shown = {(p.sender, p.reads, p.receiver) for p in gbmi.paths if p.feeds == "feeds"}
    assert shown == {
        ("embed", "v", "L0.z[H0]"),
        ("embed", "v", "L1.z[H0]"),
        ("L0.z[H0]", "k", "L1.z[H0]"),
        ("L1.z[H0]", "logits", "logits"),
    }
    assert len(gbmi.paths) == 12 and not gbmi.controls and not gbmi.through_mlps


def test_handmade_has_the_one_edge_that_was_set(handmade: CompositionEvidence) -> None:
    assert edges(handmade) == [(SENDER, "k", READER)]
    (path,) = handmade.fed
    assert path.restores.value == pytest.approx(1.0, abs=1e-3)
    assert path.direct.value == pytest.approx(1.0, abs=1e-3)
    assert path.controls == 1 and path.beyond_controls is True
    assert abs(path.control) < 1e-3
    score = handmade.score(path)
    assert score is not None and score.own == 1.0
    assert "(k) " + f"L1.H{INDUCTION}" in fed_words(handmade)


def test_a_compiled_program_is_fed_as_it_was_compiled() -> None:
    """Layer 1's head reads as values what layer 0's MLP has worked out."""
    made = compile_program("detect_pattern")
    bench = halves(made.model, made.task(64))[1]
    found = composition(bench, ("L0.mlp_out", "L1.z[H0]"), QUICK)
    assert edges(found) == [("L0.mlp_out", "v", "L1.z[H0]")]
    assert "L0.mlp_out -> L1.v_in[H0]" in {
        made.graph.name(edge) for edge in np.flatnonzero(made.edges_of("resample")).tolist()
    }
    assert found.fed[0].straight and outcomes(found)["The weights agree"] == "unclear"


def test_heads_that_do_not_carry_it_are_said_to_feed_nobody() -> None:
    """A wrong mechanism has no composition, and its rule fails."""
    model = rz.load("handmade_induction")
    found = composition(handmade_halves(model)[1], ("L0.z[H1]", "L1.z[H2]"), QUICK)
    assert not found.fed
    rule = composition_rules(found)[0]
    assert rule.outcome == "fails" and not rule.decides
    assert rule.found == "no path between these parts restores and costs anything"


def test_random_weights_feed_nobody(random_model: Model) -> None:
    task = rz.task("induction", random_model, n=32)
    named = ("L0.z[H0]", "L0.z[H1]", "L1.z[H2]")
    found = composition(halves(random_model, task)[1], named, QUICK)
    assert not found.fed
    assert all(path.feeds != "feeds" for path in found.between)


def test_through_mlps_and_held_are_told_apart(model: Model) -> None:
    """In microworld what layer 0 hands to layer 2 goes through the MLPs."""
    bench = halves(model, rz.task("retrieval", model, n=24))[1]
    spend = replace(QUICK, random_sets=4, n=8)
    found = composition(bench, ("L0.z[H4]", "L2.z[H7]"), spend)
    assert found.through_mlps and len(found.controls) == 4
    path = next(p for p in found.between if p.reads == "q")
    assert path.restores.value > 5 * abs(path.direct.value) and path.restores.value > 0.03
    assert path.beyond_controls is True
    best = max(found.between, key=lambda each: each.restores.value)
    assert best == path


def test_a_path_equals_two_whole_passes(model: Model) -> None:
    """Of the table: one input alone reads what the sender writes on the clean prompts."""
    bench = halves(model, rz.task("retrieval", model, n=16))[1]
    found = composition(bench, ("L1.mlp_out", "L2.z[H7]"), replace(QUICK, random_sets=0, n=8))
    path = next(p for p in found.between if (p.sender, p.reads) == ("L1.mlp_out", "v"))
    clean = bench.run("clean", capture=["L1.mlp_out"])["L1.mlp_out"]
    first = model.run(
        bench.batch("corrupt"), edits=[rz.Patch("L1.mlp_out", clean)], capture=["L2.v_in"]
    )
    values = bench.values("corrupt", [rz.Patch("L2.v_in[H7]", first["L2.v_in"][:, :, 7])])
    restored = (values - bench.corrupt).mean() / bench.distance
    assert path.restores.value == pytest.approx(restored, abs=1e-4)


def test_parts_and_their_inputs(model: Model) -> None:
    assert [each[0] for each in inputs(model, "L1.mlp_out")] == ["L1.mlp_in"]
    drawn = other_heads(model, ("L0.z[H1]", "L2.z[H3]"), 5, seed=0)
    assert len(drawn) == 5 and all(at.startswith("L0.") for at in drawn)
    assert other_heads(model, ("L0.z[H1]",), 5, seed=0) == ()


ONE = Estimate(0.4, 0.3, 0.5, 32)


def path(feeds: str, control: float = 0.01, controls: int = 8, p: float = 0.01) -> PathEvidence:
    return PathEvidence(
        "L0.z[H1]", "L1.z[H2]", "q", ONE, ONE, ONE, p, control, control, controls,
        feeds,  # type: ignore[arg-type]
    )  # fmt: skip


def evidence(*paths: PathEvidence, floor: float = 0.01, p: float = 0.01) -> CompositionEvidence:
    score = ComposedScore("L0.z[H1]", "L1.z[H2]", "q", 0.3, 0.1, 0.2, p, 0.5, 20)
    return CompositionEvidence((), paths, (score,), True, ("L0.z[H7]",), "sure", floor, ("a",))


SMALL, NONE = Estimate(0.01, 0.0, 0.019, 32), Estimate(-0.05, -0.1, -0.01, 32)
NOTHING = replace(path("not shown"), restores=SMALL, loses=SMALL)
WIDE = replace(NOTHING, restores=Estimate(0.5, -0.05, 1.0, 32))


@pytest.mark.parametrize(
    ("found", "outcome", "said"),
    [
        (evidence(path("feeds")), "holds", "L0.H1 → (q) L1.H2 (40 % [30, 50])"),
        (evidence(path("feeds", control=0.6)), "unclear", "no more than other heads do"),
        (evidence(path("may feed", p=0.2)), "unclear", "but joint p 0.2"),
        (evidence(path("may feed"), floor=0.12), "unclear", "too few templates"),
        (evidence(NOTHING), "fails", "restores and costs anything"),
        (
            evidence(NOTHING, WIDE),
            "unclear",
            "not known: L0.H1 → (q) L1.H2 restores 50 % [-5,",
        ),
        (evidence(replace(WIDE, loses=NONE)), "fails", "restores and costs anything"),
        (evidence(), "unclear", "not tested"),
        (evidence(path("feeds", controls=0, control=math.nan)), "holds", "(q)"),
    ],
)
def test_the_rule_says_what_was_found(found: CompositionEvidence, outcome: str, said: str) -> None:
    rule = composition_rules(found)[0]
    assert rule.outcome == outcome and said in rule.found
    assert decide(composition_rules(found)) == "undecided", "these rules decide nothing"


def test_paths_between_named_parts_come_first(handmade: CompositionEvidence) -> None:
    (named,) = handmade.fed
    aside = replace(named, receiver="L1.z[H0]", restores=Estimate(2.0, 1.9, 2.1, 32))
    found = replace(handmade, paths=(aside, named))
    assert found.between == (aside, named) and found.fed == (named, aside)
    assert found.inside(named) and not found.inside(aside)


def test_weights_that_disagree_are_said_to() -> None:
    assert outcomes(evidence(path("feeds"), p=0.4))["The weights agree"] == "fails"
    assert outcomes(evidence(path("feeds"), p=0.001))["The weights agree"] == "holds"
    assert outcomes(evidence(path("not shown")))["The weights agree"] == "unclear"


def test_reaching_the_answer_past_other_heads(
    gbmi: CompositionEvidence, handmade: CompositionEvidence
) -> None:
    assert outcomes(handmade)["They reach the answer"] == "holds"
    assert reach_words(handmade).startswith(f"L1.H{INDUCTION} 100 %")
    (first, *others) = gbmi.reaching
    assert first.sender == "L1.z[H0]" and first.feeds == "feeds"
    assert [path.feeds for path in others] == ["not shown"]
    lost = replace(handmade, paths=tuple(p for p in handmade.paths if p.sender == "L0.z[H1]"))
    rule = composition_rules(lost)[2]
    assert rule.outcome == "fails" and "through other heads" in rule.found
    wide = replace(lost.reaching[0], restores=WIDE.restores, loses=ONE)
    rule = composition_rules(replace(lost, paths=(wide,)))[2]
    assert rule.outcome == "unclear"
    assert rule.found.startswith("not known: L0.H1 → logits restores 50 %")
    unsure = replace(gbmi, paths=(replace(first, feeds="may feed", p=0.2),))
    rule = composition_rules(unsure)[2]
    assert rule.outcome == "unclear" and rule.found.startswith("may: L1.H0")


def test_heads_that_act_through_mlps_are_said_to(model: Model) -> None:
    """In microworld's ioi the heads of layer 0 act on the answer through MLPs alone."""
    bench = halves(model, rz.task("ioi", model, n=64))[1]
    found = composition(bench, ("L0.z[H0]", "L0.z[H1]"), replace(QUICK, random_sets=4, n=8))
    rule = composition_rules(found)[2]
    assert rule.outcome == "holds" and "with MLPs held 0 % at most" in rule.found
    assert not any(path.straight for path in found.reaching)


def test_weights_say_nothing_of_a_path_through_mlps() -> None:
    through = replace(path("feeds"), direct=Estimate(0.02, 0.01, 0.03, 32))
    found = evidence(through, p=0.9)
    rule = composition_rules(found)[1]
    assert rule.outcome == "unclear" and "passes through MLPs" in rule.found
    assert "with the MLPs in between held 2 % are left" in path_words(found, through)


def test_both_ways_and_size_are_asked_for() -> None:
    small, below = Estimate(0.01, 0.005, 0.02, 32), Estimate(0.4, -0.1, 0.5, 32)
    assert verdict(ONE, ONE, 0.01, 0.05) == "feeds"
    assert verdict(ONE, below, 0.01, 0.05) == verdict(below, ONE, 0.01, 0.05) == "not shown"
    assert verdict(small, small, 0.01, 0.05) == "not shown"
    assert verdict(ONE, small, 0.3, 0.05) == "may feed"


def test_the_report_shows_the_edge_and_the_record_is_plain(gbmi: CompositionEvidence) -> None:
    again = from_plain(CompositionEvidence, to_plain(gbmi))
    assert to_plain(again) == to_plain(gbmi)
    shown = page("How", composition_parts(again))
    for said in ("What feeds what", "keys (k)", "none before it", "previous-token", "MLPs held"):
        assert said in shown
    assert "-0 %" not in shown and "-0]" not in shown and ">nan<" not in shown
    assert "{evidence" not in shown and "sign flips of 32 examples" in shown
    graph = path_graph(gbmi)
    assert graph is not None and {box.name for box in graph.parts} == {
        "embed", "L0.z[H0]", "L1.z[H0]", "logits",
    }  # fmt: skip
    nothing = evidence(path("not shown"))
    assert path_graph(nothing) is None and "Not done: a." in page("How", composition_parts(nothing))
