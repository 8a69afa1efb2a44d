from __future__ import annotations

import pytest
import torch
from configs import CAUSAL
from tiny import BOTH, NAMES, bare_logits, gap, loaded, pad, ragged_ids, random_ids

EAGER = ("gpt2", "llama", "gemma2", "gpt_oss", "mixtral", "bloom", "falcon", "gpt_neo", "gptj")


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_asked_is_bit_identical(name, dtype):
    model = loaded(name, dtype)
    for ids in (random_ids(1, 8), random_ids(4, 8), random_ids(1, 1)):
        assert torch.equal(model.run(ids).logits, bare_logits(model, ids))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_asked_of_a_padded_batch_is_bit_identical(name):
    model = loaded(name)
    for left in (False, True):
        ids, mask = pad(ragged_ids(), left)
        options = {"attention_mask": mask}
        if name != "bloom":
            options["position_ids"] = (mask.cumsum(1) - 1).clamp_min(0)
        found = model.run(ids, attention_mask=mask).logits
        assert torch.equal(found, bare_logits(model, ids, **options))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_everything_captured_changes_nothing(name, rows):
    model = loaded(name)
    ids = random_ids(rows, 8)
    run = model.run(ids, capture=list(model.sites))
    assert len(run.captured) == len(model.sites)
    assert gap(run.logits, bare_logits(model, ids)) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_captures_that_need_no_attention_map_are_bit_identical(name):
    model = loaded(name)
    ids = random_ids(2, 8)
    run = model.run(ids, capture=["resid_pre", "resid_post", "attn_out", "logits"])
    cacheless = {} if name == "bert" else {"use_cache": False}
    assert torch.equal(run.logits, bare_logits(model, ids, **cacheless))
    assert torch.equal(run["logits"], run.logits)


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
@pytest.mark.parametrize("name", EAGER)
def test_both_attention_implementations(name, kind):
    if kind == "sdpa" and name in ("gpt_oss", "gemma2", "bloom", "gpt_neo", "gptj"):
        pytest.skip("transformers has no SDPA path for it")
    model = loaded(name, attn_implementation=kind)
    assert model.hf.config._attn_implementation == kind
    assert not model.report.refused and model.report.seam_proven
    ids = random_ids(2, 8)
    bare = bare_logits(model, ids)
    assert torch.equal(model.run(ids).logits, bare)
    assert gap(model.run(ids, capture=list(model.sites)).logits, bare) < 1e-5
    rows, mask = pad(ragged_ids(), left=True)
    padded = model.run(rows, attention_mask=mask, capture=["pattern"])
    for row, each in enumerate(ragged_ids()):
        alone = model.run(each, capture=["pattern"])
        assert gap(padded.logits[row, -len(each) :], alone.logits[0]) < 1e-5


@pytest.mark.parametrize("name", EAGER)
def test_the_pattern_is_what_transformers_says(name):
    model = loaded(name, attn_implementation="eager")
    ids = random_ids(2, 8)
    with torch.no_grad():
        out = model.hf(ids, output_attentions=True, output_hidden_states=True)
    run = model.run(ids, capture=["pattern", "resid_pre"])
    for layer in range(model.n_layers):
        assert gap(run["pattern", layer], out.attentions[layer]) < 1e-5
        assert gap(run["resid_pre", layer], out.hidden_states[layer]) < 1e-5


@pytest.mark.parametrize("name", CAUSAL)
def test_the_stream_is_what_transformers_says(name):
    model = loaded(name)
    ids = random_ids(2, 8)
    with torch.no_grad():
        states = model.hf(ids, output_hidden_states=True, use_cache=False).hidden_states
    run = model.run(ids, capture=["resid_pre", "resid_post", "ln_final"])
    for layer in range(model.n_layers):
        assert torch.equal(run["resid_pre", layer], states[layer])
        if layer + 1 < model.n_layers:
            assert torch.equal(run["resid_post", layer], states[layer + 1])
    assert torch.equal(run["ln_final"], states[-1])


def test_early_stop_captures_the_same():
    model = loaded("llama")
    ids = random_ids(2, 8)
    whole = model.run(ids, capture=["L1.z", "L1.resid_mid"])
    short = model.run(ids, capture=["L1.z", "L1.resid_mid"], logits=False)
    assert short.logits is None
    assert torch.equal(whole["L1.z"], short["L1.z"])
    assert torch.equal(whole["L1.resid_mid"], short["L1.resid_mid"])


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom", "mixtral"])
def test_batch_size_does_not_matter(name):
    model = loaded(name)
    ids = random_ids(5, 8)
    whole = model.run(ids, capture=["z", "resid_post"])
    parts = model.run(ids, capture=["z", "resid_post"], batch_size=2)
    assert gap(parts.logits, whole.logits) < 1e-5
    for address, value in whole.captured.items():
        assert gap(parts.captured[address], value) < 1e-5
