"""Effects of latents on a task: against a loop of full runs, and by the gradient."""

from __future__ import annotations

import numpy as np
import pytest

import residuum as rz
from residuum.core import OptionError
from residuum.dictionaries import (
    Exact,
    Gradient,
    feature,
    feature_effects,
    load_dictionary,
    patch_features,
)


@pytest.fixture(scope="module")
def model():
    model = rz.load("microworld", check=False)
    model.dictionaries["sae"] = load_dictionary("microworld-sae")
    return model


@pytest.fixture(scope="module")
def task(model):
    return rz.task("refusal", model, n=8, seed=2)


def looped(model, task, index, pos):
    """The metric after an ablation, prompt by prompt, with an ordinary edit."""
    found = []
    for row in range(len(task)):
        one = task.subset([row])
        runs = [
            model.run(one.clean, edits=edits)
            for edits in ([], [feature(model, "sae", index).ablate_edit(pos)])
        ]
        right, wrong = one.answers[0, 0], one.wrong[0, 0]
        base, after = (float(run.last[0, right] - run.last[0, wrong]) for run in runs)
        found.append(after - base)
    return np.array(found)


@pytest.mark.parametrize("pos", [-1, None])
def test_exact_effects_are_those_of_full_runs_with_edits(model, task, pos):
    found = feature_effects(model, model.dictionaries["sae"], task, pos=pos, latents=[])
    assert not len(found.effects)
    every = feature_effects(model, model.dictionaries["sae"], task, pos=-1)
    index = every.top(1)[0][0]
    one = feature_effects(model, model.dictionaries["sae"], task, pos=pos, latents=[index])
    assert np.abs(one.values[0]).max() > 0.1
    assert one.values[0] == pytest.approx(looped(model, task, index, pos), abs=2e-3)


def test_latents_that_are_not_active_do_nothing(model, task):
    every = feature_effects(model, model.dictionaries["sae"], task, pos=-1)
    idle = next(i for i in range(every.n_latents) if i not in every.latents)
    none = feature_effects(model, model.dictionaries["sae"], task, pos=-1, latents=[idle])
    assert np.abs(none.values).max() < 1e-4 < np.abs(every.effects).max()


def test_the_gradient_agrees_with_exact_effects_and_says_how_far(model, task):
    sae = model.dictionaries["sae"]
    exact = feature_effects(model, sae, task, pos=-1, way="patch")
    quick = feature_effects(model, sae, task, pos=-1, way="patch", method=Gradient(steps=8))
    assert exact.agreement is None and quick.agreement is not None
    assert quick.latents == exact.latents
    assert np.corrcoef(quick.effects, exact.effects)[0, 1] > 0.7
    assert quick.agreement.pearson > 0.7
    assert quick.agreement.largest_error > 0


def test_gradient_shares_add_up_to_every_latent_together(model, task):
    sae = model.dictionaries["sae"]
    quick = feature_effects(model, sae, task, pos=-1, way="patch", method=Gradient(32, check=0))
    whole = patch_features(model, sae, task, pos=-1)
    together = whole.effects[whole.names.index("every latent")]
    assert abs(together) > 1
    assert quick.effects.sum() == pytest.approx(together, rel=0.05)


def test_the_whole_site_at_all_tokens_brings_the_clean_answer(model, task):
    found = patch_features(model, model.dictionaries["sae"], task, {"one": [3]})
    shares = dict(zip(found.names, found.recovered_frac, strict=True))
    assert shares["whole site"] == pytest.approx(1, abs=1e-3)
    assert shares["every latent"] > 0.8 > shares["error"]


def test_the_control_is_weaker_than_the_largest_effects(model, task):
    found = feature_effects(model, model.dictionaries["sae"], task, pos=-1, control=4)
    best = int(np.abs(found.effects).argmax())
    assert abs(found.effects[best]) > 2 * found.control[best] >= 0


def test_results_are_told_and_saved(model, task, tmp_path):
    found = feature_effects(model, model.dictionaries["sae"], task, pos=-1)
    assert "of 512 latents active" in repr(found)
    assert (found.low <= found.effects).all() and (found.effects <= found.high).all()
    for suffix in ("json", "csv", "svg"):
        found.save(tmp_path / f"effects.{suffix}")
        patch_features(model, model.dictionaries["sae"], task, pos=-1).save(
            tmp_path / f"patching.{suffix}"
        )
        assert (tmp_path / f"effects.{suffix}").stat().st_size > 100


def test_what_cannot_be_is_refused_with_a_mend(model, task):
    sae = model.dictionaries["sae"]
    with pytest.raises(OptionError, match="way='both' is none"):
        feature_effects(model, sae, task, way="both")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="Exact\\(\\) or Gradient"):
        feature_effects(model, sae, task, method=Exact)  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="give whole numbers from 0 to 511"):
        feature_effects(model, sae, task, latents=[512])
    with pytest.raises(OptionError, match="a taken name"):
        patch_features(model, sae, task, {"error": [1]})
