"""Attention-only organisms: data, scores, training and what the package ships."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.core import LoadError, OptionError
from residuum.models import embedded_path
from residuum.models.embedded import ORGANISMS
from residuum.organisms.attention_only import (
    ATTENTION_RECIPES,
    AttentionRecipe,
    Teacher,
    draws,
    look_at_repeats,
    look_at_trigrams,
    repeated_blocks,
    series_steps,
    train_attention_only,
    trigram_sequences,
    uniform_matching,
    weights_at,
)
from residuum.organisms.attention_only.looking import (
    after_a_match,
    next_token_losses,
    prefix_matching,
    previous_token,
)
from residuum.organisms.attention_only.skip_trigrams import SOURCES, answer_to, held_out

TINY = AttentionRecipe("induction_2l", d_model=16, heads=2, batch=4, steps=12, check_every=4)
SKIP = replace(ATTENTION_RECIPES["skip_trigram_1l"], batch=4, steps=4, check_every=2)


def same_weights(one: Teacher, other: Teacher) -> bool:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_blocks_repeat_with_random_periods() -> None:
    ids, periods = repeated_blocks(500, draws(0, 0))
    for row, period in zip(ids, periods.tolist(), strict=True):
        assert torch.equal(row[period:], row[:-period])
    assert set(periods.tolist()) == set(range(8, 25))
    assert torch.equal(ids, repeated_blocks(500, draws(0, 0))[0])
    assert not torch.equal(ids, repeated_blocks(500, draws(0, 1))[0])


def test_induction_looks_behind_earlier_copies() -> None:
    match = after_a_match(torch.tensor([[5, 7, 5, 5]]))[0].nonzero().tolist()
    assert match == [[2, 1], [3, 1], [3, 3]]


def test_scores_of_made_patterns() -> None:
    ids = torch.tensor([[1, 2, 3, 1, 2, 3]])
    right = torch.zeros(6, 6)
    right[torch.arange(3, 6), torch.arange(1, 4)] = 1.0
    before = torch.eye(6).roll(1, 0)
    before[0] = 0.0
    patterns = torch.stack([right, before])[None, None]
    assert prefix_matching(patterns, ids).tolist() == [[1.0, 0.0]]
    assert previous_token(patterns).tolist() == [[0.0, 1.0]]
    assert uniform_matching(ids) == pytest.approx((1 / 4 + 1 / 5 + 1 / 6) / 3)
    patterns[0, 0, 0] /= 2
    assert prefix_matching(patterns, ids).tolist() == [[0.5, 0.0]]


def test_a_model_that_knows_nothing_loses_the_logarithm_of_the_vocabulary() -> None:
    losses = next_token_losses(torch.zeros(2, 5, 48), torch.zeros(2, 5, dtype=torch.long))
    assert losses[:, 0].isnan().all()
    torch.testing.assert_close(losses[:, 1:], torch.full((2, 4), math.log(48)))


def test_trigrams_hold_and_held_out_distances_stay_out() -> None:
    for test in (False, True):
        ids, cue = trigram_sequences(2000, draws(3, 0), test=test)
        row = torch.arange(2000)
        where = (ids < SOURCES).int()
        assert (where.sum(1) == 1).all()
        start = where.argmax(1)
        a, b = ids[row, start], ids[row, cue]
        assert torch.equal(ids[row, cue + 1], answer_to(a, b))
        assert (held_out(a, b, cue - start) == test).all()
        assert ((cue > start + 1) & (cue + 1 < ids.shape[1])).all()


@pytest.mark.parametrize("recipe", [TINY, SKIP], ids=lambda recipe: recipe.name)
def test_resumed_training_equals_uninterrupted_training(
    recipe: AttentionRecipe, tmp_path: Path
) -> None:
    whole = Teacher(recipe, tmp_path / "whole")
    whole.train()
    first = Teacher(recipe, tmp_path / "halves")
    first.train(until=3)
    second = Teacher(recipe, tmp_path / "halves")
    assert not same_weights(second, first)
    second.resume()
    assert second.step == 3 and same_weights(second, first)
    second.train()
    assert same_weights(second, whole)
    drop = {"seconds": 0.0}
    assert [{**e, **drop} for e in second.log] == [{**e, **drop} for e in whole.log]
    steps = range(0, recipe.steps + 1, recipe.check_every)
    assert [entry["step"] for entry in whole.log] == list(steps)


def test_the_seed_decides_and_organisms_of_one_seed_see_the_same_data() -> None:
    from residuum.organisms.attention_only.teaching import batch_of

    one, again, other = Teacher(TINY), Teacher(TINY), Teacher(TINY.with_seed(1))
    for each in (one, again, other):
        each.train()
    assert same_weights(one, again) and not same_weights(one, other)
    twin = replace(TINY, name="induction_2l_nopos", positions=None)
    assert torch.equal(batch_of(TINY, 5), batch_of(twin, 5))


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    Teacher(TINY, tmp_path).train(until=1)
    with pytest.raises(LoadError, match="another recipe"):
        Teacher(replace(TINY, learning_rate=1e-3), tmp_path).resume()
    with pytest.raises(LoadError, match="no training checkpoint"):
        Teacher(TINY, tmp_path / "empty").resume()


def test_bad_recipes_are_refused() -> None:
    with pytest.raises(OptionError, match="steps=0"):
        TINY.with_steps(0)


def test_training_leaves_a_complete_folder(tmp_path: Path) -> None:
    out = tmp_path / "organism"
    scores = train_attention_only(TINY, out)
    assert {path.name for path in out.iterdir()} == {
        "README.md", "config.json", "generation_config.json", "model.safetensors",
        "scores.json", "series", "training_log.jsonl",
    }  # fmt: skip
    assert series_steps(out) == (0, 4, 8, 12)
    model = rz.load(out)
    ids = repeated_blocks(2, draws(9, 9))[0]
    last = weights_at(out, 12)(ids).logits
    torch.testing.assert_close(model.run(ids).logits, last, atol=2e-3, rtol=2e-3)
    assert json.loads((out / "scores.json").read_text())["icl_nats"] == scores["icl_nats"]
    assert f"{scores['repeated_nats']:.3f} nats" in (out / "README.md").read_text()
    with pytest.raises(OptionError) as refused:
        weights_at(out, 5)
    assert refused.value.mend == "steps that are kept: 0, 4, 8, 12"


@pytest.mark.parametrize("name", ORGANISMS)
def test_shipped_models_do_what_their_cards_say(name: str) -> None:
    model = rz.load(name)
    model.hf.set_attn_implementation("eager")
    written = json.loads((embedded_path(name) / "scores.json").read_text())
    look = look_at_trigrams if name == "skip_trigram_1l" else look_at_repeats
    for key, value in look(model.hf, seed=written["scores_seed"]).items():
        torch.testing.assert_close(
            torch.tensor(value), torch.tensor(written[key]), atol=2e-3, rtol=2e-3
        )
    assert model.report is not None and not model.report.refused


def test_two_layers_do_induction_and_the_twin_has_no_previous_token_head() -> None:
    scores = {}
    for name in ("induction_2l", "induction_2l_nopos"):
        model = rz.load(name, check=False)
        model.hf.set_attn_implementation("eager")
        scores[name] = look_at_repeats(model.hf, seed=5)
    whole, twin = scores["induction_2l"], scores["induction_2l_nopos"]
    assert max(map(max, whole["previous_token"][:1])) > 0.8
    assert max(whole["prefix_matching"][1]) > 0.85 and max(whole["prefix_matching"][0]) < 0.2
    assert whole["repeated_nats"] < 0.1
    assert max(map(max, twin["previous_token"])) < 0.12
    assert 0.3 < max(twin["prefix_matching"][1]) < 0.6
    assert 1.0 < twin["repeated_nats"] < 2.2


def test_the_skip_trigram_model_answers_at_distances_it_never_saw() -> None:
    model = rz.load("skip_trigram_1l", check=False)
    found = look_at_trigrams(model.hf, seed=77)
    assert found["accuracy"] >= 0.99
    assert found["accuracy_without"] <= 0.2


def test_the_series_goes_through_the_phase_change() -> None:
    steps = series_steps("induction_2l")
    found = []
    for step in steps:
        model = weights_at("induction_2l", step)
        model.set_attn_implementation("eager")
        found.append(max(map(max, look_at_repeats(model, rows=64)["prefix_matching"])))
    assert found[0] < 0.15 and found[-1] > 0.85
    assert sum(b - a > 0.2 for a, b in pairwise(found)) in (1, 2, 3)


def test_the_handmade_model_loads_by_name() -> None:
    model = rz.load("handmade_induction", dtype="float64")
    logits = model.run([0, 4, 7, 9, 4]).logits
    assert logits.dtype == torch.float64 and int(logits[0, -1].argmax()) == 7
    with pytest.raises(OptionError, match="revision"):
        rz.load("handmade_induction", revision="main")
