"""Weights set by hand: induction is solved by two heads and one edge, and nothing else is found."""

from __future__ import annotations

from functools import cache
from typing import Any

import handmade
import numpy as np
import pytest
import torch
from handmade import HEADS, INDUCTION, PREVIOUS, handmade_induction, induction_task

import residuum as rz
from residuum.models import handset
from residuum.patching.path_patching import path_patch

CIRCUIT = {
    ("embed", f"L0.v_in[H{PREVIOUS}]"),
    (f"L0.head_out[H{PREVIOUS}]", f"L1.k_in[H{INDUCTION}]"),
    (f"L1.head_out[H{INDUCTION}]", "logits"),
}
"""The only paths along which the two prompts' difference travels."""


@cache
def model() -> rz.Model:
    return rz.load(handmade_induction())


def test_it_solves_induction() -> None:
    task = induction_task(64, seed=3)
    for ids, answers in ((task.clean, task.answers), (task.corrupt, task.wrong)):
        run = model().run(ids, capture=["pattern"])
        assert (run.last.argmax(-1) == answers[:, 0]).all()
        previous = run["pattern", 0][:, PREVIOUS].diagonal(offset=-1, dim1=1, dim2=2)
        assert previous.min() > 0.999
    assert model().report is not None and model().report.seam_proven and not model().report.refused


def test_the_other_heads_are_not_silent() -> None:
    """They write something else for the two prompts, so that there is something not to find."""
    task = induction_task()
    clean, corrupt = (model().run(ids, capture=["head_out"]) for ids in (task.clean, task.corrupt))
    for layer in range(2):
        moved = (clean["head_out", layer] - corrupt["head_out", layer]).abs().amax((0, 1, 3))
        assert moved[[h for h in range(1, HEADS)]].min() > 0.05
        sizes = clean["head_out", layer].abs().amax((0, 1, 3))
        assert sizes.min() > 0.05


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("engine", ["forked", "naive"])
def test_patching_finds_the_two_heads(direction: Any, engine: Any) -> None:
    sweep = rz.patch(
        model(), induction_task(), "z", ("layer", "head"), direction=direction, engine=engine
    )
    expected = np.zeros((2, HEADS))
    expected[0, PREVIOUS] = expected[1, INDUCTION] = 2.0 if direction == "denoise" else -2.0
    np.testing.assert_allclose(sweep.effects, expected, atol=1e-6)


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("engine", ["forked", "naive"])
def test_path_patching_finds_the_k_composition_edge_and_no_other(
    direction: Any, engine: Any
) -> None:
    table = path_patch(model(), induction_task(), direction=direction, engine=engine)
    assert table.engine == engine and table.warnings == ()
    possible = 0
    for sender in table.effects.sender.values:
        for receiver in table.effects.receiver.values:
            each = table.per_example.sel(sender=sender, receiver=receiver).values
            if np.isnan(each).all():
                continue
            possible += 1
            size = 2.0 if direction == "denoise" else -2.0
            expected = size if (sender, receiver) in CIRCUIT else 0.0
            np.testing.assert_allclose(each, expected, atol=1e-6, err_msg=f"{sender} {receiver}")
    heads = 3 * HEADS
    assert possible == 2 * heads + 1 + HEADS * (heads + 1) + HEADS
    share = 1.0 if direction == "denoise" else 0.0
    for sender, receiver in CIRCUIT:
        found = table.recovered_frac.sel(sender=sender, receiver=receiver)
        assert float(found) == pytest.approx(share, abs=1e-6)
    best = table.top(3)
    assert {(path.sender, path.receiver) for path in best} == CIRCUIT
    assert all(path.verdict == "shown" and path.p < 0.05 for path in best)


def test_what_the_induction_head_copies_comes_straight_from_the_embedding() -> None:
    """Other pairs: only the token after the match differs, and no head of layer 0 is on the way."""
    plain = induction_task()
    corrupt = plain.clean.clone()
    rows = torch.arange(len(plain))
    at = (plain.clean == plain.answers).int().argmax(dim=1)
    corrupt[rows, at] = plain.wrong[:, 0]
    other = (plain.clean == plain.wrong).int().argmax(dim=1)
    corrupt[rows, other] = plain.answers[:, 0]
    task = rz.Task.from_pairs(
        clean=plain.clean, corrupt=corrupt, answers=plain.answers, wrong=plain.wrong
    )
    table = path_patch(model(), task)
    values = table.effects.to_series().dropna()
    large = {pair for pair in values.index if abs(values[pair]) > 1e-6}
    assert large == {
        ("embed", f"L1.v_in[H{INDUCTION}]"),
        (f"L1.head_out[H{INDUCTION}]", "logits"),
    }


@pytest.mark.parametrize("engine", ["forked", "naive"])
@pytest.mark.parametrize("head", range(HEADS))
def test_only_the_previous_token_head_passes_the_tokens_on(head: int, engine: Any) -> None:
    key = f"L1.k_in[H{INDUCTION}]"
    table = path_patch(
        model(), induction_task(), "embed", [key, "logits"], via=f"L0.z[H{head}]", engine=engine
    )
    expected = [2.0 if head == PREVIOUS else 0.0, 0.0]
    np.testing.assert_allclose(table.effects.values[0], expected, atol=1e-6)
    both = [f"L0.z[H{head}]", f"L1.z[H{INDUCTION}]"]
    whole = path_patch(model(), induction_task(), "embed", "logits", via=both, engine=engine)
    assert whole.effect("embed", "logits") == pytest.approx(expected[0], abs=1e-6)


@pytest.mark.parametrize(
    ("previous", "induction", "heads"), [(0, 0, 1), (1, 0, 3), (2, 1, 3)], ids=str
)
def test_idle_heads_do_not_cost_a_site(
    previous: int, induction: int, heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention is all or nothing and the first head may be silent: no site is refused for it."""
    monkeypatch.setattr(handset, "PREVIOUS", previous)
    monkeypatch.setattr(handset, "INDUCTION", induction)
    monkeypatch.setattr(handset, "HEADS", heads)
    hf = handmade.handmade_induction()
    with torch.no_grad():
        for block, busy in zip(hf.model.blocks, (previous, induction), strict=True):
            for head in set(range(heads)) - {busy}:
                rows = handset._rows(head)
                for weight in (block.attn.q_proj, block.attn.k_proj, block.attn.v_proj):
                    weight.weight[rows] = 0
                block.attn.o_proj.weight[:, rows] = 0
    silent = rz.load(hf)
    assert silent.report is not None and not silent.report.refused
    sweep = rz.patch(silent, handmade.induction_task(), "z", ("layer", "head"))
    expected = np.zeros((2, heads))
    expected[0, previous] = expected[1, induction] = 2.0
    assert sweep.engine == "forked"
    np.testing.assert_allclose(sweep.effects, expected, atol=1e-6)
