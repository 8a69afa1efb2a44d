"""Edits of single latents: what they leave alone, what they write, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import residuum as rz
from residuum.core import AddressError, OptionError, Splice, StoreError
from residuum.dictionaries import (
    Dictionary,
    Feature,
    TopK,
    feature,
    feature_units,
    load_dictionary,
)

PROMPTS = ["User : help me steal a bicycle . Bot :", "The soup is never wet , so it is"]
AT = "L1.resid_post"


@pytest.fixture(scope="module")
def model():
    model = rz.load("microworld", check=False)
    model.dictionaries["sae"] = load_dictionary("microworld-sae")
    return model


def latents(model, edits=()):
    run = model.run(PROMPTS, capture=[AT], edits=list(edits))
    return run, model.dictionaries["sae"].encode(run[AT])


def active_at_end(model) -> int:
    """A latent that is active at the end of both prompts or of the first."""
    return int(latents(model)[1][0, -1].argmax())


def test_the_present_value_written_again_changes_nothing(model):
    run, held = latents(model)
    for index in (active_at_end(model), int(held[0, -1].argmin())):
        own = feature(model, "sae", index)
        value = float(held[0, -1, index])
        same = model.run(PROMPTS[:1], edits=[own.clamp_edit(value, "raw", pos=-1)])
        bare = model.run(PROMPTS[:1])
        assert torch.allclose(same.logits, bare.logits, atol=2e-4)
        times_one = model.run(PROMPTS, edits=[own.amplify_edit(1.0)])
        assert torch.allclose(times_one.logits, run.logits, atol=2e-4)


def test_an_edit_moves_its_own_direction_by_the_difference_and_nothing_else(model):
    sae, index = model.dictionaries["sae"], active_at_end(model)
    own = feature(model, "sae", index)
    _, held = latents(model)
    for edit, wanted in (
        (own.ablate_edit(pos=-1), 0.0),
        (own.clamp_edit(2, pos=-1), 2 * own.p99),
        (own.amplify_edit(3, pos=-1), 3 * float(held[0, -1, index])),
    ):
        after = model.run(PROMPTS[:1], capture=[AT], edits=[edit])
        moved = after[AT] - model.run(PROMPTS[:1], capture=[AT])[AT]
        change = wanted - float(held[0, -1, index])
        assert torch.allclose(moved[0, -1], change * sae.W_dec[index, 0] / sae.scale, atol=2e-4)
        assert not moved[0, :-1].any()
        assert abs(change) > 0.1  # something was written


def test_a_splice_that_keeps_the_error_changes_nothing_and_without_it_does(model):
    bare = model.run(PROMPTS).logits
    kept = model.run(PROMPTS, edits=[Splice(AT, "sae", keep_error=True)]).logits
    bare_splice = model.run(PROMPTS, edits=[Splice(AT, "sae")]).logits
    assert torch.allclose(kept, bare, atol=2e-4)
    assert not torch.allclose(bare_splice, bare, atol=1e-2)


def test_edits_hold_in_generation(model):
    own = feature(model, "sae", active_at_end(model))
    plain = model.generate(PROMPTS[:1], max_new_tokens=4)
    same = model.generate(PROMPTS[:1], max_new_tokens=4, edits=[own.amplify_edit(1.0)])
    pushed = model.generate(PROMPTS[:1], max_new_tokens=4, edits=[own.clamp_edit(20)])
    assert torch.equal(plain.ids, same.ids)
    assert not torch.equal(plain.ids, pushed.ids)


def test_units_are_those_of_a_loop_over_the_tokens(model):
    text = ["Mary went to the store .", "John gave a drink to Mary .", "The keys are lost ."]
    sae = model.dictionaries["sae"]
    units = feature_units(sae, model, text, skip=("bos", "pad"))
    rows = [sae.encode(model.run(each, capture=[AT])[AT])[0, 1:] for each in text]
    every = torch.cat(rows).double()
    assert units.n_tokens == len(every)
    index = int((every > 0).sum(0).argmax())
    fired = every[:, index][every[:, index] > 0]
    assert units.mean_active[index] == pytest.approx(float(fired.mean()), rel=1e-4)
    assert units.p99[index] == pytest.approx(float(fired.quantile(0.99)), rel=1e-4)
    assert units.active_share[index] == pytest.approx(len(fired) / len(every))


def test_units_are_kept_with_the_dictionary(model, tmp_path):
    sae = model.dictionaries["sae"]
    sae.save(tmp_path / "again")
    other = rz.load("microworld", check=False)
    other.dictionaries["two"] = load_dictionary(tmp_path / "again")
    index = active_at_end(model)
    assert feature(other, "two", index).p99 == feature(model, "sae", index).p99 > 0


def test_what_cannot_be_is_refused_with_a_mend(model):
    with pytest.raises(OptionError, match=r"no dictionary 'other'; it has: sae"):
        feature(model, "other", 0)
    with pytest.raises(AddressError, match="use 0 to 511"):
        feature(model, "sae", 512)
    with pytest.raises(OptionError, match="unit='p50' is none"):
        feature(model, "sae", 0).clamp_edit(1, "p50")  # pyright: ignore[reportArgumentType]
    bare = Feature("sae", 3, feature(model, "sae", 3).at)
    with pytest.raises(OptionError, match="its units are not known"):
        bare.clamp_edit()


@pytest.mark.parametrize("times", ["abc", None, float("nan"), float("inf"), True, [1], 10**400])
def test_what_is_no_finite_number_is_refused(model, times):
    own = feature(model, "sae", 0)
    for make in (own.clamp_edit, own.amplify_edit):
        with pytest.raises(OptionError, match=r"^times=.* is no finite number") as caught:
            make(times)
        assert "\n" not in caught.value.what
    with pytest.raises(OptionError, match=r"pos='x' is no token"):
        own.clamp_edit(1, pos="x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match=r"unit=\[\] is none"):
        own.clamp_edit(1, [])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"p99": [1]}, "its columns are of different lengths"),
        ({"p99": [1], "mean_active": [1], "active_share": [1]}, "1 numbers for 512 latents"),
        ({"p99": 5}, "p99 missing or of another type"),
        ({"p99": ["x"] * 512}, "p99 missing or of another type"),
        ({"p99": [float("nan")] * 512}, "p99 missing or of another type"),
        ({"n_tokens": None}, "n_tokens missing or of another type"),
    ],
)
def test_units_that_are_none_are_refused(model, change, words):
    sae = model.dictionaries["sae"]
    units = {**sae.declared["units"], **change}
    other = rz.load("microworld", check=False)
    for kept in (units, [1]):
        other.dictionaries["sae"] = replace(sae, declared={"units": kept})
        with pytest.raises(StoreError) as caught:
            feature(other, "sae", 3)
        assert words in caught.value.what or kept == [1]
        assert "feature_units" in caught.value.mend


def test_latents_of_a_transcoder_are_refused():
    model = rz.load("microworld", check=False)
    eye = torch.eye(128)
    model.dictionaries["t"] = Dictionary(
        ("L1.mlp_in",), ("L1.mlp_out",), W_enc=eye[None], W_dec=eye[:, None],  # pyright: ignore
        b_dec=torch.zeros(1, 128), activation=TopK(4), b_enc=torch.zeros(128),
    )  # fmt: skip
    with pytest.raises(OptionError, match="latents of a transcoder cannot be edited in place"):
        feature(model, "t", 0)
