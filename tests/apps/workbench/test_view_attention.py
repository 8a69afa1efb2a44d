"""The attention view holds the library's numbers: patterns, weighted ones, detectors' scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from view_looks import EDITS, PROMPT, assert_equal, copied, looked, microworld, some_ids, tiny

import residuum as rz
from residuum.apps.workbench.views.thumbnails import as_bytes, pooled
from residuum.core import AddressError, OptionError

WEIGHTINGS = ("pattern", "value", "output")


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_thumbnails_are_the_librarys_maps_as_bytes(weighting: str) -> None:
    found, _, _ = looked("attention", microworld(), PROMPT, weighting=weighting)
    maps = getattr(rz.attention_view(microworld(), PROMPT), weighting).numpy()
    limit = found.meta.limit
    assert limit == (1.0 if weighting == "pattern" else pytest.approx(maps.max()))
    shown = found.arrays["thumbs"].astype(float) / 255 * limit
    assert np.abs(shown - maps).max() <= 0.5001 * limit / 255
    assert found.arrays["thumbs"].shape == maps.shape and found.meta.block == 1


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_one_head_in_full_is_the_librarys_map_with_no_number_in_the_future(weighting: str) -> None:
    found, _, _ = looked("attention", microworld(), PROMPT, weighting=weighting, layer=2, head=3)
    shown = found.arrays["pattern"]
    whole = rz.attention_view(microworld(), PROMPT).of(2, 3, weighting).numpy()
    future = np.triu(np.ones_like(whole, dtype=bool), 1)
    assert shown.dtype == np.float16 and np.isnan(shown[future]).all()
    assert np.allclose(shown[~future], whole[~future], rtol=1e-3, atol=1e-6)


def test_value_norms_are_of_the_values_that_the_head_reads() -> None:
    model, ids = tiny("llama"), some_ids()
    v = model.run(ids, capture=["L1.v"])["v", 1][0]  # [k kv_head d_head], 2 of them for 4 heads
    for head in range(4):
        found, _, _ = looked("attention", model, ids, layer=1, head=head)
        expected = v[:, head // 2].norm(dim=-1).numpy()
        assert np.allclose(found.arrays["value_norm"], expected, rtol=1e-6)


def test_scores_are_those_of_the_detectors_on_these_prompts() -> None:
    model = microworld()
    ids = rz.task("ioi", model, n=8).clean
    ids = ids[(ids != 0).all(1)][:4]
    table = rz.detect_heads(model, prompts=ids, n=len(ids), removal=None)
    each = [looked("attention", model, row[None, :-1])[0] for row in ids]  # it predicts the last
    mean = np.nanmean([one.arrays["scores"] for one in each], axis=0)
    names = {"entropy": "entropy", "previous": "previous_token", "first": "first_token",
             "duplicate": "duplicate_token", "induction": "induction"}  # fmt: skip
    for ours, theirs in names.items():
        column = each[0].meta.scores.index(ours)
        assert np.abs(mean[..., column] - table.score(f"text.{theirs}")).max() < 2e-6, ours


def test_a_score_without_a_place_to_look_at_is_no_number() -> None:
    found, _, _ = looked("attention", microworld(), "Mary went to the store .")
    empty = {name for i, name in enumerate(found.meta.scores)
             if np.isnan(found.arrays["scores"][..., i]).all()}  # fmt: skip
    assert empty == {"duplicate", "induction"}
    assert np.isfinite(found.arrays["scores"][..., :4]).all()


def test_a_difference_is_signed_bytes_around_128() -> None:
    found, look, _ = looked("attention", microworld(), PROMPT, EDITS, less=True)
    thumbs, limit = found.arrays["thumbs"], found.meta.limit
    assert look.minus is not None
    exact = torch.stack([
        look.run["pattern", i][0] - look.minus["pattern", i][0] for i in range(4)
    ]).numpy()  # fmt: skip
    assert (thumbs[:2] == 128).all() and (thumbs[2:] != 128).any()  # the edit is in layer 1
    assert limit == pytest.approx(np.abs(exact).max())
    assert np.abs((thumbs.astype(float) - 128) / 127 * limit - exact).max() <= 0.5001 * limit / 127


def test_a_difference_of_equal_runs_is_zero_everywhere() -> None:
    found, _, _ = looked("attention", microworld(), PROMPT, less=True)
    assert (found.arrays["thumbs"] == 128).all() and found.meta.limit == 0.0
    assert np.nanmax(np.abs(found.arrays["scores"])) == 0.0


def test_pooling_keeps_the_value_of_largest_size_with_its_sign() -> None:
    maps = torch.zeros(1, 5, 5)
    maps[0, 0, 1], maps[0, 1, 0], maps[0, 4, 4] = -3.0, 2.0, 1.0
    small = pooled(maps, 3, signed=True)
    assert small.shape == (1, 3, 3) and small[0, 0, 0] == -3.0 and small[0, 2, 2] == 1.0
    assert as_bytes(small, 3.0, signed=True)[0, 0, 0] == 1
    assert int(as_bytes(small.clamp_min(0), 1.0, signed=False)[0, 2, 2]) == 255


@pytest.mark.parametrize("less", (None, True))
@pytest.mark.parametrize("params", [
    {}, {"thumb": 4}, {"weighting": "value"}, {"weighting": "output", "thumb": 6},
    {"layer": 2, "head": 5}, {"layer": 3, "head": 1, "weighting": "output"},
])  # fmt: skip
def test_python_makes_the_same_arrays(params: dict[str, Any], less: Any) -> None:
    found, look, asked = looked("attention", microworld(), PROMPT, EDITS, less=less, **params)
    assert_equal(found, copied("attention", look, asked))


@pytest.mark.parametrize("name", ["llama", "granite", "gemma2", "gpt_neox", "bert", "gpt_oss"])
@pytest.mark.parametrize("params", [{"weighting": "output"}, {"layer": 1, "head": 3}])
def test_python_makes_the_same_arrays_on_other_families(name: str, params: dict[str, Any]) -> None:
    found, look, asked = looked("attention", tiny(name), some_ids(), **params)
    assert_equal(found, copied("attention", look, asked))


def test_a_bidirectional_model_has_no_future() -> None:
    found, _, _ = looked("attention", tiny("bert"), some_ids(), layer=0, head=0)
    assert not found.meta.causal and np.isfinite(found.arrays["pattern"]).all()


@pytest.mark.parametrize(("params", "error", "what"), [
    ({"layer": 4, "head": 0}, AddressError, "no attention at layer 4"),
    ({"layer": 0, "head": 8}, AddressError, "no head 8: a layer has 8"),
    ({"layer": 0}, OptionError, "a head needs its layer and its number"),
])  # fmt: skip
def test_what_is_not_there_is_refused(params: dict[str, Any], error: Any, what: str) -> None:
    with pytest.raises(error, match=what):
        looked("attention", microworld(), PROMPT, **params)
