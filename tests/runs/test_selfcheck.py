"""The self-check: it proves what is right, and refuses by name what is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz
from residuum.models import adapt
from residuum.runs import self_check

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import IDS, blind, build, model


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "gptj", "mixtral", "bert"])
def test_a_model_that_is_right_passes_whole(name: str) -> None:
    report = self_check(adapt(build(name)), thorough=True)
    assert report.passed and report.refused == {} and report.seam_proven
    assert set(report.sites) == {site.name for site in model(name).sites}
    checked = {site for check in report.checks for site in check.sites}
    assert checked >= set(report.sites)
    assert json.loads(json.dumps(report.to_json()))["passed"] is True


def test_sites_that_cannot_be_shown_to_matter_are_refused_by_name() -> None:
    report = blind().report
    assert report is not None and not report.passed
    hidden = {"ln1", "v_in", "q_in", "k_in", "q_pre", "k_pre", "q", "k", "scores", "pattern"}
    assert set(report.refused) == hidden
    assert set(report.refused.values()) == {"a random change of it does not reach the logits"}
    for name in hidden:
        for query in (name, f"L1.{name}", f"L*.{name}", f"L1:.{name}"):
            with pytest.raises(rz.SiteRefused, match="is not available on this model"):
                blind().run(IDS, capture=query)
    run = blind().run(IDS, capture="L1.*")
    assert {address.name for address in run.captured}.isdisjoint(hidden)


class Doubled(torch.nn.Module):
    """An MLP whose output is not what its last projection makes."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        for name, child in inner.named_children():
            setattr(self, name, child)
        self.inner = [inner]

    def forward(self, *args: Any) -> torch.Tensor:
        return 2 * self.inner[0](*args)


def test_a_block_that_is_wired_otherwise_is_found_out() -> None:
    hf = build("gpt2")
    hf.transformer.h[1].mlp = Doubled(hf.transformer.h[1].mlp)
    held = rz.load(hf)
    assert held.report is not None and not held.report.passed
    assert "mlp_out" in held.report.refused
    failed = [check.name for check in held.report.checks if not check.passed]
    assert "resid_post = resid_mid + mlp_out" in failed
    with torch.no_grad():
        assert torch.equal(held.run(IDS).logits, hf(IDS).logits)
    with pytest.raises(rz.SiteRefused):
        held.run(IDS, edits=rz.Zero("L1.mlp_out"))
    assert held.run(IDS, capture="L1.resid_post")["L1.resid_post"].shape == (2, 5, 32)


def test_a_check_that_is_skipped_takes_sites_on_trust() -> None:
    held = rz.load(build("gpt2"), check=False)
    assert held.report is None and len(held.sites) == len(model().sites)


def test_the_check_leaves_no_trace() -> None:
    hf = build("llama")
    with torch.no_grad():
        before = hf(IDS).logits
    state = {name: value.clone() for name, value in hf.state_dict().items()}
    random = torch.get_rng_state()
    rz.load(hf)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in hf.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in hf.modules())
    assert all(p.grad is None for p in hf.parameters())
    with torch.no_grad():
        assert torch.equal(hf(IDS).logits, before)
