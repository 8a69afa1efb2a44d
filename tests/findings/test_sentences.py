"""What is said about removal, controls and movers follows from the intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from residuum.findings.chain.parts_words import by_themselves
from residuum.findings.chain.roles_stage import is_mover
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.part_evidence import (
    RESAMPLE,
    PartEvidence,
    PartsEvidence,
    RemovalEvidence,
    RoleEvidence,
    RolesEvidence,
)
from residuum.findings.report.sentences import control, movers, together


def about(value: float, half: float = 0.1) -> Estimate:
    return Estimate(value, value - half, value + half, 32)


def removal(
    joint: float, backup: Estimate, random: tuple[float, ...] = (0.2, -0.4), matched: bool = True
) -> RemovalEvidence:
    heads = ("L0.z[H1]", "L1.z[H2]")
    alone = (about(2.0), about(3.0))
    return RemovalEvidence(
        RESAMPLE,
        heads,
        alone,
        (alone[0], about(joint)),
        5.0,
        backup,
        random,
        matched,
        about(0.5),
    )


@pytest.mark.parametrize(
    ("joint", "backup", "said"),
    [
        (7.5, Estimate(2.5, 1.2, 3.7, 32), "others stand in for a missing one (2.50, 95 % 1.20 to"),
        (5.2, Estimate(0.2, -0.3, 0.7, 32), "no backup is shown, the interval of the difference"),
        (4.0, Estimate(-1.0, -1.5, -0.5, 32), "they overlap, and no backup is shown"),
        (7.5, Estimate(2.5, math.nan, math.nan, 1), "too few pairs to say"),
    ],
)
def test_backup_is_said_only_where_the_interval_lies_above_zero(
    joint: float, backup: Estimate, said: str
) -> None:
    sentence = together(removal(joint, backup), "logits")
    assert said in sentence and "one by one they would sum to 5.00" in sentence
    assert ("others stand in for a missing one (" in sentence) == (backup.low > 0)


def test_control_says_how_much_less_and_whether_layers_match() -> None:
    sentence = control(removal(6.0, about(1.0)), "logits")
    assert "by 0.30 logits on average" in sentence and "0.40 at most" in sentence
    assert "20 times less" in sentence and "as many heads in each layer." in sentence
    assert "layers are not matched" in control(removal(6.0, about(1), matched=False), "logits")
    assert "No random set is possible" in control(removal(6.0, about(1), random=()), "logits")
    assert "at most: no less than these heads cost" in control(removal(-0.5, about(1)), "logits")


@pytest.mark.parametrize(
    ("direct", "verdict", "answer", "prefers", "cost", "mover"),
    [
        (0.4, "shown", about(0.6), about(0.5), about(1.0), True),
        (-0.4, "shown", about(0.6), about(0.5), about(1.0), False),
        (0.4, "undecided", about(0.6), about(0.5), about(1.0), False),
        (0.4, "shown", about(0.6), about(0.05), about(1.0), False),
        (0.4, "shown", about(0.02, 0.01), about(0.02, 0.01), about(1.0), False),
        (0.4, "shown", None, None, about(1.0), False),
        (0.4, "shown", about(0.6), about(0.5), about(0.05), False),
    ],
)
def test_a_mover_needs_it_all(
    direct: float,
    verdict: str,
    answer: Estimate | None,
    prefers: Estimate | None,
    cost: Estimate,
    mover: bool,
) -> None:
    assert is_mover(about(direct, 0.01), verdict, answer, prefers, cost) == mover


def roles(*heads: RoleEvidence) -> RolesEvidence:
    return RolesEvidence(heads, (), None, (), (), "", ())


def test_why_no_mover_is_named() -> None:
    nowhere = RoleEvidence("L0.z[H1]", about(1), 0.01, "shown", None, None, None, about(1), False)
    there = RoleEvidence(
        "L0.z[H1]", about(1), 0.3, "undecided", about(0.5), about(0.1), about(0.4), about(1), False
    )
    assert "does not stand in every clean prompt" in movers(roles(nowhere), "logits")
    assert "none of these fulfils" in movers(roles(nowhere, there), "logits")


def test_heads_that_are_not_shown_are_told_apart() -> None:
    given = [("L0.z[H0]", 0.01, "shown"), ("L0.z[H1]", 0.2, "undecided"),
             ("L1.z[H2]", 0.4, "undecided"), ("L2.z[H3]", 0.9, "not shown")]  # fmt: skip
    heads = tuple(PartEvidence(at, *[about(1)] * 6, p, verdict, ()) for at, p, verdict in given)
    parts = PartsEvidence(heads, None, (), (), 0.01)  # type: ignore[arg-type]
    assert by_themselves(parts) == (
        "L0.H1 and L1.H2 are undecided (joint p from 0.2); L2.H3 is not shown (joint p from 0.9)"
    )
    few = by_themselves(replace(parts, floor=0.25))
    assert few.endswith("; with so few templates no p is below 0.25")
