"""The tuned lens: known answers, exact resuming, and models that it does not belong to."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.lenses import TunedLens
from residuum.models.native import NativeConfig, NativeForCausalLM
from residuum.worlds import microworld_text

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import model, talker

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import build

ROWS = torch.randint(4, 100, (12, 7), generator=torch.Generator().manual_seed(4))


def untrained(held: rz.Model) -> TunedLens:
    """One step at a rate too small to move anything: the identity."""
    return TunedLens.train(held, ROWS, steps=1, lr=1e-30)


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "bert"])
def test_at_the_identity_it_is_the_logit_lens(name: str) -> None:
    held = model(name)
    lens = untrained(held)
    assert lens.matrices.abs().max() < 1e-20
    mine, theirs = lens.read(held, ROWS[0], top=3), rz.logit_lens(held, ROWS[0], top=3)
    assert mine.layers == theirs.layers and mine.lens == "tuned"
    torch.testing.assert_close(mine.top_ids, theirs.top_ids)
    torch.testing.assert_close(mine.kl_bits, theirs.kl_bits)
    fit = lens.evaluate(held, ROWS)
    np.testing.assert_allclose(fit.tuned, fit.logit, atol=1e-6)
    np.testing.assert_allclose(fit.logit[-1], 0, atol=1e-6)


def test_the_divergence_is_that_of_the_output_against_the_lens() -> None:
    held = model("gpt2")
    fit = untrained(held).evaluate(held, ROWS[:2])
    run = held.run(ROWS[:2], capture=["L1.resid_post"])
    p = run.logits.double().log_softmax(-1)
    norm, head = held.hf.transformer.ln_f, held.hf.lm_head
    q = head(norm(run["L1.resid_post"])).detach().double().log_softmax(-1)
    by_hand = (p.exp() * (p - q)).sum(-1).mean(-1) / np.log(2)
    np.testing.assert_allclose(fit.logit[2], by_hand, rtol=1e-4)


def affine_model() -> NativeForCausalLM:
    """Prompts of one token: attention is on itself, so that the block is an affine map."""
    config = NativeConfig(n_layers=1, n_heads=1, d_model=4, d_head=4, d_vocab=60, n_ctx=1,
                          positions=None, normalization=None)  # fmt: skip
    made = NativeForCausalLM(config)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        made.model.embed.weight.mul_(2)
    return made.double().eval()


def test_it_finds_the_affine_map_that_a_layer_applies() -> None:
    held = rz.load(affine_model(), check=False)
    ids = torch.arange(60)[:, None]
    lens = TunedLens.train(held, ids, steps=1500, lr=2e-2, batch_size=60)
    matrix = held.W_V[0][0] @ held.W_O[0][0]
    bias = held.b_V[0][0] @ held.W_O[0][0] + held.b_O[0]
    fit = lens.evaluate(held, ids)
    assert fit.logit[0].mean() > 0.5 and fit.tuned[0].mean() < 1e-3 * fit.logit[0].mean()
    torch.testing.assert_close(lens.matrices[0], matrix, atol=0.03, rtol=0.03)
    torch.testing.assert_close(lens.biases[0], bias.reshape(-1), atol=0.03, rtol=0.03)
    assert matrix.abs().max() > 0.3 and bias.abs().max() > 0.3


def test_on_microworld_it_is_nearer_to_the_output_at_every_layer_but_the_last() -> None:
    held = rz.load("microworld", check=False)
    texts = list(itertools.islice(microworld_text(1), 200))
    unseen = list(itertools.islice(microworld_text(2), 24))
    lens = TunedLens.train(held, texts, steps=40, lr=2e-3)
    table = lens.evaluate(held, unseen).to_dataframe()
    assert list(table.layer) == ["embed", "L0", "L1", "L2", "L3"]
    assert (table.gain_low[:-1] > 0).all()
    assert table.tuned.iloc[-1] == table.logit.iloc[-1] == pytest.approx(0.0, abs=1e-5)
    assert lens.losses[-1] < 0.5 * lens.losses[0] and len(lens.losses) == 40


class Stop(Exception):
    """What interrupts."""


class StopAfter:
    """Progress that raises at a step."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def start(self, stage: str, total: int) -> None: ...
    def finish(self) -> None: ...

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise Stop


