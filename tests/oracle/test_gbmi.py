from __future__ import annotations

import pytest
import torch

import residuum as rz

SEED = 0
ROWS = 4096


@pytest.fixture(scope="module")
def model(test_data):
    torch.set_num_threads(1)
    return rz.load(test_data / "gbmi_indhead")


@pytest.fixture(scope="module")
def puzzles():
    """Seven distinct letters, then one of the first six again; the answer is what followed it.

    ``torch.Generator`` with seed 0: ``rand(4096, 26).argsort`` gives the letters, ``randint(6)``
    the place of the repeated one.
    """
    generator = torch.Generator().manual_seed(SEED)
    letters = torch.rand(ROWS, 26, generator=generator).argsort(dim=1)[:, :7]
    at = torch.randint(0, 6, (ROWS,), generator=generator)
    rows = torch.arange(ROWS)
    ids = torch.cat([letters, letters[rows, at].unsqueeze(1)], dim=1)
    return ids, at, letters[rows, at + 1]


def test_it_is_attention_only(model):
    d = model.dims
    assert (d.n_layers, d.n_heads, d.d_model, d.d_head, d.d_mlp) == (2, 1, 64, 64, None)
    assert (d.d_vocab, d.n_ctx) == (26, 8)
    names = set(model.report.sites)
    assert not names & {"ln2", "mlp_out", "mlp_act", "mlp_pre", "resid_mid", "mlp_in"}
    assert {"embed", "pos_embed", "pattern", "z", "head_out", "q_in", "resid_post"} <= names
    assert model.report.passed and model.report.seam_proven and not model.report.refused


@pytest.mark.parametrize("everything", [False, True])
def test_it_solves_its_puzzle(model, puzzles, everything):
    ids, _, answers = puzzles
    run = model.run(ids, capture=list(model.sites) if everything else [])
    right = (run.last.argmax(-1) == answers).float().mean()
    assert right >= 0.97


def test_its_heads_attend_as_they_should(model, puzzles):
    ids, at, _ = puzzles
    run = model.run(ids, capture=["pattern"])
    previous = run["pattern", 0][:, 0].diagonal(offset=-1, dim1=1, dim2=2).mean()
    assert abs(float(previous) - 0.74) <= 0.05
    rows = torch.arange(ROWS)
    after_first = run["pattern", 1][rows, 0, -1, at + 1].mean()
    assert abs(float(after_first) - 0.89) <= 0.05


def test_both_heads_are_needed(model, puzzles):
    ids, at, answers = puzzles
    for head in ("L0.z[H0]", "L1.z[H0]"):
        run = model.run(ids, edits=[rz.Zero(head)], capture=["L1.pattern"])
        assert (run.last.argmax(-1) == answers).float().mean() < 0.4
        if head == "L0.z[H0]":
            rows = torch.arange(ROWS)
            assert run["L1.pattern"][rows, 0, -1, at + 1].mean() < 0.4


def test_the_first_head_works_through_the_keys_of_the_second(model, puzzles):
    ids, _, answers = puzzles
    ids, answers = ids[:512], answers[:512]
    out = model.run(ids, capture=["L0.head_out"])["L0.head_out"][:, :, 0]
    accuracy = {}
    for slot in "qkv":
        run = model.run(ids, edits=[rz.Add(f"L1.{slot}_in", out.unsqueeze(2), scale=-1.0)])
        accuracy[slot] = float((run.last.argmax(-1) == answers).float().mean())
    assert accuracy["k"] < 0.4 and accuracy["q"] > 0.9
