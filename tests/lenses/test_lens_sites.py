"""The logit lens at any site, and how much of it is ever held in memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import residuum as rz
from residuum.lenses import direct_logit_attribution, vocabulary_chunks
from residuum.lenses.lens_reading import FROZEN_SCALE, OWN_SCALE

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import model

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import build

PROMPT = [4, 5, 7, 10, 4, 17]


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation made, views of inputs included."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for each in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.numel())
        return out


def test_layers_by_tokens_by_vocabulary_is_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, tokens, vocabulary = 3, 512, 20_000
    held = rz.load(build("gpt2", vocab_size=vocabulary, n_positions=tokens), check=False)
    prompt = torch.randint(3, vocabulary, (tokens,), generator=torch.Generator().manual_seed(1))
    with Largest() as seen:
        held.run(prompt)
    assert seen.elements >= tokens * vocabulary  # the spy sees what the model itself makes
    with Largest() as seen:
        reading = rz.logit_lens(held, prompt, top=2, track=[5])
    assert seen.elements <= vocabulary_chunks.AT_ONCE < tokens * vocabulary
    assert reading.kl_bits.shape == (layers + 1, tokens)


@pytest.mark.parametrize("site", ["resid_post", "head_out"])
def test_slices_of_the_vocabulary_give_the_whole(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = model("gpt2")
    whole = rz.logit_lens(held, PROMPT, site=site, top=6, track=[3, 97])
    monkeypatch.setattr(vocabulary_chunks, "AT_ONCE", 7 * len(PROMPT))
    sliced = rz.logit_lens(held, PROMPT, site=site, top=6, track=[3, 97])
    assert torch.equal(sliced.top_ids, whole.top_ids)
    for name in ("top_probs", "tracked_logits", "tracked_probs", "entropy_bits", "kl_bits"):
        torch.testing.assert_close(
            getattr(sliced, name), getattr(whole, name), atol=1e-6, rtol=1e-5
        )


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "llama"])
def test_streams_are_read_at_their_own_scale(name: str) -> None:
    held = model(name)
    before, after = (rz.logit_lens(held, PROMPT, site=s) for s in ("resid_pre", "resid_post"))
    assert before.layers == ("L0", "L1", "L2") and before.norm == OWN_SCALE
    torch.testing.assert_close(before.kl_bits, after.kl_bits[:-1])
    middle = rz.logit_lens(held, PROMPT, site="resid_mid", track=[9])
    stream = held.run(PROMPT, capture=["L1.resid_mid"])["L1.resid_mid"]
    logits = held.hf.lm_head(held.adapted.parts.final_norm(stream)).detach().double()[0]
    logits = 30 * torch.tanh(logits / 30) if name == "gemma2" else logits
    torch.testing.assert_close(middle.tracked_probs[1, :, 0], logits.softmax(-1)[:, 9],
                               atol=1e-6, rtol=1e-5)  # fmt: skip


@pytest.mark.parametrize("name", ["gpt2", "olmo2", "granite", "phi"])
def test_logits_of_parts_add_up_to_the_direct_attribution(name: str) -> None:
    """Two tokens' logits of each head: their difference is the head's direct contribution."""
    held = model(name)
    reading = rz.logit_lens(held, PROMPT, site="head_out", track=[9, 12])
    found = direct_logit_attribution(held, PROMPT, answers=9, wrong=12)
    assert reading.layers[5] == "L1H1" and reading.norm == FROZEN_SCALE
    gap = (reading.tracked_logits[..., 0] - reading.tracked_logits[..., 1])[:, -1]
    np.testing.assert_allclose(gap.reshape(3, 4), found.heads, atol=1e-5)
    mlp = rz.logit_lens(held, PROMPT, site="L1.mlp_out", track=[9, 12])
    assert mlp.layers == ("L1",) and mlp.site == "mlp_out"
    gap = float(mlp.tracked_logits[0, -1, 0] - mlp.tracked_logits[0, -1, 1])
    assert gap == pytest.approx(found["L1.mlp_out"].logits, abs=1e-5)
    assert "mlp_out were all that is unembedded" in mlp.figure().caption


def test_one_head_can_be_read_alone() -> None:
    held = model("gpt2")
    every = rz.logit_lens(held, PROMPT, site="head_out", top=2)
    one = rz.logit_lens(held, PROMPT, site="L2.head_out[H3]", top=2)
    assert one.layers == ("L2H3",)
    assert torch.equal(one.top_ids[0], every.top_ids[-1])


def test_sites_that_cannot_be_read_are_refused() -> None:
    held = model("gpt2")
    with pytest.raises(rz.OptionError, match="does not read 'pattern'"):
        rz.logit_lens(held, PROMPT, site="pattern")
    with pytest.raises(rz.AddressError, match="H4"):
        rz.logit_lens(held, PROMPT, site="L2.head_out[H4]")
    with pytest.raises(rz.AddressError, match="layer"):
        rz.logit_lens(held, PROMPT, site="L3.mlp_out")
    with pytest.raises(rz.AddressError, match="norms the stream itself"):
        rz.logit_lens(model("bert"), PROMPT, site="mlp_out")
    with pytest.raises(rz.AddressError, match="no resid_mid"):
        rz.logit_lens(model("gptj"), PROMPT, site="resid_mid")
