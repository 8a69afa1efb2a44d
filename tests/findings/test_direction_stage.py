"""Whether one direction carries it: where one does, where none does, and labels without meaning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from known_halves import halves, permuted_letters

import residuum as rz
from residuum.figures import page
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.direction_stage import (
    none_found,
    one_class,
    places,
    stream_direction,
    unshared,
)
from residuum.findings.record.budget import BUDGETS
from residuum.findings.record.direction_evidence import (
    DirectionEvidence,
    DirectionSite,
    DirectionTest,
)
from residuum.findings.record.direction_rules import (
    carries,
    direction_note,
    direction_rules,
)
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.plain import from_plain, to_plain
from residuum.findings.record.rules import decide
from residuum.findings.report.direction_report import direction_parts
from residuum.runs import Model

QUICK = BUDGETS["quick"]


@pytest.fixture(scope="module")
def refusal(model: Model) -> DirectionEvidence:
    return stream_direction(*halves(model, rz.task("refusal", model, n=64)), QUICK)


def test_refusal_is_one_direction(refusal: DirectionEvidence) -> None:
    assert carries(refusal) == "holds" and refusal.causal is True and refusal.readable is True
    for kind in ("add", "erase", "swap"):
        one = refusal.test(kind)
        assert one is not None and one.closed.low > 0.8 and one.p <= 0.05
        assert one.closed.value > one.random_high
    assert refusal.at == max(refusal.sites, key=lambda site: site.strength).at
    assert not any(site.at.startswith("L3") for site in refusal.sites)
    assert direction_note(refusal) == ""


def test_swapping_equals_passes_with_the_component_exchanged(
    model: Model, refusal: DirectionEvidence
) -> None:
    """The clean runs given their partners' component at the last token, by hand."""
    choose, bench = halves(model, rz.task("refusal", model, n=64))
    fit = choose.task.subset(unshared(choose.task, bench.task))
    site, at = refusal.at.split("@")[0], torch.arange(len(bench.task))
    runs = [
        model.run(Bench(model, fit).batch(side), capture=[site]) for side in ("clean", "corrupt")
    ]  # type: ignore[arg-type]
    rows = torch.arange(len(fit))
    means = [run[site][rows, fit.last].mean(dim=0) for run in runs]
    unit = (means[0] - means[1]) / (means[0] - means[1]).norm()
    clean, corrupt = (bench.run(side, capture=[site])[site] for side in ("clean", "corrupt"))  # type: ignore[arg-type]
    away = ((corrupt - clean)[at, bench.task.last] @ unit)[:, None] * unit
    moved = {"clean": clean.clone(), "corrupt": corrupt.clone()}
    moved["clean"][at, bench.task.last] += away
    moved["corrupt"][at, bench.task.last] -= away
    lost = bench.clean - bench.values("clean", [rz.Patch(site, moved["clean"])])
    gained = bench.values("corrupt", [rz.Patch(site, moved["corrupt"])]) - bench.corrupt
    swap = refusal.test("swap")
    assert swap is not None
    assert (lost + gained).mean() / 2 / bench.distance == pytest.approx(swap.closed.value, abs=1e-3)


def test_sides_without_meaning_have_no_direction(model: Model) -> None:
    """The same prompts, clean and corrupt exchanged at random: nothing is left to find."""
    task = rz.task("negation", model, n=64)
    keep = torch.as_tensor(np.random.default_rng(0).integers(0, 2, len(task))).bool()[:, None]
    mixed = replace(
        task,
        clean=torch.where(keep, task.clean, task.corrupt),
        corrupt=torch.where(keep, task.corrupt, task.clean),
        answers=torch.where(keep, task.answers, task.wrong),
        wrong=torch.where(keep, task.wrong, task.answers),
    )
    straight = stream_direction(*halves(model, task), QUICK)
    random = stream_direction(*halves(model, mixed), QUICK)
    assert carries(straight) == "holds"
    assert carries(random) == "fails"
    assert "As one direction it fails" in direction_note(random)


