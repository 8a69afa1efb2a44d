"""A name is confirmed by attention above its null, by what is written, and by what removal costs.

Each gate is closed by itself, in the record and in models whose heads attend as before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from by_position import PERIOD, by_position, repeats_at_a_fixed_distance
from handmade import HEADS, INDUCTION, LETTERS, PREVIOUS, WIDTH, handmade_induction

import residuum as rz
from residuum.heads import HeadScore, RemovalCost, detect_heads
from residuum.heads.head_types import BY_SCORE, types_on

HEAD = f"L1.z[H{INDUCTION}]"


def score(name: str, value: float, null: float, wide: float = 0.05) -> HeadScore:
    ends = [np.full((1, 1), x) for x in (value, value - wide, value + wide)]
    nulls = [np.full((1, 1), x) for x in (null, null - wide, null + wide)]
    return HeadScore(name, *ends, *nulls, prompts=20)


def cost(value: float, wide: float = 0.1) -> RemovalCost:
    ends = [np.full((1, 1), x) for x in (value, value - wide, value + wide)]
    return RemovalCost("repeats", "nats", *ends, rounding=1e-6, prompts=20)


def status(name: str, removal: RemovalCost | None, **changed: HeadScore) -> str | None:
    """Of one head that has everything the type asks for but what is changed."""
    scores = {key: score(key, 0.0, 0.0) for key in BY_SCORE.values()}
    scores |= {"direct": score("direct", 2.0, 0.0), "copying": score("copying", 0.0, 0.0)}
    scores |= {BY_SCORE[name]: score(BY_SCORE[name], 0.9, 0.1)} | changed
    grids = types_on(scores, removal, "repeats", np.zeros((1, 1)), least=0.2)
    found = [each for grid in grids if (each := grid[0, 0]) is not None and each.name == name]
    return found[0].status if found else None


HELPED, IDLE, HINDERED = cost(1.0), cost(0.05), cost(-1.0)


@pytest.mark.parametrize("name", BY_SCORE)
def test_each_type_asks_for_attention_above_its_null_and_an_effect(name: str) -> None:
    key = BY_SCORE[name]
    assert status(name, HELPED) == "confirmed"
    assert status(name, IDLE) == "attends only"
    assert status(name, None) == "not tested"
    assert status(name, HELPED, **{key: score(key, 0.9, 0.75)}) is None  # less than 0.2 beyond
    assert status(name, HELPED, **{key: score(key, 0.9, 0.5, wide=0.25)}) is None  # they overlap
    assert status(name, HELPED, **{key: score(key, 0.9, np.nan)}) is None  # no null


@pytest.mark.parametrize("name", BY_SCORE)
def test_help_is_asked_of_some_and_any_change_of_others(name: str) -> None:
    helps = name in ("induction", "skip-trigram")
    assert status(name, HINDERED) == ("attends only" if helps else "confirmed")


@pytest.mark.parametrize("name", BY_SCORE)
def test_copying_is_asked_of_induction_alone(name: str) -> None:
    closed = "attends only" if name == "induction" else "confirmed"
    for direct in (
        score("direct", 0.0, 0.0),
        score("direct", -2.0, 0.0),
        score("direct", 2.0, 2.0),
    ):
        assert status(name, HELPED, direct=direct) == closed


def test_skip_trigrams_lie_above_all_other_shares() -> None:
    rival = score("first_token", 0.88, 0.1)
    assert status("skip-trigram", HELPED, first_token=rival) is None


# -- models ----------------------------------------------------------------------------------


def changed(kind: str) -> Any:
    """The hand-set model, its induction head attending as before and writing something else."""
    model = handmade_induction()
    attn = model.model.blocks[1].attn
    d_head = attn.o_proj.weight.shape[1] // HEADS
    rows = slice(INDUCTION * d_head, (INDUCTION + 1) * d_head)
    with torch.no_grad():
        written = attn.o_proj.weight[:, rows]
        if kind == "zeroed":
            written.zero_()
        elif kind == "negated":
            written.neg_()
        else:  # the letter after the one attended to
            written.copy_(written.roll(1, 1))
    return rz.load(model)


def induction(table: Any) -> dict[str, str]:
    return {
        row.at: each.status for row in table.heads for each in row.types if each.name == "induction"
    }


@pytest.mark.parametrize("kind", ["zeroed", "negated", "another letter"])
def test_a_head_that_attends_and_does_not_copy_is_not_confirmed(kind: str) -> None:
    table = detect_heads(changed(kind), n=40)
    assert table.score("induction")[1, INDUCTION] == pytest.approx(1, abs=1e-6)
    assert induction(table) == {HEAD: "attends only"}
    direct = table.scores["direct"]
    assert direct.low[1, INDUCTION] <= direct.null_high[1, INDUCTION]
    if kind == "zeroed":
        assert not table.costs["repeats"].matters[1, INDUCTION]


def test_a_needed_head_that_writes_the_same_everywhere_is_not_confirmed() -> None:
    """It raises every letter but the first: the model needs it, and it copies nothing.

    Only the copying keeps it from being called an induction head.
    """
    model = handmade_induction()
    attn = model.model.blocks[1].attn
    d_head = attn.o_proj.weight.shape[1] // HEADS
    rows = slice(INDUCTION * d_head, (INDUCTION + 1) * d_head)
    prediction = slice(2 * LETTERS + WIDTH, 3 * LETTERS + WIDTH)
    with torch.no_grad():
        attn.v_proj.weight[rows] = 0.0
        attn.v_proj.weight[rows.start, :LETTERS] = 1.0  # any letter: one and the same value
        attn.o_proj.weight[:, rows] = 0.0
        attn.o_proj.weight[prediction, rows.start] = 3.0 + 0.1 * torch.arange(LETTERS).cos()
        attn.o_proj.weight[prediction.start, rows.start] = -3.0
    generator = torch.Generator().manual_seed(0)
    drawn = 1 + torch.rand(40, LETTERS - 1, generator=generator).argsort(1)[:, :4]
    ids = torch.cat([torch.zeros(40, 1).long(), drawn.repeat(1, 3)], 1)[:, :WIDTH]
    table = detect_heads(rz.load(model), prompts=ids, n=40, removal="zero")
    cost, direct = table.costs["text"], table.scores["text.direct"]
    assert cost.low[1, INDUCTION] > 0.05 and cost.matters[1, INDUCTION]
    assert direct.low[1, INDUCTION] > 0 and table.score("text.induction")[1, INDUCTION] > 0.99
    assert induction(table) == {HEAD: "attends only"}


def test_a_head_that_copies_and_hinders_is_not_confirmed() -> None:
    """Texts that repeat and then go on otherwise: the head attends and writes, and is wrong."""
    model = rz.load(handmade_induction())
    generator = torch.Generator().manual_seed(0)
    drawn = 1 + torch.rand(40, LETTERS - 1, generator=generator).argsort(1)
    # a b c d e a b c d, and then what never stood there
    ids = torch.cat([torch.zeros(40, 1).long(), drawn[:, :5], drawn[:, :4], drawn[:, 7:8]], 1)
    table = detect_heads(model, prompts=ids[:, : WIDTH + 1], n=40)
    cost, direct = table.costs["text"], table.scores["text.direct"]
    assert cost.high[1, INDUCTION] < 0 and direct.low[1, INDUCTION] > direct.null_high[1, INDUCTION]
    grids = types_on(table.scores, cost, "text", table.ov_copying, least=0.2, prefix="text.")
    found = [grid[1, INDUCTION] for grid in grids if grid[1, INDUCTION] is not None]
    assert [(each.name, each.status) for each in found] == [("induction", "attends only")]


def test_position_alone_is_kept_out_by_the_null_alone() -> None:
    """It attends, copies, and is needed: what is missing is attention beyond the null."""
    table = detect_heads(
        rz.load(by_position()), prompts=repeats_at_a_fixed_distance(40, 16, 0), n=40
    )
    score, direct = table.scores["text.induction"], table.scores["text.direct"]
    assert score.low[0, 0] > 0.7 and direct.low[0, 0] > direct.null_high[0, 0] + 1
    assert table.costs["text"].low[0, 0] > 0 and PERIOD == 8
    assert induction(table) == {}


def test_the_previous_token_head_does_not_pass_for_induction() -> None:
    table = detect_heads(rz.load(handmade_induction()), n=20)
    assert f"L0.z[H{PREVIOUS}]" not in induction(table) and induction(table) == {HEAD: "confirmed"}
