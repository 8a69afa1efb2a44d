"""Is it this behaviour: other tasks and plain text without the mechanism, where it is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from handmade import INDUCTION, PREVIOUS, induction_task

import residuum as rz
from residuum.figures import page
from residuum.findings import Finding
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.part_lever import PartLever
from residuum.findings.chain.plain_text import judged, text_loss
from residuum.findings.chain.replacement import ablated, lost
from residuum.findings.chain.specificity_stage import other_tasks, specificity, verdict_of
from residuum.findings.chain.texts import Texts
from residuum.findings.record.budget import budget_named
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.plain import from_plain, to_plain
from residuum.findings.record.rules import Rule, decide
from residuum.findings.record.specificity_evidence import (
    Loss,
    OtherTask,
    SpecificityEvidence,
    TextLoss,
)
from residuum.findings.record.specificity_rules import (
    most_lost,
    specificity_rules,
    specificity_words,
)
from residuum.findings.report.specificity_report import specificity_parts
from residuum.runs import Model

KNOWN = (f"L0.z[H{PREVIOUS}]", f"L1.z[H{INDUCTION}]")
SPEND = replace(budget_named("quick"), n=12)
NAN = float("nan")
IOI = ("L0.z[H1]", "L0.z[H5]", "L3.z[H7]")
"""Heads that move the answer most on ``ioi``."""


@pytest.fixture(scope="module")
def hand() -> Bench:
    return Bench(rz.load("handmade_induction"), induction_task(24))


@pytest.fixture(scope="module")
def evidence(model: Model) -> SpecificityEvidence:
    """Microworld's ``ioi`` heads on three other tasks."""
    others = [rz.task(name, model, n=12) for name in ("induction", "agreement", "refusal")]
    return specificity(
        Bench(model, rz.task("ioi", model, n=12)), PartLever(IOI), SPEND, others=others
    )


def test_all_other_tasks_of_a_model_are_asked(model: Model) -> None:
    bench = Bench(model, rz.task("ioi", model, n=8))
    tasks, left_out = other_tasks(bench, SPEND.n)
    names = {each.name for each in tasks}
    assert names == {*rz.task_names(model)} - {"ioi"} and len(names) == 9
    assert {len(each) for each in tasks} == {12} and not left_out


def test_tasks_and_plain_text_are_measured(evidence: SpecificityEvidence) -> None:
    assert len(evidence.tested) == 3 and {each.n for each in evidence.others} == {12}
    assert {each.how for each in evidence.own} == {"mean", "resampled"}
    assert all(each.lost.low > 0 for each in evidence.own)
    assert evidence.text is not None and evidence.text.texts == 24 and not evidence.left_out
    assert 0.5 < evidence.text.before.value < 2


def test_what_ioi_heads_do_not_serve_is_spared(evidence: SpecificityEvidence) -> None:
    """Repeats of random words and verb numbers need no names."""
    spared = {each.task for each in evidence.judged("spared")}
    assert {"induction", "agreement"} <= spared
    rules = specificity_rules(evidence)
    assert "spared: " in rules[0].found and "spared" in specificity_words(evidence)
    assert [rule.asks for rule in rules] == ["specificity"] * 3
    assert [rule.decides for rule in rules] == [False, False, True]
    assert rules[2].outcome == "holds"


def test_a_task_that_needs_the_parts_is_named(hand: Bench) -> None:
    """The same behaviour under other names: all of it needs the parts, and the claim says so."""
    others = [replace(induction_task(24, seed), name=f"other {seed}") for seed in (1, 2, 3)]
    found = specificity(hand, PartLever(KNOWN), SPEND, others=others)
    assert [each.verdict for each in found.others] == ["needed"] * 3
    assert all(each.worst and each.worst.random for each in found.others)
    tasks, text, all_of_it = specificity_rules(found)
    assert tasks.outcome == "fails"
    assert tasks.found.startswith("also needed: other ")
    assert text.name == "Plain text is spared"
    assert all_of_it.decides and "3 of 3 other tasks need them" in all_of_it.found
    html = page("t", specificity_parts(found, "induction"))
    assert "also needed" in html and "need them too" in html


def test_parts_that_do_nothing_spare_everything(hand: Bench) -> None:
    """The rule can hold: the heads that write where nobody reads, against the known ones."""
    others = [replace(induction_task(24, seed), name=f"other {seed}") for seed in (1, 2, 3)]
    idle = specificity(hand, PartLever((f"L1.z[H{3 - INDUCTION}]",)), SPEND, others=others)
    (own, *_) = idle.own
    assert own.lost.value == pytest.approx(0.0, abs=1e-6)
    known = specificity(hand, PartLever(KNOWN), SPEND, others=others).own[0].lost.value
    bounds = {"mean": 0.25 * known}
    assert all(verdict_of(each.losses[:1], bounds) == "spared" for each in idle.others)


