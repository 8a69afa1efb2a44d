"""The native model against a plain-tensor forward pass, itself on disk, and a trained organism."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from residuum.core import LoadError, OptionError, TokenError
from residuum.models.native import (
    NativeConfig,
    NativeForCausalLM,
    load_native_folder,
    native_from_transformer_lens,
    native_to_transformer_lens,
)

ATTENTION_ONLY = dict(n_layers=2, d_model=12, n_heads=3, d_head=5, d_vocab=11, n_ctx=9)
KINDS = {
    "attention_only": {},
    "no_positions": dict(positions=None),
    "layernorm": dict(normalization="layernorm"),
    "mlp_relu": dict(d_mlp=20),
    "everything": dict(
        d_mlp=20, act="gelu", normalization="layernorm", unembed_bias=True, d_vocab_out=7
    ),
    "no_biases": dict(d_mlp=20, attn_bias=False, mlp_bias=False),
    "scaled": dict(attn_scale=1.0),
}


def random_model(dtype: torch.dtype = torch.float64, **options) -> NativeForCausalLM:
    """A model whose every parameter, biases and norms too, is drawn with seed 0."""
    model = NativeForCausalLM(NativeConfig(**{**ATTENTION_ONLY, **options}))
    model.to(dtype).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=dtype) * 0.4)
    return model


def random_ids(batch: int = 3, pos: int = 6, seed: int = 1) -> Tensor:
    return torch.randint(0, 11, (batch, pos), generator=torch.Generator().manual_seed(seed))


def plain_norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    if f"{name}.w" not in w:
        return x
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return x * w[f"{name}.w"] + w[f"{name}.b"]


def plain_forward(
    w: dict[str, Tensor], ids: Tensor, act: str, scale: float | None = None
) -> Tensor:
    """Logits from tensors under TransformerLens's names; shares no code with the model."""
    x = w["embed.W_E"][ids]
    if "pos_embed.W_pos" in w:
        x = x + w["pos_embed.W_pos"][: ids.shape[1]]
    future = torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool()
    for layer in itertools.count():
        block = f"blocks.{layer}"
        if f"{block}.attn.W_Q" not in w:
            break
        h = plain_norm(w, f"{block}.ln1", x)
        q, k, v = (
            torch.einsum("bpm,hmd->bphd", h, w[f"{block}.attn.W_{c}"])
            + w.get(f"{block}.attn.b_{c}", torch.zeros(()))
            for c in "QKV"
        )
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * (scale or q.shape[-1] ** -0.5)
        pattern = scores.masked_fill(future, float("-inf")).softmax(-1)
        z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
        x = x + torch.einsum("bqhd,hdm->bqm", z, w[f"{block}.attn.W_O"])
        x = x + w.get(f"{block}.attn.b_O", torch.zeros(()))
        if f"{block}.mlp.W_in" in w:
            h = plain_norm(w, f"{block}.ln2", x) @ w[f"{block}.mlp.W_in"]
            h = h + w.get(f"{block}.mlp.b_in", torch.zeros(()))
            h = h.clamp(min=0) if act == "relu" else h * (1 + torch.erf(h / 2**0.5)) / 2
            x = x + h @ w[f"{block}.mlp.W_out"] + w.get(f"{block}.mlp.b_out", torch.zeros(()))
    x = plain_norm(w, "ln_final", x)
    return x @ w["unembed.W_U"] + w.get("unembed.b_U", torch.zeros(()))


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_a_plain_forward_pass(kind: str, kernel: str) -> None:
    model = random_model(**KINDS[kind])
    model.set_attn_implementation(kernel)
    ids = random_ids()
    weights = native_to_transformer_lens(model)
    expected = plain_forward(weights, ids, model.config.act, KINDS[kind].get("attn_scale"))
    torch.testing.assert_close(model(ids).logits, expected, rtol=1e-10, atol=1e-10)
    assert expected.std() > 0.1


