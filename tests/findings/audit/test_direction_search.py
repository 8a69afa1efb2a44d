"""How many prompts change sides is counted by template where there are several."""

from __future__ import annotations

import pytest
import torch

from residuum.core import Address
from residuum.directions import DifferenceOfMeans
from residuum.findings.audit import direction_search
from residuum.findings.audit.audit_tasks import audit_task
from residuum.findings.audit.direction_search import Halves, flips, found_at
from residuum.findings.record.evidence import Estimate
from residuum.runs import Model


def test_a_template_that_does_not_change_widens_the_interval(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = Halves.of(audit_task("refusal", model, 64, seed=0), seed=0)
    held = halves.held
    found = found_at(model, halves.fit, Address("resid_post", 1, pos=-1), DifferenceOfMeans(), 0)
    names = sorted(set(held.templates), key=held.templates.count)
    assert len(names) > 1
    stays = torch.tensor([each == names[0] for each in held.templates])

    def edited(*given: object) -> torch.Tensor:
        answers = torch.where(stays, 1.0, -1.0)
        return answers.expand(len(given[3]), 2, -1)  # type: ignore[arg-type]

    monkeypatch.setattr(direction_search, "answers_edited", edited)
    flipped, chance = flips(model, held, found, 3, 0)
    n = len(held)
    assert flipped.n == n and flipped.value == pytest.approx(1 - int(stays.sum()) / n)
    assert set(chance) == {flipped.value}
    alone = Estimate.of_share((~stays).double().tolist())
    assert flipped.low < alone.low and flipped.high > alone.high
