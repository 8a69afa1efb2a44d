"""Heads that go by position are no induction and no duplicate-token heads, whatever the prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from by_position import (
    LETTERS,
    PERIOD,
    WIDTH,
    by_position,
    repeats_at_a_fixed_distance,
    trained_at_a_fixed_distance,
)
from handmade import INDUCTION, handmade_induction

import residuum as rz
from residuum.heads import detect_heads, prompts
from residuum.heads.exchanged import without_repeats
from residuum.heads.head_types import types_on
from residuum.heads.matches import find_matches

BY_MATCH = ("induction", "duplicate-token")


def named(table: Any) -> list[str]:
    """Heads that a type resting on matches is claimed for."""
    return [row.at for name in BY_MATCH for row in table.of_type(name, confirmed=False)]


def on_text(table: Any, name: str) -> dict[str, str]:
    """Head -> status of a type on one's own prompts, whatever it is called on repeats."""
    grids = types_on(
        table.scores, table.costs["text"], "text", table.ov_copying, least=0.2, prefix="text."
    )
    found = {}
    for grid in grids:
        for (layer, head), each in np.ndenumerate(grid):
            if each is not None and each.name == name:
                found[f"L{layer}.z[H{head}]"] = each.status
    return found


@pytest.fixture(scope="module")
def looks_back() -> Any:
    return rz.load(by_position())


@pytest.mark.parametrize("starts", [1, 6, 16, 21, 23])
def test_repeats_at_a_fixed_distance_name_nobody(looks_back: Any, starts: int) -> None:
    """Twelve draws: the score is high, the null says the same, and nothing is claimed."""
    for draw in range(12):
        ids = repeats_at_a_fixed_distance(50, starts, draw)
        table = detect_heads(looks_back, prompts=ids, n=50, removal=None, resamples=200)
        score = table.scores["text.induction"]
        assert score.values[0, 0] > 0.6
        assert score.null[0, 0] == pytest.approx(score.values[0, 0], abs=1e-6)
        assert not named(table) and table.notes == ()


def test_nor_where_removal_costs(looks_back: Any) -> None:
    """As it was found: fifty prompts, everything measured, the model needs the head."""
    table = detect_heads(looks_back, prompts=repeats_at_a_fixed_distance(50, 23, 0), n=50)
    assert table.costs["text"].values[0, 0] > 1 and table.costs["text"].matters[0, 0]
    assert table.scores["text.direct"].low[0, 0] > table.scores["text.direct"].null_high[0, 0]
    assert not named(table)


@pytest.mark.parametrize("offset", [PERIOD, PERIOD - 1])
def test_nor_a_head_that_looks_at_the_token_itself(offset: int) -> None:
    model = rz.load(by_position(offset))
    name = "duplicate_token" if offset == PERIOD else "induction"
    table = detect_heads(model, prompts=repeats_at_a_fixed_distance(50, 16, 3), n=50)
    assert table.score(f"text.{name}")[0, 0] > 0.7 and not named(table)


