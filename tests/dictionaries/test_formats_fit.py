"""Does a dictionary hang on the right tensor? Right ones pass, wrong ones are refused by name."""

from __future__ import annotations

import json
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
    CoderPlan,
    Dictionary,
    JumpReLU,
    L0Step,
    TensorSource,
    TopK,
    convert_dictionary,
    fit_dictionary,
    load_dictionary,
    train_dictionary,
)
from residuum.dictionaries.fit.measure import measured
from residuum.dictionaries.fit.result import GIVEN, OWN, SURELY_BETTER, Fit, Measured
from residuum.dictionaries.fit.sites import BeforeNorm
from residuum.dictionaries.fit.text import held_at, text_of
from residuum.worlds import microworld_text


@cache
def microworld() -> Any:
    return rz.load("microworld", check=False)


@cache
def texts() -> tuple[str, ...]:
    return tuple(islice(microworld_text(31), 96))


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


@cache
def fitted(at: str, own: bool = False) -> Fit:
    """The fit at its own site, on microworld's text or on what the model writes."""
    return fit_dictionary(microworld(), trained(at), text=None if own else texts())


@pytest.mark.parametrize("at", SITES)
@pytest.mark.parametrize("own", [True, False])
def test_the_right_site_passes(at: str, own: bool) -> None:
    found = fitted(at, own)
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


def test_a_text_longer_than_the_context_is_cut() -> None:
    model = microworld()
    long = " ".join(texts()[:40])
    assert len(model.adapted.tokens.encode(long)) > model.n_ctx
    assert [len(row) for row in text_of(model, [long, long])] == [model.n_ctx] * 2


@cache
def post_normed(family: str) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """A tiny model whose post-norms have gains of spread 0.7 (in logarithms), and two texts."""
    torch.manual_seed(1)
    shape = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
                 num_key_value_heads=2, vocab_size=101, max_position_embeddings=64, head_dim=8,
                 bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.2)  # fmt: skip
    kind = {"gemma2": "Gemma2", "olmo2": "Olmo2"}[family]
    config = getattr(transformers, f"{kind}Config")(**shape)
    hf = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, each in hf.named_parameters():
            if "post" in name and "layernorm" in name:
                gain = torch.exp(0.7 * torch.randn_like(each) - 0.5)
                each.copy_(gain - 1 if family == "gemma2" else gain)
    drawn = torch.Generator().manual_seed(2)
    often = 1 / torch.arange(1, 99).float()
    ids = torch.multinomial(often, 224 * 24, replacement=True, generator=drawn) + 3
    return rz.load(hf, check=False), *ids.reshape(224, 24).split([160, 64])


AFTER = Address("mlp_out", 1)
RAW = BeforeNorm(AFTER)
SPARSE: dict[str, dict[str, Any]] = {
    "topk": {"activation": TopK(4)},
    "jumprelu": {"activation": JumpReLU(), "penalty": L0Step(), "target_l0": 4},
}


@cache
def coded(family: str, kind: str, at: Any) -> Dictionary:
    """A dictionary of what the MLP hands on, or of what its post-norm makes of it."""
    model, train, _ = post_normed(family)
    source = TensorSource(held_at(model, train.tolist(), [at]).values[at], str(AFTER))
    return train_dictionary(
        source, n_latents=96, samples=300 * 256, batch_size=256, **SPARSE[kind]
    ).dictionary


POST_NORMED = pytest.mark.parametrize("family", ["gemma2", "olmo2"])


