from __future__ import annotations

import pytest
import torch
from configs import CAUSAL
from tiny import at, gap, loaded, random_ids

import residuum as rz
from residuum.core import ALIASES, SITES, Address, AddressError

POS, HEADS, KV, D_HEAD, D_MODEL, D_MLP, VOCAB = 8, 4, 2, 8, 32, 48, 101
LLAMA_SHAPES = {
    "hook_embed": ("embed", (1, POS, D_MODEL)),
    "blocks.1.hook_resid_pre": ("L1.resid_pre", (1, POS, D_MODEL)),
    "blocks.1.hook_q_input": ("L1.q_in", (1, POS, HEADS, D_MODEL)),
    "blocks.1.hook_k_input": ("L1.k_in", (1, POS, KV, D_MODEL)),
    "blocks.1.hook_v_input": ("L1.v_in", (1, POS, KV, D_MODEL)),
    "blocks.1.attn.hook_q": ("L1.q_pre", (1, POS, HEADS, D_HEAD)),
    "blocks.1.attn.hook_k": ("L1.k_pre", (1, POS, KV, D_HEAD)),
    "blocks.1.attn.hook_v": ("L1.v", (1, POS, KV, D_HEAD)),
    "blocks.1.attn.hook_rot_q": ("L1.q", (1, POS, HEADS, D_HEAD)),
    "blocks.1.attn.hook_rot_k": ("L1.k", (1, POS, KV, D_HEAD)),
    "blocks.1.attn.hook_attn_scores": ("L1.scores", (1, HEADS, POS, POS)),
    "blocks.1.attn.hook_pattern": ("L1.pattern", (1, HEADS, POS, POS)),
    "blocks.1.attn.hook_z": ("L1.z", (1, POS, HEADS, D_HEAD)),
    "blocks.1.attn.hook_result": ("L1.head_out", (1, POS, HEADS, D_MODEL)),
    "blocks.1.hook_attn_out": ("L1.attn_out", (1, POS, D_MODEL)),
    "blocks.1.hook_resid_mid": ("L1.resid_mid", (1, POS, D_MODEL)),
    "blocks.1.hook_mlp_in": ("L1.mlp_in", (1, POS, D_MODEL)),
    "blocks.1.mlp.hook_pre": ("L1.mlp_pre", (1, POS, D_MLP)),
    "blocks.1.mlp.hook_pre_linear": ("L1.mlp_lin", (1, POS, D_MLP)),
    "blocks.1.mlp.hook_post": ("L1.mlp_act", (1, POS, D_MLP)),
    "blocks.1.hook_mlp_out": ("L1.mlp_out", (1, POS, D_MODEL)),
    "blocks.1.hook_resid_post": ("L1.resid_post", (1, POS, D_MODEL)),
}


def test_the_table_holds_every_alias():
    names = {name.removeprefix("blocks.1.") for name in LLAMA_SHAPES}
    assert names | {"hook_pos_embed"} == set(ALIASES)


@pytest.mark.parametrize(
    "name",
    ["blocks.1.ln1.hook_normalized", "blocks.1.ln2.hook_normalized", "ln_final.hook_normalized",
     "unembed.hook_out"],
)  # fmt: skip
def test_names_of_other_tensors_are_refused(name):
    model = loaded("llama")
    with pytest.raises(AddressError, match="no counterpart"):
        model.run(random_ids(1, POS), capture=[name])
    with pytest.raises(AddressError, match="no counterpart"):
        rz.Zero(name)


@pytest.mark.parametrize("name", LLAMA_SHAPES)
def test_names_mean_the_same_site_with_their_shapes(name):
    ours, shape = LLAMA_SHAPES[name]
    model = loaded("llama")
    ids = random_ids(1, POS)
    run = model.run(ids, capture=[name])
    assert list(run.captured) == [Address.parse(ours)]
    assert tuple(run[name].shape) == tuple(run[ours].shape) == shape
    address = Address.parse(ours)
    if address.layer is not None:
        short = name.split(".", 2)[2]
        assert torch.equal(run[short, 1], run[ours])
        assert torch.equal(run[f"{name}@-1"], run[f"{ours}@-1"])
        assert torch.equal(run[address.name, 1], run[ours])
        moved = model.run(ids, edits=[rz.Zero(name)])
        assert torch.equal(moved.logits, model.run(ids, edits=[rz.Zero(ours)]).logits)


@pytest.mark.parametrize("name", CAUSAL)
def test_shapes_of_every_site_of_every_family(name):
    model = loaded(name)
    d = model.dims
    run = model.run(random_ids(2, POS), capture=list(model.sites))
    sizes = {"batch": 2, "pos": POS, "q_pos": POS, "k_pos": POS, "d_vocab": d.d_vocab}
    sizes |= {"d_model": d.d_model, "d_head": d.d_head, "expert": d.n_experts, "d_mlp": d.d_mlp}
    grouped = ("k", "v", "k_pre", "k_in", "v_in")
    for address, value in run.captured.items():
        heads = d.n_kv_heads if address.name in grouped else d.n_heads
        expected = [(sizes | {"head": heads})[dim] for dim in SITES[address.name].dims]
        assert list(value.shape) == expected, address


