from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import residuum as rz

STEPS = 80


@pytest.fixture(scope="module")
def model(test_data):
    torch.set_num_threads(1)
    return rz.load(test_data / "stories260K")


@pytest.fixture(scope="module")
def golden(test_data):
    with np.load(test_data / "stories260K" / "golden_stories260K.npz") as file:
        return torch.tensor(file["ids"]).long(), torch.tensor(file["logits"])


def test_it_is_the_model_that_it_says(model):
    d = model.dims
    assert (d.n_layers, d.n_heads, d.n_kv_heads, d.d_model, d.d_head) == (5, 8, 4, 64, 8)
    assert (d.d_mlp, d.d_vocab, d.n_ctx) == (172, 512, 512)
    assert sum(p.numel() for p in model.hf.parameters()) == 260_032
    assert model.report.passed and model.report.seam_proven and not model.report.guessed
    assert model.W_K[0].shape == (4, 64, 8) and model.W_Q[0].shape == (8, 64, 8)


@pytest.mark.parametrize("everything", [False, True])
def test_golden_logits(model, golden, everything):
    ids, logits = golden
    run = model.run(ids, capture=list(model.sites) if everything else [])
    assert (run.logits[0] - logits).abs().max() <= 1e-4
    parts = model.run(ids, capture=["L4.resid_post", "ln_final"])
    assert (parts["ln_final"][0] @ model.W_U - logits).abs().max() <= 1e-4


def test_golden_logits_in_a_padded_batch(model, golden):
    ids, logits = golden
    rows = torch.zeros(2, 140, dtype=torch.long)
    mask = torch.zeros_like(rows)
    rows[0, :129], mask[0, :129] = ids, 1
    rows[1, -129:], mask[1, -129:] = ids, 1
    for run in (
        model.run(rows[:1], attention_mask=mask[:1]),
        model.run(rows[1:], attention_mask=mask[1:], capture=["pattern"]),
    ):
        real = run.logits[0, :129] if run.batch.starts[0] == 0 else run.logits[0, -129:]
        assert (real - logits).abs().max() <= 1e-4


@pytest.mark.parametrize("text", ["Once upon a time", "Lily found a big"])
def test_its_own_story_with_and_without_capture(model, text):
    ids = model.to_tokens(text)
    theirs = model.hf.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=STEPS, do_sample=False
    )[0, ids.shape[1] :]
    theirs = theirs.tolist()
    plain = model.generate(text, STEPS)
    looked = model.generate(text, STEPS, capture=["pattern", "resid_post", "z", "L2.mlp_act"])
    assert plain.ids[0].tolist() == theirs == looked.ids[0].tolist()
    assert len(looked["L2.pattern"]) == len(theirs)
    assert plain.texts[0] == model.to_string(theirs)
    assert {"She", "was", "a"} & set(plain.texts[0].split())


def test_stories_in_a_batch(model):
    texts = ["Once upon a time", "The dog", "One day, a little girl named Lily went"]
    batch = model.generate(texts, 40)
    for row, text in enumerate(texts):
        alone = model.generate(text, 40)
        assert batch.ids[row].tolist() == alone.ids[0].tolist()


def test_an_edited_story_equals_step_by_step(model):
    ids = model.to_tokens("Once upon a time")
    edits = [rz.Zero("L2.z"), rz.Scale("L1.pattern[H0]", 0.5)]
    found = model.generate(ids, 30, edits=edits, stop_at_end=False).ids[0].tolist()
    assert found != model.generate(ids, 30, stop_at_end=False).ids[0].tolist()
    made = []
    for _ in range(30):
        made.append(int(model.run(ids, edits=edits).last[0].argmax()))
        ids = torch.cat([ids, torch.tensor([[made[-1]]])], dim=1)
    assert found == made


def test_it_predicts_stories(model, test_data):
    stories = json.loads((test_data / "text" / "tinystories_1000.json").read_text())[:16]
    rows = [model.to_tokens(story)[0, :96].tolist() for story in stories]
    logits = model.run(rows).logits
    losses = [
        torch.nn.functional.cross_entropy(logits[i, : len(row) - 1], torch.tensor(row[1:]))
        for i, row in enumerate(rows)
    ]
    assert 1.0 < torch.stack(losses).mean() < 2.2


def test_bos_is_made_visible(model):
    assert model.prepends_bos
    ids = model.to_tokens("Once upon a time")
    assert int(ids[0, 0]) == model.bos_token_id
    bare = model.to_tokens("Once upon a time", prepend_bos=False)
    assert torch.equal(ids[:, 1:], bare)
    again = model.to_tokens("Once upon a time", prepend_bos=True)
    assert torch.equal(ids, again)
    assert model.to_str_tokens("Once upon")[0] == model.tokenizer.bos_token
