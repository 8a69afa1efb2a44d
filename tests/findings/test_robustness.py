"""Does it hold elsewhere: on a hand-set model, where it must, and where it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from handmade import INDUCTION, PREVIOUS, handmade_induction, induction_task

import residuum as rz
from residuum.figures import page
from residuum.findings import Finding
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.choosing import choose_parts
from residuum.findings.chain.joining import joined, unseen
from residuum.findings.chain.new_pairs import new_pairs
from residuum.findings.chain.part_lever import PartLever
from residuum.findings.chain.removing import knocked_out, removal
from residuum.findings.chain.robustness_stage import robustness
from residuum.findings.chain.searching import Search
from residuum.findings.record.budget import budget_named
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.part_evidence import SWAP, ZERO
from residuum.findings.record.plain import from_plain, to_plain
from residuum.findings.record.robustness_evidence import RobustnessEvidence, Way
from residuum.findings.record.robustness_rules import (
    enough,
    robustness_notes,
    robustness_rules,
    robustness_words,
)
from residuum.findings.report.robustness_report import robustness_parts
from residuum.models.handset import _D_HEAD
from residuum.patching import patch
from residuum.runs import Model

KNOWN = (f"L0.z[H{PREVIOUS}]", f"L1.z[H{INDUCTION}]")
IDLE = (f"L1.z[H{3 - INDUCTION}]",)
SPEND = budget_named("quick")
NAN = float("nan")


def templated(n: int = 48) -> rz.Task:
    """The induction pairs under three labels."""
    return replace(induction_task(n), templates=tuple("abc"[row % 3] for row in range(n)))


@pytest.fixture(scope="module")
def hand() -> Model:
    return rz.load("handmade_induction")


@pytest.fixture(scope="module")
def halves(hand: Model) -> tuple[Bench, Bench]:
    task = templated()
    return Bench(hand, task[0::2]), Bench(hand, task[1::2])


@pytest.fixture(scope="module")
def evidence(halves: tuple[Bench, Bench]) -> RobustnessEvidence:
    out, _ = knocked_out(halves[1], KNOWN, 3)
    removals = [removal(name, each, halves[1]) for name, each in out.items()]
    other = rz.load(handmade_induction(torch.float64))
    return robustness(*halves, PartLever.of(KNOWN), SPEND, removals=removals, also=[other])


def test_the_known_mechanism_holds_everywhere(evidence: RobustnessEvidence) -> None:
    outcomes = {rule.name: rule.outcome for rule in robustness_rules(evidence)}
    assert outcomes == {
        "Other templates": "holds",
        "Other draws": "holds",
        "Other removals": "holds",
        "Other models": "holds",
    }
    assert not any(rule.decides for rule in robustness_rules(evidence))
    assert [draw.jaccard for draw in evidence.draws] == [1.0] * len(evidence.draws)
    assert set(evidence.always) == set(KNOWN)
    assert robustness_words(evidence) == ""
    assert evidence.left_out == ("new pairs: the task's source is not known to the package",)
    assert "other templates, other draws" in robustness_notes(evidence)


def test_templates_chosen_on_and_measured_on_are_apart(evidence: RobustnessEvidence) -> None:
    for fold in evidence.folds:
        assert not set(fold.chosen_on) & set(fold.measured_on)
        assert {*fold.chosen_on, *fold.measured_on} == set("abc")
        assert set(fold.parts) == set(KNOWN)
        assert fold.recovered.value == pytest.approx(1.0, abs=1e-3)
    assert sum(fold.n for fold in evidence.folds) == 48


def test_a_wrong_mechanism_holds_nowhere(halves: tuple[Bench, Bench]) -> None:
    """A stated one is measured as it stands; a named one is not what other draws would name."""
    stated = robustness(*halves, PartLever.of(IDLE), SPEND, found=False)
    assert stated.draws == () and all(fold.parts == IDLE for fold in stated.folds)
    (folds,) = robustness_rules(stated)
    assert (folds.name, folds.outcome) == ("Other templates", "fails")
    named = robustness(*halves, PartLever.of(IDLE), SPEND)
    outcomes = {rule.name: rule.outcome for rule in robustness_rules(named)}
    assert outcomes["Other draws"] == "fails"
    assert "other halves of the pairs name other parts" in robustness_words(named)


def test_one_template_is_said_not_to_be_testable(hand: Model) -> None:
    task = induction_task(24)
    found = robustness(Bench(hand, task[0::2]), Bench(hand, task[1::2]), PartLever.of(KNOWN), SPEND)
    assert found.folds == ()
    assert "other templates: all pairs are of one template" in found.left_out
    assert "not tried: other templates" in robustness_notes(found)


def test_a_model_without_the_behaviour_is_said_not_to_have_it(
    halves: tuple[Bench, Bench],
) -> None:
    model: Any = handmade_induction()
    with torch.no_grad():  # the induction head says nothing: both prompts are answered alike
        model.model.blocks[1].attn.o_proj.weight[:, INDUCTION * _D_HEAD :][:, :_D_HEAD] = 0.0
    found = robustness(*halves, PartLever.of(KNOWN), SPEND, also=[rz.load(model)])
    (other,) = found.models
    assert not other.present and other.recovered is None and other.parts == ()
    (rule,) = [rule for rule in robustness_rules(found) if rule.name == "Other models"]
    assert rule.outcome == "fails" and "behaviour is absent" in rule.found


def test_the_search_on_some_rows_is_the_chains_own_on_these_pairs(
    halves: tuple[Bench, Bench],
) -> None:
    choose, bench = halves
    whole = Bench(choose.model, joined(choose.task, bench.task))
    rows = [0, 3, 5, 6, 7, 9, 20, 30]
    here = Bench(choose.model, whole.task.subset(rows))
    sweep = patch(here.model, here.task, "z", ("layer", "head"))
    expected = tuple(at for at, _ in choose_parts(here, sweep, None, SPEND))
    search = Search(whole, SPEND)
    assert search.chosen(rows) == expected
    recovered, lost = search.measured(KNOWN, rows)
    assert recovered.n == len(rows)
    assert (recovered.value, lost.value) == pytest.approx((1.0, 1.0), abs=1e-3)


def test_new_pairs_are_new(model: Model) -> None:
    """Pairs of microworld's ioi: none that was used before."""
    task = rz.task("ioi", model, n=24)
    parts = ["L0.z[H1]", "L0.z[H5]", "L0.z[H4]", "L0.z[H0]"]
    spend = replace(SPEND, n=12)
    found = robustness(
        Bench(model, task[0::2]), Bench(model, task[1::2]), PartLever.of(parts), spend, found=False
    )
    assert [each.seed for each in found.new] == [1, 2]
    assert all(each.n >= 8 and each.recovered.low > 0.5 for each in found.new)
    again = unseen(rz.task("ioi", model, n=24), task)
    assert again is None
    fresh = unseen(rz.task("ioi", model, n=24, seed=1), task)
    assert fresh is not None and not set(map(str, fresh.clean)) & set(map(str, task.clean))


