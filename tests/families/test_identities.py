from __future__ import annotations

import pytest
import torch
from tiny import BOTH, MIXTURES, NAMES, PARALLEL, POST_NORMS, at, bound, gap, loaded, random_ids

from residuum.core import SITES

EVERYWHERE = {
    "logits with everything captured = bare logits",
    "logits = unembed(ln_final)",
    "resid_post = next resid_pre",
    "z = pattern · v",
    "Σ head_out + bias = attn_out",
    "the layer seam rebuilds every block, forward and gradient",
}
OWN_CODE = {  # compared with the model's own code, which computes in float32 inside
    "logits with everything captured = bare logits",
    "the layer seam rebuilds every block, forward and gradient",
}


def everything(name, dtype, rows=2):
    model = loaded(name, dtype)
    return model, model.run(random_ids(rows, 8), capture=list(model.sites))


def expected_names(name):
    names = set(EVERYWHERE)
    if name == "gpt_oss":
        names.add("pattern rows sum to 1 - sink")
    else:
        names.add("pattern rows sum to 1")
    if name in PARALLEL:
        names.add("resid_post = resid_pre + attn_out + mlp_out")
    elif name == "bert":
        names |= {
            "resid_mid = norm(resid_pre + attn_out)",
            "resid_post = norm(resid_mid + mlp_out)",
        }
    else:
        names |= {"resid_mid = resid_pre + attn_out", "resid_post = resid_mid + mlp_out"}
    if name != "bert":
        learned = name in ("gpt2", "gpt2_scaled", "gpt_neo", "opt")
        names.add("L0.resid_pre = embed" + (" + pos_embed" if learned else ""))
    if name in MIXTURES:
        names.add("Σ expert_out = mlp_out")
    reads = "resid_pre" if name in ("olmo2", "olmo3", "bert") else "ln1"
    names |= {f"{slot}_pre = {reads} · W_{slot.upper()} + b" for slot in "qk"}
    return names


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_report_proves_every_identity(name, dtype):
    report = loaded(name, dtype).report
    checks = {check.name: check for check in report.checks}
    assert expected_names(name) <= checks.keys()
    for each in checks.values():
        assert each.passed, each
        if not each.name.startswith("changing "):
            own = max(bound(dtype), 2e-6) if each.name in OWN_CODE else bound(dtype)
            assert each.gap <= own, each
    assert report.passed and report.refused == {} and not report.guessed
    assert report.seam_proven


@pytest.mark.parametrize("name", NAMES)
def test_sites_are_those_of_the_architecture(name):
    model = loaded(name)
    found = set(model.report.sites)
    absent = {"router", "expert_out"} if name not in MIXTURES else set()
    if name in PARALLEL:
        absent.add("resid_mid")
    if name in PARALLEL and name != "falcon" and not name.startswith("gpt_neox"):
        absent.add("ln2")
    if name in ("olmo2", "olmo3", "bert"):
        absent |= {"ln1", "ln2"}
    if name in ("mixtral", "gpt_oss"):
        absent |= {"mlp_pre", "mlp_lin", "mlp_act"}
    if name not in ("gpt2", "gpt2_scaled", "gpt_neo", "opt", "bert"):
        absent.add("pos_embed")
    plain = name.startswith(("gpt", "bloom", "falcon", "opt", "bert")) or name == "phi"
    if (plain and name != "gpt_oss") or name in ("starcoder2", "nemotron"):
        absent.add("mlp_lin")
    assert set(SITES) - found == absent


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_stream_adds_up(name, dtype):
    model, run = everything(name, dtype)
    for layer in range(model.n_layers):
        v = at(run, layer)
        pre, attn, mlp, post = v["resid_pre"], v["attn_out"], v["mlp_out"], v["resid_post"]
        if name in PARALLEL:
            assert "resid_mid" not in v
            assert gap(post, pre + attn + mlp, pre, attn, mlp) < bound(dtype)
        elif name == "bert":
            block = model.hf.bert.encoder.layer[layer]
            with torch.no_grad():
                middle = block.attention.output.LayerNorm(pre + attn)
                after = block.output.LayerNorm(middle + mlp)
            assert gap(v["resid_mid"], middle) < bound(dtype)
            assert gap(post, after) < bound(dtype)
        else:
            assert gap(v["resid_mid"], pre + attn, pre, attn) < bound(dtype)
            assert gap(post, v["resid_mid"] + mlp, pre, attn, mlp) < bound(dtype)
            assert torch.equal(v["mlp_in"], v["resid_mid"])
        heads = model.n_heads
        assert torch.equal(v["q_in"], pre.unsqueeze(2).expand(-1, -1, heads, -1))
        if layer + 1 < model.n_layers:
            assert torch.equal(post, run["resid_pre", layer + 1])


