"""The residual view holds the library's numbers: norms, and a logit as a sum over its writers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from view_looks import EDITS, PROMPT, assert_equal, copied, looked, microworld, some_ids, tiny

import residuum as rz
from residuum.core import AddressError, OptionError, TokenError

MARY, JOHN = 180, 160
SUMS = ["llama", "gemma2", "granite", "cohere", "gpt_neox", "bloom", "olmo2", "gpt_oss"]


def whole(found: Any) -> float:
    meta = found.meta
    return float(np.nansum(found.arrays["added"], dtype=np.float64)) + meta.embed + meta.bias


@pytest.mark.parametrize("pos", (-1, 4))
@pytest.mark.parametrize("wrong", (None, JOHN))
def test_what_is_added_is_direct_logit_attribution(pos: int, wrong: int | None) -> None:
    model = microworld()
    found, _, _ = looked("residual", model, PROMPT, answer=MARY, wrong=wrong, pos=pos)
    split = rz.direct_logit_attribution(model, PROMPT, answers=MARY, wrong=wrong, pos=pos)
    terms = split.contributions.to_series()
    for layer in range(model.n_layers):
        row = [terms[f"L{layer}.head_out[H{head}]"] for head in range(model.n_heads)]
        row += [terms[f"L{layer}.mlp_out"], terms[f"L{layer}.b_O"]]
        assert np.abs(found.arrays["added"][layer] - row).max() < 1e-5
    assert found.meta.embed == pytest.approx(terms["embed"] + terms["pos_embed"], abs=1e-5)
    assert found.meta.total == pytest.approx(float(split.logits[0]), abs=1e-4)
    assert whole(found) == pytest.approx(found.meta.total, abs=1e-4)


@pytest.mark.parametrize("name", SUMS)
def test_the_sum_holds_on_other_families(name: str) -> None:
    model, ids = tiny(name), some_ids()
    found, _, _ = looked("residual", model, ids, answer=7, wrong=9)
    split = rz.direct_logit_attribution(model, ids, answers=7, wrong=9)
    assert found.meta.total == pytest.approx(float(split.pre_cap[0]), abs=1e-4)
    assert whole(found) == pytest.approx(found.meta.total, abs=1e-4)
    assert abs(found.meta.rest) < 1e-4 and found.meta.reason == ""
    assert found.meta.logits == pytest.approx(float(split.logits[0]), abs=1e-4)


def test_edits_are_in_the_sum_and_what_they_write_into_the_stream_beside_it() -> None:
    model = microworld()
    found, look, _ = looked("residual", model, PROMPT, [rz.Zero("L2.z[H3]")], answer=MARY)
    assert look.run.logits is not None
    assert found.arrays["added"][2, 3] == 0.0
    assert found.meta.total == pytest.approx(float(look.run.logits[0, -1, MARY]), abs=1e-4)
    assert abs(found.meta.rest) < 1e-4
    pushed = rz.Scale("L1.resid_post@-1", factor=1.5)
    found, look, _ = looked("residual", model, PROMPT, [pushed], answer=MARY)
    assert look.run.logits is not None and abs(found.meta.rest) > 0.01
    assert found.meta.total == pytest.approx(float(look.run.logits[0, -1, MARY]), abs=1e-4)
    assert whole(found) + found.meta.rest == pytest.approx(found.meta.total, abs=1e-4)


def test_an_edit_of_the_logits_is_the_models_own_and_not_in_the_sum() -> None:
    edit = rz.Scale("logits", factor=2.0)
    found, look, _ = looked("residual", microworld(), PROMPT, [edit], answer=MARY)
    assert look.run.logits is not None
    assert found.meta.logits == pytest.approx(float(look.run.logits[0, -1, MARY]), abs=1e-4)
    assert found.meta.logits == pytest.approx(2 * found.meta.total, rel=1e-4)


def test_norms_are_stream_contributions() -> None:
    found, _, _ = looked("residual", microworld(), PROMPT)
    table = rz.stream_contributions(microworld(), PROMPT).table.set_index(["layer", "part"])
    for layer in range(4):
        row = found.meta.rows.index("embed" if layer == 0 else f"L{layer - 1}")
        before = found.arrays["norm"][row].mean()
        assert before == pytest.approx(table.norm[layer, "before"], rel=1e-5)
        mlp = found.arrays["added_norm"][layer, found.meta.writers.index("mlp_out")].mean()
        assert mlp == pytest.approx(table.norm[layer, "MLP"], rel=1e-5)


def test_cosines_end_at_one() -> None:
    found, look, _ = looked("residual", microworld(), PROMPT)
    first, last = look.run["L0.resid_pre"][0].numpy(), look.run["L3.resid_post"][0].numpy()
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(last, axis=1)
    assert np.allclose(found.arrays["cosine"][0], (first * last).sum(1) / lengths, atol=1e-5)
    assert np.allclose(found.arrays["cosine"][-1], 1.0, atol=1e-5)


def test_a_difference_splits_the_token_that_the_unedited_run_predicts() -> None:
    model = microworld()
    found, look, _ = looked("residual", model, PROMPT, EDITS, less=True)
    assert look.minus is not None and look.run.logits is not None
    before = look.minus.logits[0, -1]  # type: ignore[index]
    assert found.meta.answer == int(before.argmax())
    moved = look.run.logits[0, -1, found.meta.answer] - before[found.meta.answer]
    assert found.meta.logits == pytest.approx(float(moved), abs=1e-4)
    assert whole(found) == pytest.approx(float(moved), abs=1e-4)
    assert (found.arrays["norm"][:3] == 0).all()


@pytest.mark.parametrize("less", (None, True))
@pytest.mark.parametrize("params", [{}, {"answer": MARY, "wrong": JOHN, "pos": 3}])
def test_python_makes_the_same_arrays(params: dict[str, Any], less: Any) -> None:
    found, look, asked = looked("residual", microworld(), PROMPT, EDITS, less=less, **params)
    assert_equal(found, copied("residual", look, asked))


@pytest.mark.parametrize("name", ["gemma2", "granite", "gpt_neox", "mixtral"])
def test_python_makes_the_same_arrays_on_other_families(name: str) -> None:
    found, look, asked = looked("residual", tiny(name), some_ids(), answer=4, wrong=5)
    assert_equal(found, copied("residual", look, asked))


def test_a_parallel_block_has_no_row_between_attention_and_mlp() -> None:
    found, _, _ = looked("residual", tiny("gpt_neox"), some_ids())
    assert found.meta.rows == ["embed", "L0", "L1", "L2"]
    assert "no resid_mid" in found.meta.missing["L0.resid_mid"]


def test_a_model_whose_stream_is_no_sum_says_why_and_shows_the_rest() -> None:
    found, look, _ = looked("residual", tiny("bert"), some_ids(), answer=5)
    assert "norms the stream itself" in found.meta.reason and found.meta.total is None
    assert np.isnan(found.arrays["added"]).all() and np.isfinite(found.arrays["norm"]).all()
    assert look.run.logits is not None
    assert found.meta.logits == pytest.approx(float(look.run.logits[0, -1, 5]), abs=1e-5)


@pytest.mark.parametrize(("params", "error", "what"), [
    ({"answer": 600}, TokenError, "no token 600"),
    ({"wrong": 600}, TokenError, "no token 600"),
    ({"pos": 15}, AddressError, "position 15 is out of range"),
    ({"answer": 7, "wrong": 7}, OptionError, "the same token"),
])  # fmt: skip
def test_what_is_not_there_is_refused(params: dict[str, Any], error: Any, what: str) -> None:
    with pytest.raises(error, match=what):
        looked("residual", microworld(), PROMPT, **params)