def test_new_pairs_are_new_whatever_seed_the_task_was_made_with(model: Model) -> None:
    """The seed after the investigation's own made the task itself: the next ones are taken."""
    task = rz.task("ioi", model, n=24, seed=1)
    lever, whole = PartLever.of(["L0.z[H1]"]), Bench(model, task, 0)
    found, missing = new_pairs(whole, lever, 24, 8)
    assert [each.seed for each in found] == [2, 3] and missing == ()
    few, why = new_pairs(whole, lever, 8, 9)
    assert few == () and why == (
        "new pairs: none of the seeds 1 to 8 gave 9 or more not used before",
    )


def test_halves_joined_are_the_whole(model: Model) -> None:
    """Also where the prompts of the halves have different lengths."""
    task = rz.task("negation", model, n=8)
    short = task[0::2]
    padded = joined(short, task[1::2])
    assert padded.task_hash == task[[0, 2, 4, 6, 1, 3, 5, 7]].task_hash
    logits = Bench(model, padded).clean
    assert logits == pytest.approx(
        np.r_[Bench(model, short).clean, Bench(model, task[1::2]).clean], abs=1e-4
    )


def test_removals_that_cost_no_more_than_random_ones_do_not_agree() -> None:
    good, none = Estimate(0.5, 0.4, 0.6, 8), Estimate(-0.1, -0.2, 0.0, 8)
    for way, outcome in (
        (Way("mean", good, 0.1), "holds"),
        (Way("mean", good, NAN), "unclear"),
        (Way("mean", Estimate(0.5, NAN, NAN, 1), 0.1), "unclear"),
        (Way("mean", Estimate(NAN, NAN, NAN, 1), 0.1), "unclear"),
        (Way("mean", good, 0.7), "unclear"),
        (Way("mean", none, 0.1), "fails"),
    ):
        found = RobustnessEvidence("components", (), (), (), (), (way,), (), ())
        (rule,) = robustness_rules(found)
        assert rule.outcome == outcome
    assert enough([good, Estimate(0.2, 0.1, 0.3, 8)]) == "fails"
    assert enough([good, Estimate(NAN, NAN, NAN, 8)]) == "unclear"


def test_a_removal_has_one_interval_wherever_it_is_told(
    halves: tuple[Bench, Bench], finding: Finding
) -> None:
    """Cost and distance of a pair are drawn together, in the robustness stage as in the parts'."""
    assert finding.parts is not None
    swapped, zeroed = finding.parts.removal(SWAP), finding.parts.removal(ZERO)
    assert swapped is not None and swapped.lost == finding.parts.together.swap_drop
    assert zeroed is not None and zeroed.lost == finding.parts.together.zero_drop
    told = robustness(*halves, PartLever.of(KNOWN), SPEND, removals=[swapped], found=False)
    assert [each.lost for each in told.ways] == [swapped.lost]


def test_removals_without_random_ones_are_said_to_be_alone() -> None:
    good = Estimate(0.5, 0.4, 0.6, 8)
    alone, beside = Way("mean", good, NAN), Way("swapped", good, 0.1)
    said = [
        robustness_words(RobustnessEvidence("components", (), (), (), (), ways, (), ()))
        for ways in ((alone,), (beside, alone))
    ]
    assert said[0] == (
        "there is nothing random to compare removals with (mean, 50 % [40, 60] is lost)"
    )
    assert said[1] == (
        "not every way of removal shows it (mean, 50 % is lost, with no random ones beside it)"
    )


def test_the_evidence_is_plain_data_and_has_a_page(evidence: RobustnessEvidence) -> None:
    again = from_plain(RobustnessEvidence, to_plain(evidence))
    assert to_plain(again) == to_plain(evidence)
    html = page("t", robustness_parts(evidence, "logits"))
    assert "other halves of the pairs would have named" in html