def rotated(x, base, width):
    """Rotary embedding by halves over the first ``width`` numbers, written out."""
    pos = torch.arange(x.shape[1]).double()
    rates = base ** (-torch.arange(0, width, 2).double() / width)
    angles = (pos[:, None] * rates[None]).repeat(1, 2)[None, :, None]
    turned, rest = x[..., :width], x[..., width:]
    half = torch.cat([-turned[..., width // 2 :], turned[..., : width // 2]], -1)
    return torch.cat([turned * angles.cos() + half * angles.sin(), rest], -1)


def base_of(model):
    config = model.hf.config
    return (config.rope_parameters or {}).get("rope_theta", 10000.0)


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen2", "gemma", "gpt_neox", "phi3"])
def test_queries_before_and_after_rotary(name):
    model = loaded(name, torch.float64)
    run = model.run(random_ids(2, POS), capture=list(model.sites))
    share = 0.25 if name == "gpt_neox" else 1.0
    width = int(model.dims.d_head * share)
    for layer in range(model.n_layers):
        v = at(run, layer)
        for slot in "qk":
            made = torch.einsum(
                "bpm,hmd->bphd", v["ln1"], getattr(model, f"W_{slot.upper()}")[layer]
            )
            if name in ("qwen2", "gpt_neox"):
                made = made + getattr(model, f"b_{slot.upper()}")[layer]
            assert gap(v[f"{slot}_pre"], made) < 1e-10
            assert gap(v[slot], rotated(made, base_of(model), width)) < 1e-6
            assert gap(v[slot][:, 0], made[:, 0]) < 1e-10
            assert (v[slot][:, 1:] - made[:, 1:]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["gpt2", "opt", "bloom", "gpt_neo"])
def test_queries_without_rotary(name):
    model = loaded(name, torch.float64)
    run = model.run(random_ids(2, POS), capture=["q", "k", "q_pre", "k_pre"])
    for layer in range(model.n_layers):
        scale = 8**-0.5 if name == "opt" else 1.0  # OPT scales its queries, not its scores
        assert gap(run["q", layer], run["q_pre", layer] * scale) < 1e-10
        assert gap(run["k", layer], run["k_pre", layer]) < 1e-10


@pytest.mark.parametrize("name", ["qwen3", "gemma3_text", "stablelm"])
def test_query_norms_come_after_hook_q(name):
    model = loaded(name, torch.float64)
    run = model.run(random_ids(2, POS), capture=["q_pre", "ln1", "q"])
    for layer in range(model.n_layers):
        made = torch.einsum("bpm,hmd->bphd", run["ln1", layer], model.W_Q[layer])
        assert gap(run["q_pre", layer], made) < 1e-10
        attn = model.hf.model.layers[layer].self_attn
        norm = attn.q_layernorm if name == "stablelm" else attn.q_norm
        by_head = run["q_pre", layer].transpose(1, 2)
        normed = norm(by_head).transpose(1, 2)
        assert gap(run["q", layer][:, 0], normed[:, 0].detach()) < 2e-6


def test_results_and_outputs_of_llama():
    model = loaded("llama", torch.float64)
    run = model.run(random_ids(2, POS), capture=list(model.sites))
    for layer in range(model.n_layers):
        v = at(run, layer)
        block = model.hf.model.layers[layer]
        with torch.no_grad():
            assert gap(v["ln1"], block.input_layernorm(v["resid_pre"])) == 0
            assert gap(v["ln2"], block.post_attention_layernorm(v["resid_mid"])) == 0
            assert gap(v["mlp_pre"], block.mlp.gate_proj(v["ln2"])) < 1e-10
            assert gap(v["mlp_lin"], block.mlp.up_proj(v["ln2"])) < 1e-10
            act = torch.nn.functional.silu(v["mlp_pre"]) * v["mlp_lin"]
            assert gap(v["mlp_act"], act) < 1e-10
            assert gap(v["mlp_out"], block.mlp(v["ln2"])) < 1e-10
            values = torch.einsum("bpm,hmd->bphd", v["ln1"], model.W_V[layer])
            assert gap(v["v"], values) < 1e-10
            result = torch.einsum("bphd,hdm->bphm", v["z"], model.W_O[layer])
            assert gap(v["head_out"], result) < 1e-10
            assert gap(v["attn_out"], result.sum(2)) < 1e-10


def test_parallel_blocks_have_no_middle():
    for name in ("gptj", "gpt_neox", "phi", "cohere", "falcon"):
        with pytest.raises(AddressError, match="no site"):
            loaded(name).run(random_ids(1, 4), capture=["blocks.0.hook_resid_mid"])


def test_what_gpt2_adds_holds_the_bias():
    model = loaded("gpt2", torch.float64)
    run = model.run(
        random_ids(2, POS), capture=["hook_attn_out", "hook_result", "hook_mlp_out", "hook_post"]
    )
    for layer in range(model.n_layers):
        total = run["head_out", layer].sum(2) + model.b_O[layer]
        assert gap(run["attn_out", layer], total) < 1e-10
        made = run["mlp_act", layer] @ model.W_out[layer] + model.b_out[layer]
        assert gap(run["mlp_out", layer], made) < 1e-10
