"""Attention weighted by what it carries, and what each part adds to the stream."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import INDUCTION, handmade_induction

import residuum as rz
from residuum.lenses import attention_view, direct_logit_attribution, stream_contributions
from residuum.lenses.attention_view import need_attention

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import IDS, id_task, model, talker

PROMPT = [4, 5, 7, 10, 4, 17]


@pytest.mark.parametrize("name", ["gpt2", "llama", "granite", "gpt_oss", "falcon_7b"])
def test_weighted_views_are_norms_of_weighted_vectors(name: str) -> None:
    held = model(name)
    view = attention_view(held, PROMPT)
    run = held.run(PROMPT, capture=["L1.pattern", "L1.v", "L1.head_out"])
    pattern, v = run["L1.pattern"][0], run["L1.v"][0]
    groups = held.n_heads // v.shape[1]
    head = 3
    own = v[:, head // groups]
    torch.testing.assert_close(view.pattern[1, head], pattern[head])
    torch.testing.assert_close(view.value[1, head], pattern[head] * own.norm(dim=-1))
    through = own @ held.W_O[1][head] * held.adapted.parts.layers[1].scale
    moved = pattern[head][..., None] * through
    torch.testing.assert_close(view.output[1, head], moved.norm(dim=-1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(moved.sum(1), run["L1.head_out"][0, :, head], atol=1e-5, rtol=1e-4)


def test_the_hand_set_induction_head_moves_the_letter_after_the_match() -> None:
    held = rz.load(handmade_induction())
    view = attention_view(held, [0, 3, 7, 5, 2, 9, 4, 1, 8, 3])
    assert int(view.of(1, INDUCTION, "pattern")[-1].argmax()) == 2
    assert float(view.of(1, INDUCTION)[-1, 2]) == pytest.approx(1.0, abs=1e-5)


def test_heads_that_are_not_there_are_refused() -> None:
    view = attention_view(model("gpt2"), PROMPT)
    with pytest.raises(rz.AddressError, match="no head 4: the model has 4") as caught:
        view.figure(1, 4)
    assert "use 0 to 3" in caught.value.mend
    for layer in (3, -1):
        with pytest.raises(rz.AddressError, match="no layer"):
            view.of(layer, 0)
    with pytest.raises(rz.OptionError, match="no view 'keys'"):
        view.figure(1, 1, "keys")
    with pytest.raises(rz.OptionError, match="give both"):
        view.figure(layer=1)
    with pytest.raises(rz.OptionError, match="one prompt"):
        attention_view(model("gpt2"), IDS)


def test_a_model_without_attention_is_refused() -> None:
    import transformers

    config = transformers.MambaConfig(
        vocab_size=50, hidden_size=16, state_size=4, num_hidden_layers=2, time_step_rank=2
    )
    held = rz.load(transformers.MambaForCausalLM(config).eval())
    for call in (
        lambda: attention_view(held, [3, 4, 5]),
        lambda: need_attention(held),
    ):
        with pytest.raises(rz.AddressError, match="no attention was found"):
            call()
    with pytest.raises(rz.AddressError, match="parts of every block"):
        direct_logit_attribution(held, [3, 4, 5], answers=1)
    with pytest.raises(rz.AddressError, match="parts of every block"):
        stream_contributions(held, [3, 4, 5])
    reading = rz.logit_lens(held, [3, 4, 5], top=1)
    assert reading.kl_bits[-1].abs().max() < 1e-4


@pytest.mark.parametrize("name", ["gpt2", "gptj", "olmo2", "granite", "mixtral", "phi"])
def test_shares_sum_to_one_and_are_numpys(name: str) -> None:
    held = model(name, torch.float64)
    found = stream_contributions(held, IDS, skip=1, batch_size=1)
    for measure in ("share", "variance_share"):
        np.testing.assert_allclose(found.table.groupby("layer")[measure].sum(), 1, atol=1e-6)
    assert found.tokens == 2 * (IDS.shape[1] - 1)
    run = held.run(IDS, capture=["L1.resid_pre", "L1.resid_post", "L1.head_out"])
    before, after = (
        run[f"L1.{s}"][:, 1:].flatten(0, 1).numpy() for s in ("resid_pre", "resid_post")
    )
    part = run["L1.head_out"][:, 1:, 2].flatten(0, 1).numpy()
    row = found.table[(found.table.layer == 1) & (found.table.part == "H2")].iloc[0]

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return float(((a * b).sum(1) / sizes).mean())

    centred, spread = part - part.mean(0), after - after.mean(0)
    expected = {
        "share": (part * after).sum() / (after**2).sum(),
        "size": (part**2).sum() / (after**2).sum(),
        "norm": np.linalg.norm(part, axis=1).mean(),
        "variance": (centred**2).sum(1).mean(),
        "variance_share": (centred * spread).sum() / (spread**2).sum(),
        "cosine": cosine(part, after),
        "cosine_before": cosine(part, before),
    }
    for measure, value in expected.items():
        assert row[measure] == pytest.approx(value, rel=1e-6), measure
    sizes = found.table[found.table.layer == 1]["size"].sum()
    assert found.overlap[1] == pytest.approx(sizes - 1) and abs(found.overlap[1]) > 1e-3


def test_padding_is_not_measured() -> None:
    both = stream_contributions(talker(), ["the cat sat on", "the dog"])
    rows = [stream_contributions(talker(), text) for text in ("the cat sat on", "the dog")]
    norms = [each.table.norm.to_numpy() * each.tokens for each in rows]
    np.testing.assert_allclose(both.table.norm * both.tokens, norms[0] + norms[1], rtol=1e-4)


def test_pictures_and_files(tmp_path: Path) -> None:
    view, found = (
        attention_view(talker(), "the cat sat on"),
        stream_contributions(model("gpt2"), id_task()),
    )
    assert view.figure().columns == 4 and len(view.figure().figures) == 12
    assert view.figure(1, 2, "pattern").to_json()["row_labels"] == ["the", "cat", "sat", "on"]
    frame = view.to_dataframe()
    row = frame[(frame.layer == 1) & (frame["head"] == 2) & (frame.q_pos == 3) & (frame.k_pos == 1)]
    assert row.output.iloc[0] == pytest.approx(float(view.output[1, 2, 3, 1]))
    picture = found.figure().to_json()
    assert picture["row_labels"] == ["L2", "L1", "L0"]
    assert picture["col_labels"] == ["H0", "H1", "H2", "H3", "bias", "MLP"]
    with pytest.raises(rz.OptionError, match="no measure 'length'"):
        found.figure("length")
    for result in (view, found):
        for suffix in (".json", ".csv", ".html", ".png"):
            result.save(tmp_path / f"view{suffix}")
        assert json.loads((tmp_path / "view.json").read_text())["provenance"]["weight_hash"]
    with pytest.raises(rz.OptionError, match="skip=9 leaves no token"):
        stream_contributions(model("gpt2"), [4, 5], skip=9)
