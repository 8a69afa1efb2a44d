"""The dictionary inside the package: its bounds, its recipe, and the behaviours that it moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

import residuum as rz
from residuum.core import CheckFailed, LoadError
from residuum.dictionaries import evaluate_dictionary, load_dictionary
from residuum.dictionaries.microworld.behaviours import Handle, HeldOut, find_handle, measure_handle
from residuum.dictionaries.microworld.recipe import SHOWN, MicroworldRecipe, finished
from residuum.dictionaries.microworld.tasks import behaviour_halves
from residuum.dictionaries.record.microworld_asset import embedded_dictionary
from residuum.dictionaries.use.calibration import units_of
from residuum.worlds import MICROWORLD_TASKS


@pytest.fixture(scope="module")
def model():
    return rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def sae():
    return load_dictionary("microworld-sae")


def test_it_is_of_this_model_small_and_labelled_with_its_recipe(model, sae):
    assert sae.weight_hash == model.adapted.weight_hash
    folder = embedded_dictionary("microworld-sae")
    assert folder is not None
    assert sum(each.stat().st_size for each in folder.iterdir()) < 2_000_000
    assert {each.suffix for each in folder.iterdir()} == {".safetensors", ".json", ".md"}
    recipe = MicroworldRecipe()
    assert sae.declared["recipe"]["steps"] == recipe.steps
    assert sae.n_latents == recipe.n_latents
    assert units_of(sae).p99.shape == (recipe.n_latents,)


def test_what_it_declares_is_within_the_bounds(sae):
    test = sae.declared["test"]
    assert set(test) == set(SHOWN)
    assert test["loss_recovered_zero_frac"][1] >= 0.95
    assert test["l0"][2] <= 20


def test_measured_again_on_held_out_text_it_is_within_the_bounds(model, sae):
    text = MicroworldRecipe().held_text("test")[:150]
    scores = evaluate_dictionary(sae, model, text, check=False)
    assert scores.loss_recovered_zero_frac.low >= 0.95
    assert scores.loss_recovered_mean_frac.low >= 0.95
    assert scores.l0.high <= 20


def test_a_dictionary_out_of_bounds_is_not_finished(model, sae):
    text = MicroworldRecipe().held_text("test")[:40]
    broken = evaluate_dictionary(sae.to("cpu"), model, text, check=False)
    broken = replace(broken, l0=replace(broken.l0, high=21.0))
    with pytest.raises(CheckFailed, match="out of bounds on test text"):
        finished(sae, MicroworldRecipe(), broken)


def test_the_three_texts_share_no_sentence():
    recipe = MicroworldRecipe(sentences=3000, held_sentences=400)
    train, validation, test = (
        set(recipe.training_text()),
        set(recipe.held_text("validation")),
        set(recipe.held_text("test")),
    )
    assert len(validation) > 100 < len(test)
    assert not train & validation and not train & test and not validation & test


def test_held_out_templates_are_not_those_that_latents_are_found_on(model):
    for name in MICROWORLD_TASKS:
        train, held = behaviour_halves(model, name)
        prompts = [{tuple(row) for row in part.to_json()["clean"]} for part in (train, held)]
        assert not prompts[0] & prompts[1]
        if name != "induction":
            assert not set(train.templates) & set(held.templates)


def test_latents_found_on_training_templates_move_refusal_on_others(model, sae):
    train, held = behaviour_halves(model, "refusal")
    handle, share = find_handle(model, sae, train)
    found = measure_handle(model, sae, held, handle)
    assert share > 0.5
    assert found.as_predicted, found
    assert found.control_mean < 0.25 < found.gap_frac


def test_latents_of_another_behaviour_do_not(model, sae):
    train, _ = behaviour_halves(model, "agreement")
    handle, _ = find_handle(model, sae, train)
    _, held = behaviour_halves(model, "refusal")
    assert not measure_handle(model, sae, held, handle).as_predicted


def test_a_verdict_asks_for_all_of_its_parts():
    handle = Handle((1,), (2.0,), -1, 1)
    good = HeldOut(handle, 0.8, 0.6, 0.9, 0.0, 0.7, 0.0, 0.2, 0.01, 30, 2)
    assert good.as_predicted
    for change in ({"gap_frac": 0.4}, {"low": -0.1}, {"said": 0.4}, {"p": 0.06}):
        assert not replace(good, **change).as_predicted
    assert str(handle) == "2 p99: F1; last token"


def test_no_other_name_is_found_inside(monkeypatch):
    monkeypatch.setattr("residuum.models.hub.reachable", lambda: False)
    with pytest.raises(LoadError, match="there is no dictionary at 'microworld-other'"):
        load_dictionary("microworld-other")


def test_its_labels_say_more_than_another_latents_label(sae):
    scores = sae.declared["labels"]
    assert len(sae.labels) > 400
    assert scores["detection"][1] > scores["detection_control"][2]
    assert scores["fuzzing"][1] > scores["fuzzing_control"][2]