def test_without_a_tokenizer_it_is_not_testable(hand: Bench) -> None:
    found = specificity(hand, PartLever(KNOWN), SPEND)
    assert found.others == () and found.text is None
    (rule,) = specificity_rules(found)
    assert rule.outcome == "unclear"
    assert rule.found.startswith("not testable: other tasks: the model has no tokenizer")
    assert "not testable" in page("t", specificity_parts(found, "induction"))


def test_a_trained_model_without_a_tokenizer_is_not_testable(test_data: Any) -> None:
    model = rz.load(test_data / "gbmi_indhead")
    letters = torch.rand(16, 26, generator=torch.Generator().manual_seed(0)).argsort(dim=1)[:, :7]
    clean = torch.cat([letters, letters[:, :1]], dim=1)
    corrupt = torch.cat([letters, letters[:, 2:3]], dim=1)
    task = rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=letters[:, 1], wrong=letters[:, 3]
    )
    found = specificity(Bench(model, task), PartLever(("L1.z[H0]",)), SPEND)
    assert specificity_words(found).startswith("Specificity: not testable")
    assert found.own[0].lost.low > 0


def test_fewer_than_three_tasks_say_nothing(hand: Bench) -> None:
    other = replace(induction_task(24, 1), name="other")
    found = specificity(hand, PartLever(KNOWN), SPEND, others=[other])
    assert specificity_words(found).startswith(
        "Specificity: not testable: of 1 other tasks the model does 1"
    )


def test_harm_that_random_parts_do_as_well_is_told_apart() -> None:
    harm = Estimate(0.5, 0.4, 0.6, 8)
    bounds = {"mean": 0.1}
    assert verdict_of([Loss("mean", harm, (0.2, 0.3))], bounds) == "needed"
    assert verdict_of([Loss("mean", harm, (0.2, 0.7))], bounds) == "as random"
    assert verdict_of([Loss("mean", Estimate(0.1, 0.0, 0.2, 8), ())], bounds) == "unclear"
    assert verdict_of([Loss("mean", Estimate(-0.5, -0.6, -0.4, 8), ())], bounds) == "unclear"
    assert verdict_of([Loss("mean", harm, ())], bounds) == "unclear"
    assert verdict_of([Loss("mean", harm, ()), Loss("mean", harm, (0.7,))], bounds) == "unclear"
    assert verdict_of([Loss("mean", Estimate(0.0, NAN, NAN, 1), ())], bounds) == "unclear"
    task = OtherTask("t", 8, True, 1.0, "logits", (Loss("mean", harm, (0.7,)),), "as random")
    found = SpecificityEvidence("components", ("L0.z[H0]",), (), (task,) * 3, None, ())
    said = specificity_rules(found)[0].found
    assert said.startswith("harmed, but no more than by random ones: t (50 % lost, mean)")
    words = "Specificity: none of 3 other tasks spared, 3 harmed no more than by random ones"
    assert specificity_words(found) == words


def test_plain_text_is_padded_out_of_the_loss(hand: Bench) -> None:
    """A text's loss is its own, whatever stands beside it."""
    rows = ((0, 3, 4, 5, 3, 4), (0, 7, 8, 7))
    together = text_loss(hand, PartLever(KNOWN), Texts("two", rows), 0)
    alone = [text_loss(hand, PartLever(()), Texts("one", (row, row)), 0) for row in rows]
    mean = sum(each.before.value for each in alone) / 2
    assert together.before.value == pytest.approx(mean, rel=1e-5)
    assert together.tokens == 8


def test_plain_text_that_suffers_is_said_to_need_only_what_exceeds_random_ones() -> None:
    up = Estimate(0.5, 0.4, 0.6, 8)
    assert judged(up, 0.1, [0.2]) == "needed" and judged(up, 0.1, [0.7]) == "as random"
    assert judged(up, 0.1, []) == "unclear" and judged(up, 0.7, []) == "spared"
    assert judged(Estimate(0.0, NAN, NAN, 1), 0.1, [0.2]) == "unclear"


def test_removal_by_mean_is_the_patching_rooms_own(model: Model) -> None:
    """Edits made here do what ``rz.knock_out`` does."""
    bench = Bench(model, rz.task("ioi", model, n=8))
    for how in (rz.MeanAblation(), rz.ResampleAblation(seed=3), rz.SwapAblation()):
        expected = rz.knock_out(model, bench.task, list(IOI), how=how, controls=0).joint[-1]
        mine = lost(bench, ablated(bench, IOI, how))
        assert mine == pytest.approx(-expected, abs=1e-4)