def test_nor_where_blocks_hold_a_letter_twice(looks_back: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(0, LETTERS, (32, PERIOD), generator=generator)
    fixed = torch.cat([drawn[:, -1:], drawn.repeat(1, 4)], 1)
    table = detect_heads(looks_back, prompts=fixed, n=32)
    assert table.scores["text.induction"].values[0, 0] > 0.3 and not named(table)


def test_the_usual_score_and_the_loss_are_perfect(looks_back: Any) -> None:
    """What the others are fooled by: attention 1.00, loss below .01, one layer."""
    ids = repeats_at_a_fixed_distance(32, 1, 0)
    run = looks_back.run(ids, capture="L0.pattern")
    rows = torch.arange(PERIOD, WIDTH)
    assert run["L0.pattern"][:, 0, rows, rows - PERIOD + 1].mean() > 0.999
    loss = torch.nn.functional.cross_entropy(run.logits[:, -2], ids[:, -1])
    assert loss < 0.01
    assert detect_heads(looks_back, n=32, removal=None).score("induction")[0, 0] < 0.3


def test_nor_on_random_repeats_at_any_distance() -> None:
    for offset in range(2, 24, 3):
        for seed in (0, 1):
            model = rz.load(by_position(offset), check=False)
            assert not named(detect_heads(model, n=50, removal=None, seed=seed, resamples=200))


def test_a_trained_layer_is_not_called_induction() -> None:
    """It learned to look back by the distance of its data, and predicts the repeats."""
    model = rz.load(trained_at_a_fixed_distance())
    for draw in range(3):
        ids = repeats_at_a_fixed_distance(50, PERIOD + 1, 9000 + draw)
        logits = model.run(ids).logits
        assert logits is not None
        found = (logits[:, 2 * PERIOD : -1].argmax(-1) == ids[:, 2 * PERIOD + 1 :]).float().mean()
        table = detect_heads(model, prompts=ids, n=50, seed=draw)
        assert found > 0.95 and table.score("text.induction").max() > 0.6
        assert not named(table)


@pytest.mark.parametrize("starts", [1, 2])
def test_true_induction_heads_are_confirmed_at_a_fixed_distance(
    test_data: Any, starts: int
) -> None:
    """Position does not explain them: at the same places without the match they do not look."""
    for source, head, letters in (
        (handmade_induction(), f"L1.z[H{INDUCTION}]", 12),
        (test_data / "gbmi_indhead", "L1.z[H0]", 26),
    ):
        model = rz.load(source)
        width = 10 if letters == 12 else model.n_ctx
        generator = torch.Generator().manual_seed(starts)
        rows = []
        for _ in range(50):
            drawn = 1 + torch.randperm(letters - 1, generator=generator)
            start = 1 + int(torch.randint(0, starts, (1,), generator=generator))
            row = [torch.zeros(1).long(), drawn[4 : 3 + start], drawn[:4].repeat(5)]
            rows.append(torch.cat(row)[:width])
        table = detect_heads(model, prompts=torch.stack(rows), n=50)
        assert on_text(table, "induction") == {head: "confirmed"}
        assert {row.at for row in table.of_type("induction")} == {head}


def test_trained_models_keep_their_heads_at_a_fixed_distance() -> None:
    model = rz.load("induction_2l")
    ids = repeats_at_a_fixed_distance(50, 20, 2, width=48, letters=model.d_vocab)
    table = detect_heads(model, prompts=ids, n=50)
    assert "confirmed" in on_text(table, "induction").values()
    assert all(at.startswith("L1") for at in on_text(table, "induction"))


def test_what_cannot_be_judged_is_said(looks_back: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the repeats cannot be taken out there is no null, no name, and a note."""
    monkeypatch.setattr(prompts, "without_repeats", lambda ids, pool, seed: ids)
    table = detect_heads(looks_back, prompts=repeats_at_a_fixed_distance(20, 6, 0), n=20)
    assert np.isnan(table.scores["text.induction"].null_high).all()
    assert not named(table)
    for prefix in ("", "text."):
        assert any(f"{prefix}induction: " in note for note in table.notes)
        assert any(f"{prefix}duplicate_token" in note for note in table.notes)


# -- the exchange ----------------------------------------------------------------------------


def test_exchanged_prompts_keep_first_occurrences_and_no_match() -> None:
    ids = repeats_at_a_fixed_distance(30, 16, 5)
    other = without_repeats(ids, range(LETTERS))
    places = find_matches(ids)
    later = places.duplicate.any(2)
    assert torch.equal(other[~later], ids[~later]) and (other[later] != ids[later]).all()
    assert places.gone(other).all() and not places.gone(ids)[later].any()
    assert torch.equal(other, without_repeats(ids, range(LETTERS)))
    assert not torch.equal(other, without_repeats(ids, range(LETTERS), seed=1))


def test_exchanged_tokens_are_those_of_the_other_prompts_first() -> None:
    ids = torch.tensor([[9, 1, 2, 1, 2], [9, 3, 4, 5, 6]])
    other = without_repeats(ids, range(1000))
    assert torch.equal(other[1], ids[1])
    assert set(other[0, 3:].tolist()) <= {3, 4, 5, 6, 9} and other[0, 3] != other[0, 4]


def test_small_vocabularies_repeat_elsewhere() -> None:
    """Three letters: tokens come back, but not where the prompt had the same one."""
    ids = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 1]])
    places, other = find_matches(ids), without_repeats(ids, [1, 2, 3])
    assert places.gone(other).all() and set(other[0, 1:].tolist()) == {1, 2, 3}
    alone = torch.tensor([[0, 1, 1, 1, 1]])
    kept = find_matches(alone).gone(without_repeats(alone, [1, 2]))
    assert kept[0].tolist() == [True, True, True, False, False]
