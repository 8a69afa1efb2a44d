"""The lens view holds the library's numbers, of the run that is on screen and its edits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from view_looks import EDITS, PROMPT, assert_equal, copied, looked, microworld, some_ids, tiny

import residuum as rz
from residuum.core import OptionError, TokenError

TARGET = 180
QUANTITIES = ("prob", "rank", "entropy", "kl", "logit")


@pytest.mark.parametrize("site", ["resid_pre", "resid_mid", "resid_post"])
@pytest.mark.parametrize(("quantity", "field"), [
    ("prob", "tracked_probs"), ("logit", "tracked_logits"),
    ("entropy", "entropy_bits"), ("kl", "kl_bits"),
])  # fmt: skip
def test_numbers_are_the_logit_lenss(site: str, quantity: str, field: str) -> None:
    found, _, _ = looked("lens", microworld(), PROMPT, site=site, quantity=quantity, target=TARGET)
    reading = rz.logit_lens(microworld(), PROMPT, site=site, track=TARGET, top=5)
    expected = getattr(reading, field).numpy()
    expected = expected[..., 0] if expected.ndim == 3 else expected
    assert np.abs(found.arrays["value"] - expected).max() < 1e-4
    assert tuple(found.meta.rows) == reading.layers
    assert (found.arrays["top_ids"] == reading.top_ids.numpy()).all()
    assert np.abs(found.arrays["top_probs"] - reading.top_probs.numpy()).max() < 1e-5
    ids, texts = reading.top_ids.flatten().tolist(), np.array(reading.top_words).ravel()
    words = {str(token): text for token, text in zip(ids, texts, strict=True)}
    assert words.items() <= found.meta.strings.items()


def test_the_rank_counts_the_tokens_above_and_ends_at_one_for_the_prediction() -> None:
    found, look, _ = looked("lens", microworld(), PROMPT, quantity="rank")
    assert found.meta.targets == look.run.logits[0].argmax(-1).tolist()  # type: ignore[index]
    assert (found.arrays["value"][-1] == 1).all() and (found.arrays["value"][0] > 1).any()
    fixed, _, _ = looked("lens", microworld(), PROMPT, quantity="rank", target=TARGET)
    above = (look.run.logits[0] > look.run.logits[0][:, [TARGET]]).sum(-1)  # type: ignore[index]
    assert fixed.arrays["value"][-1].tolist() == (1 + above).tolist()


def test_a_difference_follows_what_the_unedited_run_predicted() -> None:
    found, look, _ = looked("lens", microworld(), PROMPT, EDITS, less=True)
    assert look.minus is not None and look.minus.logits is not None
    targets = look.minus.logits[0].argmax(-1).tolist()
    assert found.meta.targets == targets
    last = look.run.logits[0].softmax(-1) - look.minus.logits[0].softmax(-1)  # type: ignore[index]
    expected = last[range(len(targets)), targets].numpy()
    assert np.abs(found.arrays["value"][-1] - expected).max() < 1e-5
    assert (found.arrays["value"][:2] == 0).all()  # embedding and layer 0 lie before the edits


def test_trajectories_are_rows_of_the_same_numbers() -> None:
    tokens = [TARGET, 7]
    found, _, _ = looked("lens", microworld(), PROMPT, tokens=tokens, pos=-2, quantity="logit")
    reading = rz.logit_lens(microworld(), PROMPT, track=tokens)
    expected = reading.tracked_logits[:, -2].T.numpy()
    assert found.arrays["trajectory"].shape == (2, 5) and found.meta.targets == tokens
    assert np.abs(found.arrays["trajectory"] - expected).max() < 1e-4


def test_positions_choose_columns() -> None:
    whole, _, _ = looked("lens", microworld(), PROMPT, target=TARGET)
    some, _, _ = looked("lens", microworld(), PROMPT, target=TARGET, positions=[-1, 3])
    assert some.meta.positions == [14, 3]
    assert np.allclose(some.arrays["value"], whole.arrays["value"][:, [14, 3]], atol=1e-6)


@pytest.mark.parametrize("less", (None, True))
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_python_makes_the_same_arrays(quantity: str, less: Any) -> None:
    for more in ({}, {"site": "resid_mid", "target": TARGET, "positions": [-1, 2], "top": 3}):
        found, look, asked = looked(
            "lens", microworld(), PROMPT, EDITS, less=less, quantity=quantity, **more
        )
        assert_equal(found, copied("lens", look, asked))


@pytest.mark.parametrize("name", ["llama", "gemma2", "cohere", "gpt_neox", "granite", "bert"])
def test_python_makes_the_same_arrays_on_other_families(name: str) -> None:
    found, look, asked = looked("lens", tiny(name), some_ids(), quantity="kl")
    assert_equal(found, copied("lens", look, asked), tolerance=1e-4)
    found, look, asked = looked("lens", tiny(name), some_ids(), tokens=[4, 5], pos=2)
    assert_equal(found, copied("lens", look, asked))


def test_a_tuned_lens_is_read_where_the_models_folder_has_one(tmp_path: Path) -> None:
    source = microworld()
    source.hf.save_pretrained(tmp_path)
    source.tokenizer.save_pretrained(tmp_path)
    model = rz.load(str(tmp_path))
    with pytest.raises(OptionError, match="no tuned lens was found"):
        looked("lens", model, PROMPT, kind="tuned")
    tuned = rz.TunedLens.train(model, [PROMPT], steps=3)
    tuned.save(tmp_path / "tuned_lens")
    found, look, asked = looked("lens", model, PROMPT, kind="tuned", target=TARGET)
    reading = tuned.read(model, PROMPT, track=TARGET)
    plain = rz.logit_lens(model, PROMPT, track=TARGET)
    assert np.abs(found.arrays["value"] - reading.tracked_probs[..., 0].numpy()).max() < 1e-5
    assert np.abs(found.arrays["value"] - plain.tracked_probs[..., 0].numpy()).max() > 1e-4
    assert_equal(found, copied("lens", look, asked))
    with pytest.raises(OptionError, match="reads the stream between blocks"):
        looked("lens", model, PROMPT, kind="tuned", site="resid_mid")


@pytest.mark.parametrize(("params", "error", "what"), [
    ({"target": 553}, TokenError, "no token 553: the vocabulary has 553"),
    ({"tokens": [1, 600]}, TokenError, "no token 600"),
    ({"positions": [15]}, TokenError, "no position 15: the prompt has 15 tokens"),
    ({"tokens": [1], "pos": -16}, TokenError, "no position -16"),
    ({"tokens": [1], "quantity": "kl"}, OptionError, "kl is of the whole distribution"),
])  # fmt: skip
def test_what_is_not_there_is_refused(params: dict[str, Any], error: Any, what: str) -> None:
    with pytest.raises(error, match=what):
        looked("lens", microworld(), PROMPT, **params)
