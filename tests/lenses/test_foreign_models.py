"""From outside, with the public names: lenses of other models, short text, no attention."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.lenses import (
    TunedLens,
    attention_view,
    direct_logit_attribution,
    stream_contributions,
    token_attribution,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import build

TEXTS = ["The capital of France is Paris .", "Mary went to the store ."]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lens of microworld, on disk."""
    folder = tmp_path_factory.mktemp("lens")
    TunedLens.train(rz.load("microworld", check=False), TEXTS, steps=1).save(folder)
    return folder


STRANGERS: dict[str, tuple[Callable[[], rz.Model], str]] = {
    "its own twin": (
        lambda: rz.load("microworld-trigger", check=False),
        "was trained on (another model|other weights)",
    ),
    "another family": (
        lambda: rz.load(build("llama"), check=False),
        r"trained on another model \(microworld\): the final norm or the unembedding of "
        "LlamaForCausalLM differs",
    ),
    "the same shapes, other weights": (
        lambda: rz.load(_shuffled(), check=False),
        r"trained on other weights of microworld: the unembedding is the same, but layers differ",
    ),
}


def _shuffled() -> Any:
    hf = rz.load("microworld", check=False).hf
    with torch.no_grad():
        for block in hf.transformer.h:
            block.mlp.c_proj.weight.mul_(1.5)
    return hf


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_saved_lens_is_refused_by_every_other_model(stranger: str, saved: Path) -> None:
    make, text = STRANGERS[stranger]
    held, lens = make(), TunedLens.load(saved)
    for call in (
        lambda: lens.check_fits(held),
        lambda: lens.read(held, [4, 5, 6]),
        lambda: lens.evaluate(held, [[4, 5, 6]]),
    ):
        with pytest.raises(rz.LoadError, match=text) as caught:
            call()
        assert caught.value.mend == "train one for this model: rz.TunedLens.train(model, texts)"


def test_a_saved_lens_is_taken_by_its_own_model(saved: Path) -> None:
    lens, held = TunedLens.load(saved), rz.load("microworld", check=False)
    assert lens.read(held, TEXTS[1]).kl_bits.isfinite().all()
    assert np.isfinite(lens.evaluate(held, TEXTS).tuned).all()


def test_a_corpus_shorter_than_the_context_is_refused() -> None:
    held = rz.load("microworld", check=False)
    tokens = sum(len(held.to_str_tokens(text)) for text in TEXTS)
    lens = TunedLens.train(held, TEXTS, steps=1, context=tokens)
    for call in (
        lambda: TunedLens.train(held, TEXTS, steps=1, context=tokens + 1),
        lambda: lens.evaluate(held, TEXTS, context=tokens + 1),
    ):
        with pytest.raises(rz.TokenError, match=f"has {tokens} tokens, fewer than") as caught:
            call()
        assert caught.value.mend == f"give more text, or context={tokens} or less"
    with pytest.raises(rz.TokenError, match=f"the model has {held.n_ctx}") as caught:
        TunedLens.train(held, TEXTS * 100, steps=1, context=held.n_ctx + 1)
    assert caught.value.mend == f"use at most {held.n_ctx}"


@cache
def no_attention() -> rz.Model:
    """A tiny Mamba: a stream, but no attention, and blocks of which nothing is known."""
    import transformers

    config = transformers.MambaConfig(
        vocab_size=50, hidden_size=16, state_size=4, num_hidden_layers=2, time_step_rank=2
    )
    torch.manual_seed(0)
    return rz.load(transformers.MambaForCausalLM(config).eval())


def _pairs() -> rz.Task:
    return rz.Task.from_pairs(clean=[[3, 4, 5, 6]], corrupt=[[3, 7, 5, 6]], answers=[8], wrong=[9])


NEED_PARTS: dict[str, Callable[[], Any]] = {
    "attention_view": lambda: attention_view(no_attention(), [3, 4, 5]),
    "direct_logit_attribution": lambda: direct_logit_attribution(no_attention(), _pairs()),
    "neurons": lambda: direct_logit_attribution(no_attention(), [3, 4], answers=1, neurons=True),
    "stream_contributions": lambda: stream_contributions(no_attention(), [3, 4, 5]),
    "heads": lambda: rz.logit_lens(no_attention(), [3, 4, 5], site="head_out"),
    "one head": lambda: rz.logit_lens(no_attention(), [3, 4, 5], site="L1.head_out[H0]"),
    "attention": lambda: rz.logit_lens(no_attention(), [3, 4, 5], site="attn_out"),
    "MLPs": lambda: rz.logit_lens(no_attention(), [3, 4, 5], site="mlp_out"),
    "the middle": lambda: rz.logit_lens(no_attention(), [3, 4, 5], site="resid_mid"),
}


@pytest.mark.parametrize("verb", NEED_PARTS)
def test_without_attention_what_needs_it_is_refused_with_a_mend(verb: str) -> None:
    with pytest.raises(rz.AddressError) as caught:
        NEED_PARTS[verb]()
    text = caught.value.what
    assert any(part in text for part in ("no attention", "parts of every block", "no table"))
    assert "residuum doctor MODEL" in caught.value.mend
    if verb != "the middle":
        assert "rz.logit_lens(model, prompt) reads the stream of any model" in caught.value.mend


def test_without_attention_what_reads_the_stream_works() -> None:
    held = no_attention()
    reading = rz.logit_lens(held, [3, 4, 5], top=1)
    assert reading.layers == ("embed", "L0", "L1") and reading.kl_bits[-1].abs().max() < 1e-4
    lens = TunedLens.train(held, [[3, 4, 5], [6, 7]], steps=3)
    assert lens.read(held, [3, 4, 5]).kl_bits.isfinite().all()
    assert np.isfinite(lens.evaluate(held, [[3, 4, 5]]).tuned).all()
    found = token_attribution(held, _pairs(), baseline="zero", steps=8)
    assert np.isfinite(found.effects).all() and np.abs(found.effects).max() > 0