def test_an_answer_that_differs_from_pair_to_pair_is_no_direction(test_data: Path) -> None:
    found = stream_direction(
        *halves(rz.load(test_data / "gbmi_indhead"), permuted_letters()), QUICK
    )
    assert carries(found) == "fails" and found.readable is False
    rule = direction_rules(found)[0]
    assert "no more than random directions do" in rule.found and not rule.decides


def test_pairs_are_turned_where_answers_fall_into_two_sets(model: Model) -> None:
    choose, bench = halves(model, rz.task("sentiment", model, n=64))
    (one, other), turned = one_class(choose.task, bench.task)
    assert turned > 5
    assert not {*one.answers[:, 0].tolist()} & {*other.wrong[:, 0].tolist()}
    found = stream_direction(choose, bench, QUICK)
    assert found.turned == turned and carries(found) == "holds"
    ioi = rz.task("ioi", model, n=16)
    assert one_class(ioi[0::2], ioi[1::2])[1] == 0


def test_prompts_of_the_measuring_half_are_left_aside(
    model: Model, refusal: DirectionEvidence
) -> None:
    choose, bench = halves(model, rz.task("refusal", model, n=64))
    kept = unshared(choose.task, bench.task)
    assert refusal.left_aside == len(choose.task) - len(kept) > 0
    assert refusal.n_fit == len(kept)
    assert unshared(choose.task, choose.task) == []
    facts = stream_direction(*halves(model, rz.task("facts", model, n=64)), QUICK)
    (rule,) = direction_rules(facts)
    assert rule.outcome == "unclear" and "share no prompt with the measuring half" in rule.found


def test_places_stop_before_the_last_layer() -> None:
    assert places(3) == ["L0.resid_post", "L1.resid_post"] and places(1) == ["L0.resid_post"]


def evidence(
    closed: float = 0.5, p: float = 0.02, low: float = 0.4, causal: bool | None = True
) -> DirectionEvidence:
    def test(kind: str) -> DirectionTest:
        one = Estimate(closed, low, closed + 0.1, 32)
        return DirectionTest(kind, one, p, 0.02, 0.2, 0.1, kind != "leace")

    return DirectionEvidence(
        "L1.resid_post@-1", (DirectionSite("L1.resid_post@-1", closed, closed),), 32, 0, 0,
        tuple(map(test, ("add", "erase", "leace", "swap"))), Estimate(0.9, 0.8, 1.0, 64), 0.5, 0.6,
        True, causal, 50, 8, 0.7, "no pair was seen", (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "outcome", "said"),
    [
        (evidence(), "holds", "all beyond 50 random directions"),
        (evidence(p=0.2, causal=False), "fails", "no more than random directions do when added"),
        (evidence(0.05, low=0.04), "fails", "but under 10 % of the gap when added"),
        (evidence(low=-0.1), "fails", "the interval reaches 0 when added"),
        (evidence(causal=None), "unclear", "one template gives no interval"),
        (none_found("because"), "unclear", "not testable: because"),
    ],
)
def test_the_rule_says_what_fails(found: DirectionEvidence, outcome: str, said: str) -> None:
    rule = direction_rules(found)[0]
    assert rule.outcome == outcome and said in rule.found
    assert decide(direction_rules(found)) == "undecided", "these rules decide nothing"


def test_the_report_and_the_record(refusal: DirectionEvidence) -> None:
    again = from_plain(DirectionEvidence, to_plain(refusal))
    assert to_plain(again) == to_plain(refusal)
    shown = page("", direction_parts(again))
    for said in ("One direction carries it? Yes.", "swapped within pairs", "8 more share a prompt"):
        assert said in shown
    assert "{evidence" not in shown and ">nan<" not in shown
    empty = page("", direction_parts(none_found("because")))
    assert "Not testable: because." in empty
