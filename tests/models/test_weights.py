from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.core import AddressError
from residuum.models import WEIGHT_NAMES

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import CONFIGS, build

torch.set_num_threads(1)
NAMES = tuple(CONFIGS)
MIXTURES = ("mixtral", "qwen3_moe", "gpt_oss")
QKV_BIAS = (
    *("gpt2", "gpt2_scaled", "gpt_neox", "gpt_neox_sequential", "opt", "bloom", "falcon_alibi"),
    *("qwen2", "phi", "starcoder2", "gpt_oss", "bert"),
)
POST_NORMS = ("gemma2", "gemma3_text", "olmo2", "olmo3")
ACTS = {
    "gelu_new": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
    "relu": torch.nn.functional.relu,
}


@cache
def looked_at(name):
    """The model in float64, and one run with every site."""
    model = rz.load(build(name, torch.float64))
    ids = torch.randint(3, 101, (2, 7), generator=torch.Generator().manual_seed(4))
    return model, model.run(ids, capture=list(model.sites))


def gap(found, expected):
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_the_fields(name):
    model, _ = looked_at(name)
    d = model.dims
    for layer in range(d.n_layers):
        assert model.W_Q[layer].shape == (d.n_heads, d.d_model, d.d_head)
        for each in (model.W_K, model.W_V):
            assert each[layer].shape == (d.n_kv_heads, d.d_model, d.d_head)
        assert model.W_O[layer].shape == (d.n_heads, d.d_head, d.d_model)
    assert model.W_E.shape == (d.d_vocab, d.d_model)
    assert model.W_U.shape == (d.d_model, d.d_vocab)
    assert model.W_Q.stack().shape == (d.n_layers, d.n_heads, d.d_model, d.d_head)
    assert len(model.W_Q) == len(list(model.W_Q)) == d.n_layers
    assert torch.equal(model.W_Q[-1], model.W_Q[d.n_layers - 1])


@pytest.mark.parametrize("name", NAMES)
def test_queries_keys_and_values_from_named_weights(name):
    model, run = looked_at(name)
    rotary_free = name in ("gpt2", "gpt2_scaled", "opt", "gpt_neo", "bloom", "falcon_alibi", "bert")
    for layer in range(model.n_layers):
        source = run["resid_pre" if name in ("olmo2", "olmo3", "bert") else "ln1", layer]
        sites = {"Q": "q_pre", "K": "k_pre", "V": "v"}
        for letter, site in sites.items():
            weight = getattr(model, f"W_{letter}")[layer]
            made = torch.einsum("bpm,hmd->bphd", source, weight)
            if name in QKV_BIAS:
                bias = getattr(model, f"b_{letter}")[layer]
                assert bias.shape == weight.shape[::2]
                made = made + bias
            else:
                with pytest.raises(AddressError, match=f"block {layer} has no b_{letter}"):
                    _ = getattr(model, f"b_{letter}")[layer]
            assert gap(run[site, layer], made) < 1e-10, site
        if rotary_free:
            assert gap(run["k", layer], run["k_pre", layer]) < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_attention_output_from_named_weights(name):
    model, run = looked_at(name)
    for layer in range(model.n_layers):
        made = torch.einsum("bphd,hdm->bpm", run["z", layer], model.W_O[layer])
        if getattr(model.adapted.parts.layers[layer].o_proj, "bias", None) is not None:
            made = made + model.b_O[layer]
        else:
            with pytest.raises(AddressError, match="has no b_O"):
                _ = model.b_O[layer]
        if name in POST_NORMS:
            with torch.no_grad():
                made = model.hf.model.layers[layer].post_attention_layernorm(made)
        if name == "granite":
            made = made * 0.5
        assert gap(run["attn_out", layer], made) < (2e-6 if name in POST_NORMS else 1e-10)


def activation(model, layer):
    config = model.hf.config
    name = next(
        value
        for key in ("hidden_activation", "activation_function", "hidden_act", "activation")
        if (value := getattr(config, key, None))
    )
    if name == "silu" or name == "swish":
        return torch.nn.functional.silu
    from transformers.activations import ACT2FN

    return ACT2FN[name]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("mixtral", "gpt_oss")])