def sub_layer_outputs(model, ids):
    """What each block's attention and MLP modules return, by hooks of the test's own."""
    seen, handles = {}, []
    for index, part in enumerate(model.adapted.parts.layers):
        for key, module in (("o", part.o_proj), ("mlp", part.mlp)):
            if module is None:
                continue

            def keep(_, args, out, index=index, key=key):
                seen[index, key] = out[0] if isinstance(out, tuple) else out

            handles.append(module.register_forward_hook(keep))
    with torch.no_grad():
        model.hf(ids)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", POST_NORMS)
def test_what_a_post_norm_adds(name, dtype):
    model, run = everything(name, dtype)
    seen = sub_layer_outputs(model, run.ids)
    for layer in range(model.n_layers):
        block, v = model.hf.model.layers[layer], at(run, layer)
        with torch.no_grad():
            attn = block.post_attention_layernorm(seen[layer, "o"])
            mlp = block.post_feedforward_layernorm(seen[layer, "mlp"])
        assert gap(v["attn_out"], attn) < max(bound(dtype), 2e-6)
        assert gap(v["mlp_out"], mlp) < max(bound(dtype), 2e-6)


@pytest.mark.parametrize("dtype", BOTH, ids=str)
def test_what_granite_adds_is_multiplied(dtype):
    model, run = everything("granite", dtype)
    seen = sub_layer_outputs(model, run.ids)
    assert model.hf.config.residual_multiplier == 0.5
    for layer in range(model.n_layers):
        assert gap(run["attn_out", layer], 0.5 * seen[layer, "o"]) < max(bound(dtype), 2e-6)
        assert gap(run["mlp_out", layer], 0.5 * seen[layer, "mlp"]) < max(bound(dtype), 2e-6)
    embedded = model.hf.model.embed_tokens(run.ids).detach() * 3.0
    assert gap(run["embed"], embedded) < bound(dtype)


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_heads_sum_to_attention(name, dtype):
    model, run = everything(name, dtype)
    for layer in range(model.n_layers):
        v = at(run, layer)
        weight = model.W_O[layer].double()
        raw = torch.einsum("bphd,hdm->bphm", v["z"].double(), weight)
        bias = getattr(model.adapted.parts.layers[layer].o_proj, "bias", None)
        bias = torch.zeros(32).double() if bias is None else bias.detach().double()
        scale = torch.tensor(0.5 if name == "granite" else 1.0).double()
        if name in POST_NORMS:
            scale = v["attn_out"].double() / (raw.sum(2) + bias)
            raw = raw * scale.unsqueeze(2)
        else:
            raw = raw * scale
        rough = 1e-9 if dtype == torch.float64 else 1e-3 if name in POST_NORMS else 1e-5
        assert gap(v["head_out"].double(), raw) < rough
        total = v["head_out"].double().sum(2) + bias * scale
        assert gap(v["attn_out"].double(), total, raw) < bound(dtype)


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_attention_is_softmax_of_scores_times_values(name, dtype):
    model, run = everything(name, dtype)
    for layer in range(model.n_layers):
        v = at(run, layer)
        groups = v["pattern"].shape[1] // v["v"].shape[2]
        values = v["v"].repeat_interleave(groups, dim=2)
        z = torch.einsum("bhqk,bkhd->bqhd", v["pattern"], values)
        assert gap(v["z"], z) < bound(dtype)
        weights = v["scores"].double().exp()
        mass = weights.sum(-1, keepdim=True)
        if name == "gpt_oss":
            sinks = model.hf.model.layers[layer].self_attn.sinks.detach().double().exp()
            mass = mass + sinks.reshape(1, -1, 1, 1)
            assert (v["pattern"].sum(-1) < 0.999).all()
        assert gap(v["pattern"].double(), weights / mass) < max(bound(dtype), 1e-10)
        expected = (weights.sum(-1) / mass.squeeze(-1)).to(dtype)
        assert gap(v["pattern"].sum(-1), expected) < bound(dtype)
        if name != "bert":
            future = torch.ones(8, 8).triu(1).bool()
            assert (v["pattern"][..., future] == 0).all()


