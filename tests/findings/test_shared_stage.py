"""A head that does the same on both prompts is found by holding it at its mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.findings import Finding
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.shared_evidence import SharedEvidence, SharedHead
from residuum.findings.record.shared_rules import shared_rules, shared_words
from residuum.runs import Model


@pytest.fixture(scope="module")
def found(test_data: Path) -> tuple[Model, Finding]:
    """Only the letter to be copied differs, so the head that looks back writes the same twice."""
    model = rz.load(test_data / "gbmi_indhead")
    generator, rows = torch.Generator().manual_seed(0), torch.arange(64)
    drawn = torch.stack([torch.randperm(26, generator=generator)[:8] for _ in rows])
    at = torch.randint(0, 6, (64,), generator=generator)
    clean = torch.cat([drawn[:, :7], drawn[rows, at][:, None]], dim=1)
    corrupt = clean.clone()
    corrupt[rows, at + 1] = drawn[:, 7]
    task = rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=drawn[rows, at + 1][:, None], wrong=drawn[:, 7:]
    )
    return model, rz.investigate(model, task, stages=("shared",))


def test_the_previous_token_head_is_needed_and_unseen(found: tuple[Model, Finding]) -> None:
    model, finding = found
    assert finding.components == ("L1.z[H0]",) and finding.shared is not None
    (head,) = finding.shared.heads
    assert head.at == "L0.z[H0]" and head.alike and abs(head.recovered) < 0.05
    assert "so not seen by patching between them: L0.H0" in finding.claim
    half = rz.Task.from_json(finding.task)[1::2]
    out = rz.knock_out(model, half, ["L0.z[H0]"], how="mean", controls=0)
    gap = (out.clean - out.corrupt).mean()
    assert head.lost.value == pytest.approx(-out.singles[0].mean() / gap, abs=1e-4)


def head(lost: float, recovered: float = 0.0, wide: float = 0.02) -> SharedHead:
    estimate = Estimate(lost, lost - wide, lost + wide, 32)
    return SharedHead("L0.z[H0]", estimate, recovered, 0.01, lost - wide >= 0.1)


@pytest.mark.parametrize(
    ("heads", "outcome", "said"),
    [
        ((), "holds", False),
        ((head(0.05),), "holds", False),
        ((head(0.5, wide=0.45),), "unclear", False),
        ((head(0.06, wide=0.05),), "unclear", False),
        ((head(0.4),), "fails", True),
        ((head(0.4, recovered=0.3),), "fails", False),
    ],
)
def test_what_is_said(heads: tuple[SharedHead, ...], outcome: str, said: bool) -> None:
    evidence = SharedEvidence(heads, 30, ())
    (rule,) = shared_rules(evidence)
    assert rule.outcome == outcome and not rule.decides
    assert bool(shared_words(evidence)) == said
    (untested,) = shared_rules(replace(evidence, heads=(), left_out=("no two prompts",)))
    assert untested.outcome == "unclear" and "not testable" in untested.found