@settings(max_examples=15, deadline=None)
@given(
    n_layers=st.integers(1, 3),
    n_heads=st.integers(1, 3),
    d_head=st.integers(1, 5),
    d_mlp=st.sampled_from([None, 4]),
    normalization=st.sampled_from([None, "layernorm"]),
    positions=st.sampled_from([None, "learned"]),
    pos=st.integers(1, 9),
)
def test_any_shape_equals_a_plain_forward_pass(pos: int, **options) -> None:
    model = random_model(**options)
    ids = random_ids(2, pos)
    expected = plain_forward(native_to_transformer_lens(model), ids, "relu")
    torch.testing.assert_close(model(ids).logits, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_transformer_lens_round_trip(kind: str) -> None:
    model = random_model(**KINDS[kind])
    state = native_to_transformer_lens(model)
    state["blocks.0.attn.mask"] = torch.ones(9, 9).bool()
    state["blocks.1.attn.IGNORE"] = torch.tensor(float("-inf"))
    again = native_from_transformer_lens(
        state, n_ctx=9, act=model.config.act, attn_scale=model.config.attn_scale
    )
    ids = random_ids()
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert again.config.d_mlp == model.config.d_mlp
    assert again.config.normalization == model.config.normalization


@pytest.mark.parametrize("kind", KINDS)
def test_folder_round_trip(kind: str, tmp_path: Path) -> None:
    model = random_model(torch.float32, **KINDS[kind])
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="sdpa")
    assert isinstance(again, NativeForCausalLM)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), NativeConfig)
    assert again.config.to_dict() == AutoConfig.from_pretrained(tmp_path).to_dict() | {
        "architectures": ["NativeForCausalLM"],
        "dtype": again.config.to_dict()["dtype"],
    }
    assert torch.equal(again(random_ids()).logits, model(random_ids()).logits)


def test_tied_unembedding_stays_tied(tmp_path: Path) -> None:
    model = random_model(torch.float32, tie_word_embeddings=True)
    model.tie_weights()
    assert model.lm_head.weight is model.model.embed.weight
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.lm_head.weight is again.model.embed.weight
    assert torch.equal(again(random_ids()).logits, model(random_ids()).logits)


@pytest.mark.parametrize("kind", ["attention_only", "no_positions", "mlp_relu"])
def test_generation_with_cache_equals_without(kind: str) -> None:
    model = random_model(**KINDS[kind])
    ids = random_ids(3, 4)
    with_cache = model.generate(ids, max_new_tokens=5, do_sample=False, use_cache=True)
    without = model.generate(ids, max_new_tokens=5, do_sample=False, use_cache=False)
    assert torch.equal(with_cache, without)
    step = ids
    for _ in range(5):
        step = torch.cat([step, model(step).logits[:, -1:].argmax(-1)], 1)
    assert torch.equal(step, with_cache)


def test_left_padding_equals_a_single_prompt() -> None:
    model = random_model()
    ids = random_ids(1, 5)
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), ids], 1)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    position_ids = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(padded, attention_mask=mask, position_ids=position_ids).logits[:, 3:]
    torch.testing.assert_close(logits, model(ids).logits)


def test_logits_to_keep_and_recorded_states() -> None:
    model = random_model()
    model.set_attn_implementation("eager")
    ids = random_ids()
    out = model(ids, logits_to_keep=2, output_attentions=True, output_hidden_states=True)
    full = model(ids).logits
    torch.testing.assert_close(out.logits, full[:, -2:])
    some = model(ids, logits_to_keep=torch.tensor([0, 3])).logits
    torch.testing.assert_close(some, full[:, [0, 3]])
    assert len(out.attentions) == 2 and len(out.hidden_states) == 3
    torch.testing.assert_close(out.attentions[0].sum(-1), torch.ones(3, 3, 6).double())


def test_loss_is_the_mean_next_token_loss() -> None:
    model, ids = random_model(), random_ids()
    out = model(ids, labels=ids)
    log_probs = out.logits[:, :-1].log_softmax(-1)
    expected = -log_probs.gather(-1, ids[:, 1:, None]).mean()
    torch.testing.assert_close(out.loss.double(), expected, rtol=1e-5, atol=1e-5)


def test_patterns_of_a_kernel_without_them_are_refused() -> None:
    model = random_model()
    model.set_attn_implementation("sdpa")
    with pytest.raises(OptionError, match="does not hand out attention patterns"):
        model(random_ids(), output_attentions=True)


