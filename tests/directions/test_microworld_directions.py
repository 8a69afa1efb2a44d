"""Microworld's concepts: chosen on development templates, proven once on the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.core import Address

sys.path.append(str(Path(__file__).parents[2] / "docs"))
import make_directions

CHOSEN = {
    "sentiment": ("L3.resid_post@-1", 1, True, True),
    "negation": ("L2.resid_mid@-1", 1, True, False),
    "sycophancy": ("L0.resid_post@-1", 0, True, True),
    "agreement": ("L3.resid_mid@-1", 2, True, False),
}
"""Place, spared directions and verdict (causal, specific), as docs/make_directions.py wrote."""


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_on_templates_not_seen(name):
    torch.set_num_threads(1)
    model = rz.load("microworld")
    at, spared, causal, specific = CHOSEN[name]
    names = make_directions.OTHERS
    parts = {each: make_directions.template_parts(model, each) for each in names}
    choice = make_directions.Choice(Address.parse(at), spared, 0.0, 0, 0.0)
    proof = make_directions.proven(model, choice, name, parts)
    assert not set(parts[name][0].templates) & set(parts[name][1].templates)
    assert proof.verdict == {"decodable": True, "causal": causal, "specific": specific}
