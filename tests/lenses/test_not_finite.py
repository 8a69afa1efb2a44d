"""NaN or infinity in a model: every verb of the room names the place where they begin."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import residuum as rz
from residuum.lenses import (
    TunedLens,
    attention_view,
    direct_logit_attribution,
    stream_contributions,
    token_attribution,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import id_task

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import build

PROMPT = [4, 5, 7, 10]
VERBS: dict[str, Callable[[rz.Model], Any]] = {
    "logit_lens": lambda m: rz.logit_lens(m, PROMPT),
    "of streams": lambda m: rz.logit_lens(m, PROMPT, site="resid_pre"),
    "of heads": lambda m: rz.logit_lens(m, PROMPT, site="head_out"),
    "direct_logit_attribution": lambda m: direct_logit_attribution(m, PROMPT, answers=3),
    "stream_contributions": lambda m: stream_contributions(m, PROMPT),
    "token_attribution": lambda m: token_attribution(m, id_task(), steps=2),
    "attention_view": lambda m: attention_view(m, PROMPT),
    "TunedLens.train": lambda m: TunedLens.train(m, [PROMPT], steps=1),
}
READ_NO_END = ("attention_view", "stream_contributions")


def broken(name: str, parameter: str, value: float = float("nan")) -> rz.Model:
    hf = build(name)
    with torch.no_grad():
        hf.get_parameter(parameter)[0] = value
    return rz.load(hf, check=False)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("name", "parameter", "place"),
    [
        ("gpt2", "transformer.h.1.mlp.c_fc.weight", "L1.mlp_pre@0"),
        ("llama", "model.layers.0.self_attn.v_proj.weight", "L0.v@0"),
        ("gpt2", "transformer.wpe.weight", "pos_embed@0"),
    ],
)
def test_the_first_broken_place_and_the_weight_are_named(
    verb: str, name: str, parameter: str, place: str
) -> None:
    with pytest.raises(rz.ShapeError, match="NaN or infinite from") as caught:
        VERBS[verb](broken(name, parameter))
    assert caught.value.where == place
    assert parameter in caught.value.mend and "sound copy" in caught.value.mend


@pytest.mark.parametrize("verb", sorted(set(VERBS) - set(READ_NO_END)))
def test_a_broken_end_is_named_too(verb: str) -> None:
    with pytest.raises(rz.ShapeError, match="from ln_final on") as caught:
        VERBS[verb](broken("gpt2", "transformer.ln_f.weight", float("inf")))
    assert "transformer.ln_f.weight" in caught.value.mend


@pytest.mark.parametrize("verb", ["of heads", *READ_NO_END, "direct_logit_attribution"])
def test_a_weight_that_is_read_is_named_before_the_run(verb: str) -> None:
    parameter = "model.layers.1.self_attn.o_proj.weight"
    with pytest.raises(rz.ShapeError, match="output projection of block 1 holds NaN") as caught:
        VERBS[verb](broken("llama", parameter))
    assert caught.value.where == "L1.attn_out"
    assert parameter in caught.value.mend and "sound copy" in caught.value.mend


def test_what_comes_before_the_broken_place_is_still_read() -> None:
    """The streams of a model whose last norm is broken are what they were."""
    held = broken("gpt2", "transformer.ln_f.weight")
    sound = rz.load(build("gpt2"), check=False)
    for verb in READ_NO_END:
        assert VERBS[verb](held).to_dataframe().equals(VERBS[verb](sound).to_dataframe())


def test_the_prompt_is_named_and_overflow_is_told_from_broken_weights() -> None:
    held = rz.load(build("gpt2", torch.float16), check=False)
    with torch.no_grad():
        held.hf.transformer.h[1].ln_2.weight.fill_(300.0)
        held.hf.transformer.h[1].mlp.c_fc.weight.mul_(1e4)
    with pytest.raises(rz.ShapeError, match=r"from L1\.mlp_pre on in prompt 0") as caught:
        direct_logit_attribution(held, [PROMPT, PROMPT[:2]], answers=3)
    assert "wider dtype than float16" in caught.value.mend


def test_a_token_that_no_prompt_holds_breaks_nothing_it_is_not_asked_for() -> None:
    hf = build("llama", tie_word_embeddings=False)
    with torch.no_grad():
        hf.model.embed_tokens.weight[50] = float("nan")
    held = rz.load(hf, check=False)
    assert rz.logit_lens(held, PROMPT).kl_bits.isfinite().all()
    with pytest.raises(rz.ShapeError, match="from embed on") as caught:
        rz.logit_lens(held, [4, 5, 50])
    assert caught.value.where == "embed@2"


def test_evaluating_on_broken_numbers_is_refused() -> None:
    held = rz.load(build("gpt2"), check=False)
    lens = TunedLens.train(held, [PROMPT], steps=1)
    hook = held.hf.transformer.h[2].mlp.register_forward_hook(lambda *given: given[2] / 0)
    for call in (lambda: lens.evaluate(held, [PROMPT]), lambda: lens.read(held, PROMPT)):
        with pytest.raises(rz.ShapeError, match=r"from L2\.") as caught:
            call()
        assert "weights are finite: look for a hook" in caught.value.mend
    hook.remove()
    lens.evaluate(held, [PROMPT])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_damaged_lens_is_not_loaded(tmp_path: Path, value: float) -> None:
    held = rz.load(build("gpt2"), check=False)
    TunedLens.train(held, [PROMPT], steps=1).save(tmp_path)
    tensors = load_file(tmp_path / "translators.safetensors")
    tensors["matrices"][1, 0, 0] = value
    save_file(tensors, tmp_path / "translators.safetensors")
    with pytest.raises(rz.StoreError, match="holds NaN or infinity"):
        TunedLens.load(tmp_path)
    save_file({**tensors, "matrices": torch.zeros(3, 32)}, tmp_path / "translators.safetensors")
    with pytest.raises(rz.StoreError, match="shapes"):
        TunedLens.load(tmp_path)
    assert json.loads((tmp_path / "tuned_lens.json").read_text())["format"] == 1