@POST_NORMED
@pytest.mark.parametrize("kind", SPARSE)
def test_on_the_raw_tensor_a_dictionary_of_the_contribution_explains_less(
    family: str, kind: str
) -> None:
    model, _, text = post_normed(family)
    own = coded(family, kind, AFTER)
    fit = fit_dictionary(model, own, text=text)
    assert fit.fits, fit
    there, ratio = fit.rivals[str(RAW)]
    left, left_raw = 1 - fit.here.explained[0], 1 - there.explained[0]
    assert left_raw > 1.2 * left and ratio[2] < 1
    if kind == "jumprelu":
        apart = there.l0[0] / fit.here.l0[0]
        assert max(apart, 1 / apart) > 1.5
    held = held_at(model, text.tolist(), [RAW, AFTER]).values
    norm = model.hf.model.layers[1].post_feedforward_layernorm
    torch.testing.assert_close(norm(held[RAW]), held[AFTER])
    assert not norm._forward_pre_hooks


@POST_NORMED
@pytest.mark.parametrize("kind", SPARSE)
def test_a_dictionary_of_the_raw_tensor_is_refused_after_the_post_norm(
    family: str, kind: str
) -> None:
    model, _, text = post_normed(family)
    wrong = fit_dictionary(model, coded(family, kind, RAW), text=text)
    assert wrong.best == "L1.mlp_out before its post-norm"
    there, ratio = wrong.rivals[wrong.best]
    assert there.explained[1] > wrong.here.explained[2] and ratio[1] > SURELY_BETTER
    with pytest.raises(CheckFailed) as refused:
        wrong.need()
    assert f"at {RAW}" in refused.value.what
    assert "trained on what is added to the stream, after that norm" in refused.value.mend


def test_only_the_raw_tensor_as_a_rival_finds_it() -> None:
    """With rivals among the sites alone, this one was let through."""
    model, _, text = post_normed("gemma2")
    wrong = fit_dictionary(model, coded("gemma2", "topk", RAW), text=text)
    sites = {name: each for name, each in wrong.rivals.items() if name in map(str, model.sites)}
    assert not wrong.fits
    assert len(sites) > 10 and replace(wrong, rivals=sites, declared={}).fits


def test_a_file_that_names_the_module_is_refused_with_the_reason(tmp_path: Path) -> None:
    model, _, text = post_normed("gemma2")
    folder = tmp_path / "layers.1.mlp"
    raw = replace(coded("gemma2", "topk", RAW), weight_hash=None)
    convert_dictionary(raw, folder, format="sparsify", fold=True)
    config = json.loads((folder / "cfg.json").read_text())
    config.pop("residuum")
    (folder / "cfg.json").write_text(json.dumps(config))
    assert list(map(str, load_dictionary(folder).reads)) == ["L1.mlp_out"]
    with pytest.raises(CheckFailed, match="before its post-norm"):
        load_dictionary(folder, model, text=text)


@cache
def transcoder() -> Dictionary:
    """From what layer 2's MLP reads to what it adds."""
    model, ends = microworld(), [Address("ln2", 2), Address("mlp_out", 2)]
    rows = [model.to_tokens(each)[0].tolist() for each in islice(microworld_text(5), 1500)]
    held = held_at(model, rows, ends).values
    plan = CoderPlan(reads=(ends[0],), writes=(ends[1],), width=128, n_latents=256,
                     activation=TopK(8))  # fmt: skip
    source = TensorSource(torch.stack([held[at] for at in ends], 1), tuple(ends))
    return train_dictionary(source, plan=plan, samples=60_000, batch_size=512).dictionary


def test_a_transcoder_fits_its_two_ends_among_both_and_each_alone() -> None:
    found = fit_dictionary(microworld(), transcoder(), text=texts()[:64])
    assert found.fits and found.place == "L2.ln2 -> L2.mlp_out", found
    both, read, write = "L1.ln2 -> L1.mlp_out", "L1.ln2 -> L2.mlp_out", "L2.ln2 -> L2.attn_out"
    assert {both, read, write} <= found.rivals.keys()
    assert found.place not in found.rivals