def test_stopping_and_going_on_gives_the_same_weights(tmp_path: Path) -> None:
    held = model("gpt2")
    options = {"steps": 11, "lr": 1e-2, "batch_size": 3, "seed": 5}
    whole = TunedLens.train(held, ROWS, **options)
    kept = {**options, "keep": tmp_path / "state", "keep_every": 3}
    with pytest.raises(Stop):
        TunedLens.train(held, ROWS, **kept, progress=StopAfter(7))
    (file,) = (tmp_path / "state").iterdir()
    assert file.suffix == ".safetensors"
    resumed = TunedLens.train(held, ROWS, **kept)
    assert torch.equal(resumed.matrices, whole.matrices)
    assert torch.equal(resumed.biases, whole.biases)
    assert resumed.losses == whole.losses
    assert not torch.equal(
        whole.matrices, TunedLens.train(held, ROWS, **{**options, "seed": 6}).matrices
    )
    with pytest.raises(rz.StoreError, match="of another training: seed differ"):
        TunedLens.train(held, ROWS, **{**kept, "seed": 6})
    with pytest.raises(rz.StoreError, match="corpus differ"):
        TunedLens.train(held, ROWS[:4], **kept)
    file.write_bytes(b"x")
    with pytest.raises(rz.StoreError, match="cannot be read"):
        TunedLens.train(held, ROWS, **kept)


def test_the_model_is_as_it_was() -> None:
    held = rz.load(build("gpt2"), check=False)
    before = {name: p.clone() for name, p in held.hf.named_parameters()}
    TunedLens.train(held, ROWS, steps=2, lr=1e-2)
    for name, parameter in held.hf.named_parameters():
        assert parameter.grad is None and parameter.requires_grad
        assert torch.equal(parameter, before[name])


def test_it_is_saved_and_read_back(tmp_path: Path) -> None:
    held = model("gpt2")
    lens = TunedLens.train(held, ROWS, steps=3, lr=1e-2)
    lens.save(tmp_path / "lens")
    assert {f.suffix for f in (tmp_path / "lens").iterdir()} == {".json", ".safetensors"}
    back = TunedLens.load(tmp_path / "lens")
    assert torch.equal(back.matrices, lens.matrices) and torch.equal(back.biases, lens.biases)
    assert back.to_json() == lens.to_json()
    torch.testing.assert_close(back.read(held, ROWS[0]).kl_bits, lens.read(held, ROWS[0]).kl_bits)
    with pytest.raises(rz.StoreError, match="no tuned lens"):
        TunedLens.load(tmp_path)
    (tmp_path / "lens" / "tuned_lens.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(rz.StoreError, match="another format"):
        TunedLens.load(tmp_path / "lens")


def test_a_lens_of_another_model_is_refused() -> None:
    held = model("gpt2")
    lens = untrained(held)
    other = rz.load(build("gpt2"), check=False)
    lens.check_fits(other)
    with torch.no_grad():
        other.hf.transformer.h[0].mlp.c_fc.weight.add_(0.1)
    changed = rz.load(other.hf, check=False)
    with pytest.raises(rz.LoadError, match="other weights") as caught:
        lens.read(changed, ROWS[0])
    assert "rz.TunedLens.train" in caught.value.mend
    with torch.no_grad():
        other.hf.transformer.ln_f.weight.add_(0.1)
    for stranger in (rz.load(other.hf, check=False), model("llama")):
        with pytest.raises(rz.LoadError, match="the final norm or the unembedding"):
            lens.evaluate(stranger, ROWS)


def test_bad_input_is_refused() -> None:
    held = talker()
    with pytest.raises(
        rz.TokenError, match=r"has 4 tokens, fewer than the context of 16"
    ) as caught:
        TunedLens.train(held, ["the cat", "sat on"], context=16)
    assert "context=4" in caught.value.mend
    with pytest.raises(rz.TokenError, match="the model has 64"):
        TunedLens.train(held, ["the cat"], context=65)
    with pytest.raises(rz.TokenError, match="empty"):
        TunedLens.train(held, [])
    with pytest.raises(rz.OptionError, match="unknown option step "):
        TunedLens.train(held, ["the cat"], step=3)
    with pytest.raises(rz.OptionError, match="lr=0"):
        TunedLens.train(held, ["the cat"], lr=0)
    with pytest.raises(rz.TokenError, match="out of range"):
        TunedLens.train(held, [[4, 101]])
    with pytest.raises(rz.OptionError, match="no translator for block 3"):
        untrained(model("gpt2")).translate(torch.zeros(32), 3)


def test_a_context_joins_and_cuts_the_texts() -> None:
    from residuum.lenses.corpus import corpus_of

    corpus = corpus_of(talker(), ["the cat sat", "on the mat ."], 3)
    assert corpus.rows == ((4, 5, 7), (10, 4, 11))
    ragged = corpus_of(talker(), ["the cat sat", "on"], None)
    assert ragged.rows == ((4, 5, 7), (10,))
    assert ragged.batch([0, 1]).lengths.tolist() == [3, 1]


@pytest.mark.parametrize("suffix", [".json", ".csv", ".html", ".png"])
def test_a_fit_is_saved(suffix: str, tmp_path: Path) -> None:
    held = model("gpt2")
    fit = untrained(held).evaluate(held, ROWS)
    fit.save(tmp_path / f"fit{suffix}")
    assert (tmp_path / f"fit{suffix}").stat().st_size > 100
    assert [line.name for line in fit.figure().series] == ["logit lens", "tuned lens"]