def test_the_evidence_is_plain_data_and_has_a_page(evidence: SpecificityEvidence) -> None:
    assert from_plain(SpecificityEvidence, to_plain(evidence)) == evidence
    html = page("t", specificity_parts(evidence, "ioi"))
    assert "ioi (this one)" in html and "Plain text" in html


def other(name: str, lost: float, verdict: str, random: tuple[float, ...] = (0.01,)) -> OtherTask:
    loss = Loss("mean", Estimate(lost, lost - 0.01, lost + 0.01, 8), random)
    return OtherTask(name, 8, True, 1.0, "logits", (loss,), verdict)  # type: ignore[arg-type]


def text(factor: float, random: float, verdict: str) -> TextLoss:
    up = Estimate(factor - 1, factor - 1.1, factor - 0.9, 8)
    before = Estimate(1.0, 0.9, 1.1, 8)
    return TextLoss("texts", 8, 80, before, up, (random - 1,), verdict)  # type: ignore[arg-type]


def said(parts: int, text: TextLoss | None, *others: OtherTask) -> str:
    names = tuple(f"L0.z[H{i}]" for i in range(parts))
    return specificity_words(SpecificityEvidence("components", names, (), others, text, ()))


def test_a_claim_names_three_tasks_at_most_and_counts_the_rest() -> None:
    """The costliest first, plain text before all."""
    needed = [other(name, 0.2 + i / 10, "needed") for i, name in enumerate("abcde")]
    spared = [other(name, 0.0, "spared") for name in "xyz"]
    assert said(2, text(1.35, 1.12, "needed"), *needed, *spared) == (
        "Not for this behaviour alone: plain text costs 35 % more without them (random ones 12 %); "
        "e (loses 60 %), d (loses 50 %), c (loses 40 %) and 2 more need them too; 3 of 8 other "
        "tasks spared"
    )
    assert said(1, None, *spared) == "Specificity: all 3 other tasks are spared"


def test_what_nearly_everything_goes_through_is_called_so() -> None:
    needed = [other(name, 0.9, "needed") for name in "abc"]
    begins = "Nearly everything that the model does goes through it: plain text costs 4.1 times as "
    begins += "much without it (random ones 1.2); "
    assert said(1, text(4.1, 1.2, "needed"), *needed).startswith(begins)
    few = [needed[0], *(other(name, 0.0, "spared") for name in "xyz")]
    assert said(1, text(4.1, 1.2, "needed"), *few).startswith("Not for this behaviour alone")
    assert "plain text costs" not in said(1, text(4.1, 5.0, "as random"), *needed)


@pytest.mark.parametrize(
    ("costs", "needed", "outcome", "status"),
    [
        (text(4.1, 1.2, "needed"), 3, "fails", "undecided"),
        (text(4.1, 1.2, "needed"), 1, "holds", "supported"),
        (text(1.5, 1.2, "needed"), 3, "holds", "supported"),
        (text(4.1, 5.0, "as random"), 3, "holds", "supported"),
        (None, 3, None, "supported"),
    ],
)
def test_what_nearly_everything_goes_through_leaves_the_status_open(
    costs: TextLoss | None, needed: int, outcome: str | None, status: str
) -> None:
    tasks = [other(name, 0.9, "needed") for name in "abc"[:needed]]
    tasks += [other(name, 0.0, "spared") for name in "xyz"[needed:]]
    found = specificity_rules(
        SpecificityEvidence("components", ("L0.mlp_out",), (), tuple(tasks), costs, ())
    )
    deciding = [rule for rule in found if rule.decides]
    assert [rule.outcome for rule in deciding] == ([] if outcome is None else [outcome])
    there = Rule("The answer is preferred", "", "", "holds", "behaviour", decides=True)
    enough = Rule("Enough", "", "", "holds", "mechanism", decides=True)
    assert decide((there, enough, *found)) == status


def test_the_first_mlp_of_microworld_is_no_mechanism_of_one_behaviour(model: Model) -> None:
    found = rz.examine(model, "refusal", ["L0.mlp_out"], stages=("specificity",))
    assert found.status == "undecided"
    assert [rule.name for rule in found.rules if rule.decides and rule.outcome != "holds"] == [
        "Not what everything goes through"
    ]


def test_a_loss_below_a_tenth_is_no_harm_that_counts() -> None:
    """However little this behaviour itself loses in that way."""
    bounds = {"mean": most_lost(0.04)}
    two, twelve = (Loss("mean", Estimate(v, v - 0.01, v + 0.01, 8), (0.0,)) for v in (0.02, 0.12))
    assert verdict_of([two], bounds) == "spared" and verdict_of([twelve], bounds) == "needed"


def test_a_claim_says_that_other_behaviours_were_not_tried(finding: Finding) -> None:
    assert finding.stages == ()
    assert finding.claim.endswith(" Whether other behaviours need it too was not tested.")
