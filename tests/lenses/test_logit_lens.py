"""The logit lens: its last layer is the model, its numbers are NumPy's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.lenses.logit_lens import unembed

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import model, talker

PROMPT = [4, 5, 7, 10, 4, 17]
FAMILIES = (
    "gpt2", "llama", "gemma2", "cohere", "granite", "gptj", "falcon", "opt", "olmo2", "mixtral",
    "gpt_oss", "bert",
)  # fmt: skip


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_layer_is_the_models_own_distribution(name: str) -> None:
    reading = rz.logit_lens(model(name), PROMPT, top=101)
    own = model(name).run(PROMPT).logits[0].double().softmax(-1)
    found = torch.zeros_like(own).scatter(-1, reading.top_ids[-1], reading.top_probs[-1])
    torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-6)
    assert reading.kl_bits[-1].abs().max() < 1e-4
    assert reading.kl_bits[0].max() > 1e-4


@pytest.mark.parametrize("name", ["gemma2", "cohere", "granite"])
def test_what_the_family_does_after_the_unembedding_is_done(name: str) -> None:
    """Soft cap, scale and divisor, against the model's own head on a stream set by hand."""
    stream = torch.randn(1, 3, 32, generator=torch.Generator().manual_seed(2))
    site = f"L{model(name).n_layers - 1}.resid_post"
    own = model(name).run(PROMPT[:3], edits=rz.Set(site, stream)).logits
    torch.testing.assert_close(unembed(model(name), stream), own, rtol=1e-5, atol=1e-5)
    plain = model(name).hf.lm_head(model(name).adapted.parts.final_norm(stream))
    assert (plain - own).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "granite"])
def test_entropy_and_divergence_are_numpys(name: str) -> None:
    held = model(name)
    reading = rz.logit_lens(held, PROMPT, top=3, track=[7, 100])
    run = held.run(PROMPT, capture=["L0.resid_pre", "resid_post"])
    streams = [run["L0.resid_pre"], *(run["resid_post", i] for i in range(held.n_layers))]
    final = softmax(run.logits[0].double().numpy())
    assert reading.layers == ("embed", "L0", "L1", "L2")
    for i, stream in enumerate(streams):
        logits = unembed(held, stream)[0].double().numpy()
        p = softmax(logits)
        entropy = -(p * np.log2(p)).sum(-1)
        kl = (p * (np.log2(p) - np.log2(final))).sum(-1)
        np.testing.assert_allclose(reading.entropy_bits[i], entropy, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(reading.kl_bits[i], kl, rtol=1e-5, atol=1e-6)
        order = np.argsort(-p, axis=-1)[:, :3]
        np.testing.assert_array_equal(reading.top_ids[i], order)
        np.testing.assert_allclose(reading.top_probs[i], np.take_along_axis(p, order, -1))
        np.testing.assert_allclose(reading.tracked_probs[i], p[:, [7, 100]])
        centred = logits - logits.mean(-1, keepdims=True)
        np.testing.assert_allclose(reading.tracked_logits[i], centred[:, [7, 100]], atol=1e-9)
    assert reading.tracked == (7, 100)


def test_words_are_read_with_the_tokenizer() -> None:
    reading = rz.logit_lens(talker(), "the cat sat on", top=2, track=["mat", "cat"])
    assert reading.tokens == ("the", "cat", "sat", "on")
    assert reading.tracked == (11, 5)
    assert rz.logit_lens(talker(), "the cat", track="mat").tracked == (11,)
    decode = talker().tokenizer.decode
    assert reading.top_words[1][0][0] == decode([int(reading.top_ids[1, 0, 0])])
    with pytest.raises(rz.TokenError, match="not in the vocabulary: 'bird'"):
        rz.logit_lens(talker(), "the cat", track=["bird"])
    for wrong in (-1, 101, 2.5, True):
        with pytest.raises(rz.TokenError, match="cannot be tracked"):
            rz.logit_lens(talker(), "the cat", track=[wrong])


def test_the_table_has_a_row_for_each_rank() -> None:
    reading = rz.logit_lens(talker(), "the cat sat on", top=2)
    frame = reading.to_dataframe()
    assert list(frame.columns) == ["layer", "pos", "token", "rank", "word", "probability"]
    assert len(frame) == 4 * 4 * 2
    row = frame[(frame.layer == "L1") & (frame.pos == 2) & (frame["rank"] == 1)].iloc[0]
    assert row.token == "sat"
    assert row.probability == pytest.approx(float(reading.top_probs[2, 2, 1]))


@pytest.mark.parametrize("suffix", [".json", ".csv", ".html", ".svg", ".png"])
def test_it_is_saved_under_every_suffix(suffix: str, tmp_path: Path) -> None:
    reading = rz.logit_lens(talker(), "the cat sat on", top=2, track=["mat"])
    path = tmp_path / f"lens{suffix}"
    reading.save(path)
    if suffix == ".json":
        data = json.loads(path.read_text())
        assert data["layers"] == list(reading.layers) and data["tokens"] == list(reading.tokens)
        np.testing.assert_allclose(data["kl_bits"], reading.kl_bits)
        np.testing.assert_array_equal(data["top_ids"], reading.top_ids)
        assert data["provenance"]["weight_hash"] == talker().adapted.weight_hash
    elif suffix == ".png":
        assert path.read_bytes().startswith(b"\x89PNG")
    else:
        assert "sat" in path.read_text()
    with pytest.raises(rz.OptionError, match="cannot save a reading as"):
        reading.save(tmp_path / "lens.xlsx")


def test_the_figure_has_the_last_layer_on_top() -> None:
    reading = rz.logit_lens(talker(), "the cat sat on", top=1)
    record = reading.figure().to_json()
    assert record["row_labels"] == ["L2", "L1", "L0", "embed"]
    np.testing.assert_allclose(record["values"][0], reading.top_probs[-1, :, 0], rtol=1e-5)
    assert "Does not show" not in record["title"]
    assert "later layers" in json.dumps(record)
