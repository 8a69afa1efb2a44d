from __future__ import annotations

import pytest
import torch
from configs import _BASE, _GPT, _GROUPED
from tiny import bare_logits, gap, noise, pad, ragged_ids, random_ids

import residuum as rz
from residuum.core import SITES, AddressError, LoadError, OptionError, SiteRefused

_MOE = _GROUPED | {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
}
ALIKE = {
    "smollm3": (_GROUPED, "llama"),
    "seed_oss": (_GROUPED | {"head_dim": 8}, "llama"),
    "exaone4": (_GROUPED | {"head_dim": 8}, "olmo2"),
    "arcee": (_GROUPED, "nemotron"),
    "gpt_bigcode": (_GPT, "gpt2"),
    "qwen2_moe": (_MOE, "mixtral"),
}
STREAM = {
    "codegen": _GPT | {"rotary_dim": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 3, "vocab_size": 101, "max_seq_len": 64},
    "ctrl": _GPT | {"dff": 48},
    "biogpt": _BASE,
    "glm4": _GROUPED | {"head_dim": 8},
    "openai-gpt": _GPT,
    "mamba": {"hidden_size": 32, "num_hidden_layers": 3, "vocab_size": 101, "state_size": 4},
    "rwkv": {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "vocab_size": 101,
        "attention_hidden_size": 32,
        "context_length": 64,
    },
}


def build_unknown(model_type, options, seed=0):
    import transformers

    config = transformers.AutoConfig.for_model(model_type, **options)
    torch.manual_seed(seed)
    hf = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.05)
    return hf


@pytest.fixture(scope="module", params=ALIKE)
def alike(request):
    options, row = ALIKE[request.param]
    return request.param, row, rz.load(build_unknown(request.param, options))


@pytest.fixture(scope="module", params=STREAM)
def stream(request):
    return request.param, rz.load(build_unknown(request.param, STREAM[request.param]))


def check_runs(model):
    ids = random_ids(2, 8)
    assert torch.equal(model.run(ids).logits, bare_logits(model, ids))
    run = model.run(ids, capture=list(model.sites))
    assert gap(run.logits, bare_logits(model, ids)) < 1e-5
    for number, address in enumerate(model.sites):
        moved = model.run(ids, edits=[rz.Add(address, noise(run[address].shape, number))])
        assert (moved.logits - run.logits).abs().max() > 1e-4, address
    for side in ("left", "right"):
        rows, mask = pad(ragged_ids(), side == "left")
        if side not in model.adapted.padding:
            with pytest.raises(OptionError, match=f"padding on the {side}"):
                model.run(rows, attention_mask=mask)
            continue
        batch = model.run(rows, attention_mask=mask)
        for index, row in enumerate(ragged_ids()):
            assert gap(batch.last[index], model.run(row).last[0]) < 1e-5


def test_a_model_that_looks_like_a_known_family(alike):
    name, row, model = alike
    report = model.report
    assert report.guessed and report.family == row and report.seam_proven
    assert model.adapted.padding == ("left", "right")
    if name == "qwen2_moe":  # its shared expert is no part of the mixture
        assert set(report.refused) == {"router", "expert_out"}
        with pytest.raises(SiteRefused, match="Σ expert_out = mlp_out"):
            model.run(random_ids(1, 4), capture=["L0.router"])
    else:
        assert report.passed and not report.refused
    check_runs(model)


def test_a_model_that_looks_like_one_generates(alike):
    _, _, model = alike
    ids = random_ids(1, 6)
    edits = [rz.Scale("L1.pattern", 0.5)]
    found = model.generate(ids, 5, edits=edits, stop_at_end=False).ids[0].tolist()
    assert found == _step_by_step(model, ids, edits, 5)


def _step_by_step(model, ids, edits, steps):
    made = []
    for _ in range(steps):
        made.append(int(model.run(ids, edits=edits).logits[0, -1].argmax()))
        ids = torch.cat([ids, torch.tensor([[made[-1]]])], dim=1)
    return made


def test_a_model_like_no_other_has_its_stream(stream):
    name, model = stream
    report = model.report
    assert report.guessed and report.family == "unknown" and not report.seam_proven
    assert {"resid_pre", "resid_post", "logits"} <= set(report.sites)
    assert model.n_layers == 3 and model.dims.d_model == 32 and model.dims.d_vocab == 101
    inside = {each for each, site in SITES.items() if site.layered} - set(report.sites)
    assert inside <= set(report.refused)
    assert ("embed" in report.sites) == (name not in ("ctrl", "biogpt", "openai-gpt"))
    assert ("ln_final" in report.sites) == (name != "openai-gpt")
    check_runs(model)


def test_what_is_missing_is_an_error_with_the_reason(stream):
    _, model = stream
    for place in ("L0.z", "L2.pattern", "attn_out"):
        with pytest.raises(SiteRefused, match="has no table"):
            model.run(random_ids(1, 4), capture=[place])
    with pytest.raises(AddressError, match="has no W_Q"):
        _ = model.W_Q[0]
    assert model.W_E.shape == (101, 32) and model.W_U.shape == (32, 101)
    assert "nothing" in repr(model.W_O)
    assert "unknown" in repr(model)


def test_the_stream_of_an_unknown_model_is_patched(stream):
    _, model = stream
    ids, other = random_ids(2, 6), random_ids(2, 6, seed=8)
    base = model.run(ids, capture=["resid_pre", "resid_post"])
    from_other = model.run(other, capture=["L1.resid_pre", "L0.resid_post"])
    for at in ("L1.resid_pre", "L0.resid_post"):
        same = model.run(ids, edits=[rz.Patch(at, base)])
        assert gap(same.logits, base.logits) < 1e-6
        moved = model.run(ids, edits=[rz.Patch(at, from_other)])
        assert gap(moved.logits, from_other.logits) < 1e-5
    run = model.run(ids, capture=["L1.resid_post"], grad_of=lambda logits: logits[:, -1, 5])
    assert run.grad["L1.resid_post"].abs().max() > 0


def test_generation_of_an_unknown_model(stream):
    name, model = stream
    ids = random_ids(1, 6)
    edits = [rz.Add("L1.resid_post", noise((32,), 3))]
    if name in ("mamba", "rwkv", "openai-gpt"):
        with pytest.raises(OptionError, match="key/value cache"):
            model.generate(ids, 4, edits=edits)
        return
    found = model.generate(ids, 5, edits=edits, stop_at_end=False).ids[0].tolist()
    assert found == _step_by_step(model, ids, edits, 5)


def test_an_encoder_with_a_decoder_is_refused():
    import transformers

    config = transformers.T5Config(
        d_model=32, num_layers=2, num_heads=4, vocab_size=101, d_ff=48, d_kv=8
    )
    with pytest.raises(LoadError, match="encoder with a decoder"):
        rz.load(transformers.T5ForConditionalGeneration(config))


def test_a_model_without_blocks_is_refused():
    import transformers

    class PlainConfig(transformers.PretrainedConfig):
        model_type = "plain"

    class Plain(transformers.PreTrainedModel):
        config_class = PlainConfig

        def __init__(self, config):
            super().__init__(config)
            self.embed = torch.nn.Embedding(7, 4)
            self.post_init()

        def get_input_embeddings(self):
            return self.embed

        def forward(self, input_ids):
            return self.embed(input_ids)

    with pytest.raises(LoadError, match="no list of blocks") as error:
        rz.load(Plain(PlainConfig()))
    assert "models/family.py" in error.value.mend