def test_mlp_outputs_from_named_weights(name):
    model, run = looked_at(name)
    for layer in range(model.n_layers):
        if name == "qwen3_moe" and layer != 1:
            continue
        d_model, d_mlp = model.W_in[layer].shape
        assert (d_model, d_mlp) == (model.dims.d_model, model.dims.d_mlp)
        assert model.W_out[layer].shape == (d_mlp, d_model)
        biased = getattr(model.adapted.parts.layers[layer].mlp_out, "bias", None) is not None
        site = {True: "ln2", False: "ln1"}["ln2" in model.report.sites]
        if name in ("olmo2", "olmo3"):
            site = "resid_mid"
        source = run["resid_mid" if name == "bert" else site, layer]
        made = source @ model.W_in[layer]
        made = made + model.b_in[layer] if biased else made
        act = activation(model, layer) if name not in ("bloom",) else None
        if "mlp_lin" in model.report.sites:
            gate = source @ model.W_gate[layer]
            assert gap(run["mlp_pre", layer], gate) < 1e-10
            assert gap(run["mlp_lin", layer], made) < 1e-10
            made = act(gate) * made
        else:
            with pytest.raises(AddressError, match="has no W_gate"):
                _ = model.W_gate[layer]
            assert gap(run["mlp_pre", layer], made) < 1e-10
            made = run["mlp_act", layer] if act is None else act(made)
        assert gap(run["mlp_act", layer], made) < 1e-9
        made = made @ model.W_out[layer]
        made = made + model.b_out[layer] if biased else made
        if name in POST_NORMS:
            with torch.no_grad():
                made = model.hf.model.layers[layer].post_feedforward_layernorm(made)
        made = made * 0.5 if name == "granite" else made
        assert gap(run["mlp_out", layer], made) < (2e-6 if name in POST_NORMS else 1e-9)


@pytest.mark.parametrize("name", MIXTURES)
def test_experts_from_named_weights(name):
    model, run = looked_at(name)
    for layer in range(model.n_layers):
        if name == "qwen3_moe" and layer == 1:
            continue
        source, experts = run["ln2", layer], model.hf.model.layers[layer].mlp.experts
        w_gate, w_in, w_out = (w[layer] for w in (model.W_gate, model.W_in, model.W_out))
        assert w_in.shape == w_gate.shape and w_in.shape[:2] == (4, 32)
        assert w_out.shape == (4, w_in.shape[2], 32)
        gate = torch.einsum("bpm,emn->bpen", source, w_gate)
        up = torch.einsum("bpm,emn->bpen", source, w_in)
        if name == "gpt_oss":
            bias = experts.gate_up_proj_bias.detach()
            gate = (gate + bias[:, ::2]).clamp(max=experts.limit)
            up = (up + bias[:, 1::2]).clamp(-experts.limit, experts.limit)
            hidden = (up + 1) * gate * torch.sigmoid(gate * experts.alpha)
            outs = torch.einsum("bpen,enm->bpem", hidden, w_out) + experts.down_proj_bias.detach()
        else:
            hidden = torch.nn.functional.silu(gate) * up
            outs = torch.einsum("bpen,enm->bpem", hidden, w_out)
        made = outs * run["router", layer].unsqueeze(-1)
        assert gap(run["expert_out", layer], made) < 1e-9
        assert gap(run["mlp_out", layer], made.sum(2)) < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_norms_and_ends(name):
    model, run = looked_at(name)
    layers = model.adapted.parts.layers
    for layer in range(model.n_layers):
        for number, norm in (("1", layers[layer].ln1), ("2", layers[layer].ln2)):
            for letter, key in (("w", "weight"), ("b", "bias")):
                expected = getattr(norm, key, None)
                if expected is None:
                    with pytest.raises(AddressError, match=f"no {letter}_ln{number}"):
                        _ = getattr(model, f"{letter}_ln{number}")[layer]
                else:
                    assert torch.equal(getattr(model, f"{letter}_ln{number}")[layer], expected)
    if name in ("gpt2", "gpt_neo"):
        assert gap(run["pos_embed"][0], model.W_pos[:7]) == 0
    if name not in ("gemma", "gemma2", "gemma3_text", "granite", "bloom"):
        assert gap(run["embed"], model.W_E[run.ids]) == 0
    biased = name in ("phi", "gptj", "bert")
    if not biased:
        with pytest.raises(AddressError, match="no b_U"):
            _ = model.b_U
    if name in ("llama", "gpt2", "gptj", "phi"):
        made = run["ln_final"] @ model.W_U + (model.b_U if biased else 0)
        assert gap(run.logits, made) < 1e-10


def test_names_that_do_not_exist():
    model, _ = looked_at("llama")
    with pytest.raises(AttributeError, match="W_Q"):
        _ = model.W_X
    with pytest.raises(AddressError, match="no W_pos"):
        _ = model.W_pos
    with pytest.raises(AddressError, match="layer 3 is out of range"):
        _ = model.W_Q[3]
    with pytest.raises(AddressError, match="layer -4 is out of range"):
        _ = model.W_Q[-4]
    for name in WEIGHT_NAMES:
        assert hasattr(type(model), "__getattr__") and isinstance(name, str)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom", "gpt_oss", "bert"])
def test_every_name_prints_and_none_needs_gradients(name):
    model, _ = looked_at(name)
    for each in WEIGHT_NAMES:
        try:
            value = getattr(model, each)
        except AddressError as error:
            assert error.mend
            continue
        assert each in repr(value) or isinstance(value, torch.Tensor)
        if isinstance(value, torch.Tensor):
            assert not value.requires_grad
            continue
        for layer in range(model.n_layers):
            try:
                assert not value[layer].requires_grad
            except AddressError as error:
                assert error.mend and each in str(error)
