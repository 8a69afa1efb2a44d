"""Microworld's concepts: found on half of the templates, causal on the others."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch

import residuum as rz
from residuum.core import TaskError
from residuum.directions.alignment import template_halves
from residuum.directions.orientation import oriented
from residuum.directions.proving import prove

SITES = {
    "sentiment": "L2.resid_post@-1",
    "negation": "L2.resid_post@-1",
    "refusal": "L2.resid_post@-1",
    "sycophancy": "L0.resid_post@-1",
    "agreement": "L3.resid_post@-1",
}
"""As chosen on validation by docs/make_directions.py."""


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return rz.load("microworld")


@pytest.mark.slow
@pytest.mark.parametrize("name", SITES)
def test_causal_on_templates_not_seen(model, name):
    task = rz.task(name, model, n=96, seed=0)
    with suppress(TaskError):
        task = oriented(task)
    fit, held = template_halves(task)
    found = rz.direction(model, fit[: 2 * len(fit) // 3], at=SITES[name], prove=False)
    proof = prove(found, model, held, seed=0)
    assert not set(fit.templates) & set(held.templates)
    assert proof.verdict["decodable"] is True and proof.verdict["causal"] is True
