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
    "sentiment": ("L2.resid_mid@-1", True, True, True),
    "negation": ("L2.resid_mid@-1", True, True, True),
    "refusal": ("L0.resid_mid@-1", True, True, True),
    "sycophancy": ("L0.resid_post@-1", True, True, True),
    "agreement": ("L3.resid_mid@-1", True, True, True),
}
"""Place, learned or not, and verdict (causal, specific), as docs/make_directions.py wrote."""


def test_no_prompt_is_judged_on_that_the_penalty_saw():
    model = rz.load("microworld")
    halves = {name: make_directions.template_parts(model, name) for name in make_directions.OTHERS}
    for judged in ((1,), (0, 1)):
        spared = make_directions.other_prompts(model, halves, judged)
        for name, task in spared.items():
            for half in judged:
                seen = set(make_directions.prompts(task))
                held = make_directions.prompts(make_directions.judged_pairs(halves[name], half))
                assert seen and held and not seen & set(held)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_on_templates_not_seen(name):
    torch.set_num_threads(1)
    model = rz.load("microworld")
    at, learned, causal, specific = CHOSEN[name]
    parts = {each: make_directions.template_parts(model, each) for each in make_directions.OTHERS}
    spared = make_directions.other_prompts(model, parts, (1,))
    choice = make_directions.Choice(Address.parse(at), learned, 0.0, 0, 0.0)
    proof = make_directions.proven(model, choice, name, parts, spared)
    assert not set(parts[name][0].templates) & set(parts[name][1].templates)
    assert proof.verdict == {"decodable": True, "causal": causal, "specific": specific}
