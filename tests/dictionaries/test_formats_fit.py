"""Does a dictionary hang on the right tensor? Right ones pass, wrong ones are refused by name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import residuum as rz
from residuum.core import Address, CheckFailed, LoadError, ResiduumError
from residuum.dictionaries import (
    BatchTopK,
    Dictionary,
    TensorSource,
    TopK,
    convert_dictionary,
    fit_dictionary,
    load_dictionary,
    train_dictionary,
)
from residuum.dictionaries.fit_check_text import held_at, text_of
from residuum.worlds import microworld_text


@cache
def microworld() -> Any:
    return rz.load("microworld", check=False)


@cache
def texts() -> tuple[str, ...]:
    return tuple(islice(microworld_text(31), 256))


@cache
def trained(at: str) -> Dictionary:
    """A small TopK dictionary of one site, trained on microworld's text."""
    model = microworld()
    rows = [model.to_tokens(each)[0].tolist() for each in islice(microworld_text(5), 1500)]
    values = held_at(model, rows, [Address.parse(at)]).values[Address.parse(at)]
    source = TensorSource(values, at)
    made = train_dictionary(
        source, n_latents=256, activation=TopK(8), samples=60_000, batch_size=512
    ).dictionary
    return replace(made, weight_hash=None)


SITES = ("L1.resid_post", "L2.mlp_out")


@pytest.mark.parametrize("at", SITES)
@pytest.mark.parametrize("own", [True, False])
def test_the_right_site_passes(at: str, own: bool) -> None:
    found = fit_dictionary(microworld(), trained(at), text=None if own else texts())
    assert found.fits, found
    low = found.here.explained[1]
    assert low > found.turned.explained[2] + 0.2
    assert len(found.rivals) > 20 and "L2.resid_pre" not in (found.rivals if at == SITES[0] else {})


@pytest.mark.parametrize(
    ("at", "wrong"),
    [(SITES[0], "L3.resid_post"), (SITES[0], "L1.mlp_out"), (SITES[1], "L2.attn_out"),
     (SITES[1], "L1.mlp_out"), (SITES[1], "L2.resid_post")],
)  # fmt: skip
def test_the_wrong_site_is_refused_and_the_right_one_named(
    at: str, wrong: str, tmp_path: Path
) -> None:
    convert_dictionary(trained(at), tmp_path, format="saelens", fold=True)
    with pytest.raises(CheckFailed) as refused:
        load_dictionary(tmp_path, microworld(), at=wrong, name="x", text=texts())
    assert f"does not fit {wrong} of microworld" in refused.value.what
    assert "x" not in microworld().dictionaries
    assert at in refused.value.mend
    found = load_dictionary(tmp_path, microworld(), at=wrong, check=False)
    assert list(map(str, found.reads)) == [wrong]


def test_another_model_of_the_same_width_is_refused(tmp_path: Path) -> None:
    transformers.set_seed(0)
    config = microworld().hf.config
    other = rz.load(transformers.GPT2LMHeadModel(config).eval(), check=False)
    rows = [microworld().to_tokens(each)[0].tolist() for each in texts()[:64]]
    found = fit_dictionary(other, trained(SITES[0]), text=rows)
    assert not found.fits and "turned at random" in found.reasons[0]
    known = replace(trained(SITES[0]), weight_hash=microworld().adapted.weight_hash)
    assert fit_dictionary(microworld(), known, text=texts()).fits
    with pytest.raises(LoadError, match="was trained on"):
        fit_dictionary(other, known, text=rows)


def test_another_width_is_refused() -> None:
    good = trained(SITES[0])
    narrow = replace(good, W_enc=good.W_enc[:, :64], W_dec=good.W_dec[..., :64],
                     b_dec=good.b_dec[:, :64],
                     b_in=None if good.b_in is None else good.b_in[:, :64])  # fmt: skip
    with pytest.raises(LoadError, match="reads vectors of 64 numbers"):
        fit_dictionary(microworld(), narrow, text=texts())


def test_declared_figures_that_are_not_met_are_refused() -> None:
    good = trained(SITES[0])
    lies = replace(good, W_dec=good.W_dec * 0.5, declared={"l0": 81.0, "explained_variance": 0.99})
    reasons = " ".join(fit_dictionary(microworld(), lies, text=texts()).reasons)
    assert "81 were declared" in reasons
    assert "0.99 was declared" in reasons


def sparse(values: torch.Tensor, at: str) -> Dictionary:
    """A small BatchTopK dictionary of these vectors: its threshold is in their units."""
    return train_dictionary(
        TensorSource(values, at), n_latents=64, activation=BatchTopK(4), samples=40_000,
        batch_size=256,
    ).dictionary  # fmt: skip


@pytest.mark.parametrize("family", ["gemma2", "olmo2"])
def test_raw_mlp_output_is_not_the_contribution_after_a_post_norm(family: str) -> None:
    """The trap: trained on what the MLP hands on, hung on what is added to the stream."""
    torch.manual_seed(0)
    shape = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
                 num_key_value_heads=2, vocab_size=101, max_position_embeddings=64, head_dim=8,
                 bos_token_id=1, eos_token_id=2, pad_token_id=0)  # fmt: skip
    kind = {"gemma2": "Gemma2", "olmo2": "Olmo2"}[family]
    config = getattr(transformers, f"{kind}Config")(**shape)
    hf = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, each in hf.named_parameters():
            if "post_feedforward_layernorm" in name:  # a trained gain differs from number to number
                each.copy_(torch.rand_like(each) * 3)
    model = rz.load(hf)
    ids = torch.randint(3, 101, (64, 24), generator=torch.Generator().manual_seed(2))
    raw: list[torch.Tensor] = []
    hook = hf.model.layers[1].mlp.register_forward_hook(lambda *given: raw.append(given[2]))
    held = held_at(model, ids.tolist(), [Address("L1.mlp_out")])
    hook.remove()
    before = torch.cat([each[:, 1:].flatten(0, 1) for each in raw])
    right = fit_dictionary(
        model, sparse(held.values[Address("L1.mlp_out")], "L1.mlp_out"), text=ids
    )
    assert right.fits, right
    wrong = fit_dictionary(model, sparse(before, "L1.mlp_out"), text=ids)
    assert not wrong.fits
    with pytest.raises(CheckFailed) as refused:
        wrong.need()
    assert "before or after a norm" in refused.value.mend or "at=" in refused.value.mend


def test_too_little_text_is_refused() -> None:
    with pytest.raises(ResiduumError, match="too few for a fit check"):
        text_of(microworld(), ["Mary went to the store ."])


def test_a_fit_is_a_result(tmp_path: Path) -> None:
    found = fit_dictionary(microworld(), trained(SITES[0]), text=texts())
    again = fit_dictionary(microworld(), trained(SITES[0]), text=texts())
    assert found.to_json() == again.to_json()
    table = found.to_dataframe()
    assert table.place[0] == SITES[0] and (table.low <= table.explained_variance).all()
    for suffix in ("json", "csv", "html"):
        found.save(tmp_path / f"fit.{suffix}")
        assert (tmp_path / f"fit.{suffix}").stat().st_size
    assert "fits" in repr(found)