@pytest.mark.parametrize(
    ("reads", "writes"),
    [("L1.ln2", "L1.mlp_out"), ("L2.ln2", "L1.mlp_out"), ("L2.ln2", "L2.attn_out"),
     ("L1.ln2", "L2.mlp_out")],
)  # fmt: skip
def test_a_transcoder_with_a_wrong_end_is_refused(reads: str, writes: str) -> None:
    moved = replace(transcoder(), reads=(Address.parse(reads),), writes=(Address.parse(writes),))
    with pytest.raises(CheckFailed) as refused:
        fit_dictionary(microworld(), moved, text=texts()[:64]).need()
    assert f"does not fit {reads} -> {writes}" in refused.value.what


@pytest.mark.parametrize("skip", [False, True])
def test_what_is_measured_is_the_reconstruction(skip: bool) -> None:
    drawn = torch.Generator().manual_seed(4)
    x, target = torch.randn(2, 50, 128, generator=drawn)
    weights = 0.1 * torch.randn(128, 128, generator=drawn)
    own = replace(transcoder(), W_skip=weights if skip else None)
    encoded: list[int] = []

    class Counted:
        def __getattr__(self, name: str) -> Any:
            encoded.extend([1] * (name == "encode"))
            return getattr(own, name)

    found = measured(Counted(), x, target, torch.arange(50) % 2, 2)
    error = (target - own.reconstruct(x)).double().pow(2).sum(-1)
    torch.testing.assert_close(found.error, torch.stack([error[::2].sum(), error[1::2].sum()]))
    assert found.active.sum() == (own.encode(x) != 0).sum() and len(encoded) == 1


def test_too_little_text_is_refused() -> None:
    with pytest.raises(ResiduumError, match="too few for a fit check"):
        text_of(microworld(), ["Mary went to the store ."])


def test_a_fit_is_a_result(tmp_path: Path) -> None:
    found = fitted(SITES[0])
    again = fit_dictionary(microworld(), trained(SITES[0]), text=texts())
    assert found.to_json() == again.to_json()
    table = found.to_dataframe()
    assert table.place[0] == SITES[0] and (table.low <= table.explained_variance).all()
    for suffix in ("json", "csv", "html"):
        found.save(tmp_path / f"fit.{suffix}")
        assert (tmp_path / f"fit.{suffix}").stat().st_size
    assert "fits" in repr(found)


@pytest.mark.parametrize("own", [True, False])
def test_a_claim_is_held_against_what_was_measured(own: bool) -> None:
    """.99 declared and .74 measured was once let through."""
    fit = fitted(SITES[0], own)
    assert fit.fits and 0.5 < fit.here.explained[0] < 0.9
    said = "it explains"
    lies = replace(fit, declared={"explained_variance": 0.99})
    assert len(lies.reasons) == 1 and lies.reasons[0].startswith(said)
    true = replace(fit, declared={"explained_variance": fit.here.explained[0]})
    assert true.fits
    bounds = OWN if own else GIVEN
    far = replace(fit, declared={"l0": 8 * bounds.l0_times * 1.1})
    near = replace(fit, declared={"l0": 8 * bounds.l0_times * 0.9})
    assert "were declared" in far.reasons[0] and near.fits


def test_a_place_that_explains_more_with_many_more_latents_is_no_better_one() -> None:
    model, _, text = post_normed("gemma2")
    fit = replace(fit_dictionary(model, coded("gemma2", "jumprelu", AFTER), text=text), declared={})
    l0 = fit.here.l0[0]

    def refused(latents: float, ratio: float, **declared: float) -> bool:
        there = Measured((latents, latents, latents), (0.9, 0.9, 0.9))
        other = {"L2.mlp_out": (there, (ratio, 0.9 * ratio, 1.1 * ratio))}
        return replace(fit, rivals=other, declared=declared).best is not None

    assert fit.fits
    assert refused(l0, 1.4) and not refused(l0, 1.1)
    assert not refused(3 * l0, 1.4) and refused(3 * l0, 4.0)
    assert refused(3 * l0, 1.4, l0=3 * l0)