def test_too_long_a_prompt_is_refused() -> None:
    with pytest.raises(TokenError, match="10 tokens do not fit a context of 9"):
        random_model()(random_ids(1, 10))
    assert random_model(positions=None)(random_ids(1, 10)).logits.shape == (1, 10, 11)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (dict(n_head=3), "unknown option of a native model: n_head"),
        (dict(act="swish2"), "act='swish2' is not a choice"),
        (dict(normalization="rms"), "normalization='rms'"),
        (dict(n_layers=0), "n_layers=0 is not positive"),
        (dict(tie_word_embeddings=True, d_vocab_out=3), "tied unembedding needs"),
    ],
)
def test_wrong_configurations_are_refused(options: dict, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        NativeConfig(**options)


def test_missing_and_unknown_tensors_are_named() -> None:
    state = native_to_transformer_lens(random_model(d_mlp=8))
    with pytest.raises(LoadError, match=r"unknown tensors: blocks.0.mlp.W_gate"):
        extra = {**state, "blocks.0.mlp.W_gate": torch.zeros(12, 8)}
        native_from_transformer_lens(extra, act="relu")
    with pytest.raises(LoadError, match=r"missing tensors: blocks.1.attn.b_K"):
        fewer = {name: t for name, t in state.items() if name != "blocks.1.attn.b_K"}
        native_from_transformer_lens(fewer, act="relu")
    with pytest.raises(LoadError, match="does not say its activation"):
        native_from_transformer_lens(state)
    with pytest.raises(LoadError, match=r"missing tensors: unembed.W_U"):
        native_from_transformer_lens({n: t for n, t in state.items() if "unembed" not in n})
    with pytest.raises(LoadError, match=r"blocks.1.attn.W_Q has shape"):
        bent = {**state, "blocks.1.attn.W_Q": torch.zeros(12, 15)}
        native_from_transformer_lens(bent, act="relu")
    with pytest.raises(LoadError, match="context length is unknown"):
        bare = {n: t for n, t in state.items() if "W_pos" not in n}
        native_from_transformer_lens(bare, act="relu")


def test_a_folded_layernorm_can_be_asked_for() -> None:
    plain = random_model()
    state = native_to_transformer_lens(plain)
    folded = native_from_transformer_lens(state, normalization="layernorm")
    for layer in range(2):
        state[f"blocks.{layer}.ln1.w"] = torch.ones(12).double()
        state[f"blocks.{layer}.ln1.b"] = torch.zeros(12).double()
    state["ln_final.w"] = torch.ones(12).double()
    state["ln_final.b"] = torch.zeros(12).double()
    expected = plain_forward(state, random_ids(), "relu")
    torch.testing.assert_close(folded(random_ids()).logits, expected)
    assert not torch.allclose(expected, plain(random_ids()).logits)


def test_folders_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"no model\.safetensors"):
        load_native_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(LoadError, match="cannot be read"):
        load_native_folder(tmp_path)
    save_file(native_to_transformer_lens(random_model()), tmp_path / "model.safetensors")
    assert load_native_folder(tmp_path).config.n_heads == 3


@pytest.fixture(scope="module")
def induction_cases() -> tuple[Tensor, Tensor, Tensor]:
    """4,000 cases, seed 0: seven distinct letters, then one of the first six again.

    Returns ids [4000, 8], where the repeated letter first stood, and what followed it there.
    """
    generator = torch.Generator().manual_seed(0)
    n = 4000
    first = torch.stack([torch.randperm(26, generator=generator)[:7] for _ in range(n)])
    at = torch.randint(0, 6, (n,), generator=generator)
    rows = torch.arange(n)
    return torch.cat([first, first[rows, at, None]], 1), at, first[rows, at + 1]


def test_trained_induction_organism(
    test_data: Path, induction_cases: tuple[Tensor, Tensor, Tensor]
) -> None:
    ids, at, answers = induction_cases
    model = load_native_folder(test_data / "gbmi_indhead")
    model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model(ids, output_attentions=True)
    right = (out.logits[:, -1].argmax(-1) == answers).float().mean()
    assert right >= 0.97
    previous = out.attentions[0][:, 0].diagonal(offset=-1, dim1=1, dim2=2).mean()
    assert abs(previous - 0.74) <= 0.05
    after_first = out.attentions[1][torch.arange(len(ids)), 0, -1, at + 1].mean()
    assert abs(after_first - 0.89) <= 0.05
