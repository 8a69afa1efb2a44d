"""The status follows from the rules, row by row."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from residuum.findings.record.evidence import BehaviourEvidence, Estimate
from residuum.findings.record.part_evidence import (
    PartEvidence,
    PartsEvidence,
    RivalEvidence,
    SetEvidence,
)
from residuum.findings.record.parts_rules import (
    each_rule,
    idle_rule,
    mechanism_rules,
    rival_rule,
)
from residuum.findings.record.rules import (
    Rule,
    behaviour_rules,
    decide,
    number,
    share,
)

B, H = "behaviour", "mechanism"


def rules(present: str, follows: str, *heads: str) -> tuple[Rule, ...]:
    named = [("The answer is preferred", present, B), ("It follows the change", follows, B)]
    named += list(zip(("Enough", "Needed", "More than chance"), heads, [H] * 3, strict=False))
    return tuple(Rule(name, "", "", outcome, asks, True) for name, outcome, asks in named)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (("holds", "holds", "holds", "holds", "holds"), "supported"),
        (("holds", "holds", "holds", "unclear", "holds"), "undecided"),
        (("holds", "holds", "holds", "fails", "holds"), "undecided"),
        (("holds", "holds", "unclear", "holds", "holds"), "undecided"),
        (("holds", "holds", "holds", "holds", "unclear"), "undecided"),
        (("holds", "holds", "fails", "holds", "holds"), "not supported"),
        (("holds", "holds", "holds", "holds", "fails"), "not supported"),
        (("fails", "holds"), "not supported"),
        (("holds", "fails"), "not supported"),
        (("fails", "holds", "holds", "holds", "holds"), "not supported"),
        (("unclear", "holds", "holds", "holds", "holds"), "undecided"),
        (("unclear", "holds", "fails", "fails", "fails"), "undecided"),
        (("holds", "holds"), "undecided"),
    ],
)
def test_status(outcomes: tuple[str, ...], status: str) -> None:
    assert decide(rules(*outcomes)) == status


def test_no_rules_decide_nothing() -> None:
    assert decide(()) == "undecided"


def behaviour(choice: Estimate, contrast: Estimate) -> BehaviourEvidence:
    shuffled = Estimate(0.5, 0.34, 0.66, 32)
    return BehaviourEvidence(
        choice, choice, choice, choice, contrast, contrast, contrast, shuffled, 200
    )


@pytest.mark.parametrize(
    ("choice", "contrast", "outcomes"),
    [
        (Estimate(1.0, 0.89, 1.0, 32), Estimate(5.0, 4.0, 6.0, 32), ["holds", "holds"]),
        (Estimate(0.6, 0.42, 0.75, 32), Estimate(5.0, 4.0, 6.0, 32), ["fails", "holds"]),
        (Estimate(0.7, 0.45, 0.83, 12), Estimate(5.0, 4.0, 6.0, 32), ["unclear", "holds"]),
        (Estimate(1.0, 0.89, 1.0, 32), Estimate(0.2, -0.1, 0.5, 32), ["holds", "unclear"]),
        (Estimate(1.0, 0.89, 1.0, 32), Estimate(-1.0, -2.0, 0.5, 32), ["holds", "fails"]),
        (
            Estimate(1.0, 0.89, 1.0, 32),
            Estimate(math.nan, math.nan, math.nan, 1),
            ["holds", "fails"],
        ),
    ],
)
def test_behaviour_rules(choice: Estimate, contrast: Estimate, outcomes: list[str]) -> None:
    found = behaviour_rules(behaviour(choice, contrast), "logits")
    assert [rule.outcome for rule in found[:2]] == outcomes


def heads(
    recovered: float, lost: float, best: float, sets: int = 20, pushes: tuple[float, ...] = ()
) -> SetEvidence:
    def wide(value: float) -> Estimate:
        return Estimate(value, value - 0.05, value + 0.05, 32)

    random = (best,) * sets
    return SetEvidence(
        wide(recovered), wide(lost), wide(lost), random, random, random, pushes, pushes, wide(1.0)
    )


@pytest.mark.parametrize(
    ("choice", "outcome"),
    [(Estimate(1.0, 0.51, 1.0, 4), "unclear"), (Estimate(0.75, 0.3, 0.95, 4), "fails")],
)
def test_four_prompts_that_are_all_right_are_too_few_and_no_absence(
    choice: Estimate, outcome: str
) -> None:
    seen = behaviour(choice, Estimate(9.0, 8.0, 10.0, 4))
    seen = replace(seen, shuffled=Estimate(0.5, 0.0, 1.0, 4))
    assert behaviour_rules(seen, "logits")[0].outcome == outcome


@pytest.mark.parametrize(
    ("evidence", "outcomes"),
    [
        (heads(0.9, 0.8, 0.1), ["holds", "holds", "holds"]),
        (heads(0.33, 0.8, 0.1), ["unclear", "holds", "holds"]),
        (heads(0.2, 0.8, 0.1), ["fails", "holds", "holds"]),
        (heads(0.9, 0.1, 0.2), ["holds", "fails", "unclear"]),
        (heads(0.9, 0.8, 0.95), ["holds", "holds", "fails"]),
        (heads(0.9, 0.8, 0.1, sets=3), ["holds", "holds", "unclear"]),
        (heads(math.nan, 0.8, 0.1), ["fails", "holds", "unclear"]),
        (heads(0.9, 0.8, 0.1, sets=0, pushes=(0.2,) * 20), ["holds", "holds", "holds"]),
        (heads(0.9, 0.8, 0.1, sets=3, pushes=(0.95,) * 17), ["holds", "holds", "fails"]),
        (heads(0.9, 0.91, 0.82), ["holds", "holds", "unclear"]),
        (heads(0.95, 0.95, 0.82), ["holds", "holds", "holds"]),
        (heads(1.2, 1.2, 0.95), ["holds", "holds", "unclear"]),
        (heads(1.2, 1.2, 1.1), ["holds", "holds", "unclear"]),
        (heads(0.95, 0.85, 1.1), ["holds", "holds", "fails"]),
    ],
)
def test_head_rules(evidence: SetEvidence, outcomes: list[str]) -> None:
    assert [rule.outcome for rule in mechanism_rules(evidence)] == outcomes


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        (("shown", "shown"), "holds"),
        (("shown", "undecided"), "unclear"),
        (("shown", "not shown"), "fails"),
    ],
)
def test_each_head_by_itself_names_but_does_not_decide(
    verdicts: tuple[str, ...], outcome: str
) -> None:
    effect = Estimate(1.0, 0.9, 1.1, 32)
    rule = each_rule([PartEvidence("L0.z[H0]", *[effect] * 6, 0.3, each, ()) for each in verdicts])
    assert rule.outcome == outcome and "largest joint p 0.3" in rule.found
    held = rules("holds", "holds", "holds", "holds", "holds")
    assert decide((*held, rule)) == "supported"


def test_numbers_in_words() -> None:
    assert share(Estimate(0.615, 0.512, 0.7, 9)) == "62 % [51, 70]"
    assert share(Estimate(0.615, math.nan, math.nan, 1)) == "62 %"
    assert number(Estimate(7.1, 6.8, 7.4, 9)) == "7.10 [6.80, 7.40]"


def parts_beside(own: float, others: float, low: float) -> PartsEvidence:
    """Parts that carry ``own`` both ways, beside a rival that carries ``others``."""
    mine, theirs = Estimate(own, own, own, 8), Estimate(others, others, others, 8)
    gap = Estimate(others - own, low, others - own, 8)
    rival = RivalEvidence(("L0.z[H1]",), theirs, theirs, gap, gap)
    together = SetEvidence(mine, mine, mine, (), (), (), (), (), mine)
    return PartsEvidence((), together, (), (), 0.01, rival)


@pytest.mark.parametrize(
    ("own", "others", "low", "outcome"),
    [
        (0.6, 0.9, 0.2, "fails"),
        (0.6, 0.9, -0.1, "holds"),
        (0.9, 0.95, 0.02, "holds"),
        (0.98, 1.5, 0.4, "holds"),
        (0.5, 1.45, 0.4, "holds"),
        (0.5, 1.2, 0.4, "fails"),
        (0.6, 0.5, -0.2, "holds"),
        (0.6, 0.9, math.nan, "unclear"),
        (0.6, math.nan, math.nan, "unclear"),
    ],
)
def test_stated_parts_are_held_against_what_a_search_names(
    own: float, others: float, low: float, outcome: str
) -> None:
    (rule,) = rival_rule(parts_beside(own, others, low))
    assert rule.outcome == outcome and rule.decides


def test_without_a_rival_there_is_no_rule() -> None:
    assert rival_rule(replace(parts_beside(0.6, 0.9, 0.2), rival=None)) == ()


def part(at: str, does: float, half: float = 0.01) -> PartEvidence:
    """A part that does so much at most."""
    effect, most = Estimate(1.0, 0.9, 1.1, 32), Estimate(does, does - half, does + half, 32)
    return PartEvidence(at, *[effect] * 5, most, 0.01, "shown", ())


RIGHT = part("L0.z[H1]", 0.8)


@pytest.mark.parametrize(
    ("other", "outcome", "said"),
    [
        (part("L3.z[H7]", 0.0), "fails", "L3.H7: nothing"),
        (part("L3.z[H7]", 0.015, half=0.001), "fails", "L3.H7: nothing"),
        (part("L3.z[H7]", 0.1, half=0.2), "fails", "L3.H7: nothing"),
        (part("L3.z[H7]", 0.1, half=math.nan), "fails", "L3.H7: nothing"),
        (part("L3.z[H7]", 0.05), "holds", "all 2; the least is L3.H7 with 5 %"),
        (part("L3.z[H7]", -0.3), "holds", "L3.H7: against the answer"),
    ],
    ids=["nothing", "too little", "not shown", "not known", "a little", "against"],
)
def test_a_part_that_rides_along_is_named_and_decides(
    other: PartEvidence, outcome: str, said: str
) -> None:
    rule = idle_rule([RIGHT, other])
    assert rule.outcome == outcome and rule.decides and said in rule.found
    held = rules("holds", "holds", "holds", "holds", "holds")
    assert decide((*held, rule)) == ("undecided" if outcome == "fails" else "supported")


@pytest.mark.parametrize(
    ("clean", "corrupt", "outcome"),
    [(8.5, -8.5, "holds"), (8.5, 8.0, "unclear"), (8.5, 5.0, "holds"), (-0.1, -3.0, "holds")],
)
def test_most_of_the_answer_must_be_at_stake(clean: float, corrupt: float, outcome: str) -> None:
    """The last two: a probability lost in part, and a loss that grows from next to nothing."""
    right = Estimate(1.0, 0.9, 1.0, 32)
    gap = clean - corrupt
    seen = replace(
        behaviour(right, Estimate(gap, gap - 0.1, gap + 0.1, 32)),
        metric_clean=Estimate(clean, clean, clean, 32),
        metric_corrupt=Estimate(corrupt, corrupt, corrupt, 32),
    )
    *others, stake = behaviour_rules(seen, "logits")
    assert stake.name == "The answer is at stake" and stake.outcome == outcome
    assert all(rule.outcome == "holds" for rule in others)
    held = rules("holds", "holds", "holds", "holds", "holds")
    assert decide((stake, *held)) == ("supported" if outcome == "holds" else "undecided")