SCALES = {
    "gpt2": lambda c, layer: 8**-0.5,
    "gpt2_scaled": lambda c, layer: 8**-0.5 / (layer + 1),
    "gpt_neo": lambda c, layer: 1.0,
    "gptj": lambda c, layer: 8**-0.5,
    "llama": lambda c, layer: 8**-0.5,
    "gemma": lambda c, layer: 16**-0.5,
    "gemma2": lambda c, layer: c.query_pre_attn_scalar**-0.5,
    "granite": lambda c, layer: 0.3,
    "gpt_oss": lambda c, layer: 8**-0.5,
    "falcon": lambda c, layer: 8**-0.5,
}


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", SCALES)
def test_scores_are_scaled_capped_and_masked(name, dtype):
    model, run = everything(name, dtype)
    config = model.hf.config
    for layer in range(model.n_layers):
        v = at(run, layer)
        keys = v["k"].repeat_interleave(v["q"].shape[2] // v["k"].shape[2], dim=2)
        scores = torch.einsum("bqhd,bkhd->bhqk", v["q"], keys) * SCALES[name](config, layer)
        if name == "gemma2":
            cap = config.attn_logit_softcapping
            scores = cap * torch.tanh(scores / cap)
        window = 8
        if name in ("gemma2", "gpt_oss"):
            window = 4 if config.layer_types[layer] == "sliding_attention" else 8
        if name == "gpt_neo":
            window = 4 if layer == 1 else 8
        distance = torch.arange(8)[:, None] - torch.arange(8)[None]
        open_ = (distance >= 0) & (distance < window)
        assert gap(v["scores"][..., open_], scores[..., open_]) < bound(dtype)
        assert (v["pattern"][..., ~open_] == 0).all()
        assert (v["pattern"][..., open_] > 0).all()


AFTER = {
    "gemma2": lambda x, c: c.final_logit_softcapping * torch.tanh(x / c.final_logit_softcapping),
    "cohere": lambda x, c: x * c.logit_scale,
    "cohere2": lambda x, c: x * c.logit_scale,
    "granite": lambda x, c: x / 2.0,
}


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_logits_are_the_unembedding_of_the_final_norm(name, dtype):
    model, run = everything(name, dtype)
    made = run["ln_final"] @ model.W_U
    if name in ("phi", "gptj", "bert"):
        made = made + model.b_U
    made = AFTER.get(name, lambda x, c: x)(made, model.hf.config)
    assert gap(run.logits, made) < bound(dtype)


@pytest.mark.parametrize("name", MIXTURES)
def test_experts_sum_to_the_mixture(name):
    model, run = everything(name, torch.float64)
    for layer in range(model.n_layers):
        v = at(run, layer)
        if "router" not in v:
            assert name == "qwen3_moe" and layer == 1
            continue
        assert ((v["router"] > 0).sum(-1) == 2).all()
        assert gap(v["expert_out"].sum(2), v["mlp_out"]) < 1e-10
        idle = v["expert_out"].abs().amax(-1) == 0
        assert torch.equal(idle, v["router"] == 0)
