"""A behaviour that one template turns round is not told from nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.findings.chain.behaviour_stage import behaviour, mean_over
from residuum.findings.chain.bench import Bench
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import behaviour_rules
from residuum.runs import Model, Task


def turned_round(task: Task) -> Task:
    """The pairs under three made-up templates, those of the third with their sides exchanged."""
    labels = np.arange(len(task)) % 3
    last = torch.tensor(labels == 2)[:, None]
    return replace(
        task,
        clean=torch.where(last, task.corrupt, task.clean),
        corrupt=torch.where(last, task.clean, task.corrupt),
        templates=tuple("abc"[i] for i in labels),
    )


def test_a_template_that_goes_the_other_way_leaves_it_open(model: Model) -> None:
    task = rz.task("ioi", model, n=64)
    plain = behaviour(Bench(model, task), 200)
    assert [rule.outcome for rule in behaviour_rules(plain, "logits")] == ["holds"] * 3
    seen = behaviour(Bench(model, turned_round(task)), 200)
    _, follows, _ = behaviour_rules(seen, "logits")
    assert seen.contrast.value > 0 > seen.contrast.low and follows.outcome == "unclear"


def test_the_wider_interval_counts(model: Model) -> None:
    bench = Bench(model, rz.task("ioi", model, n=32))
    values = bench.clean - bench.corrupt
    found = mean_over(bench, values)
    each = Estimate.of_mean(values.tolist()), Estimate.of_mean(values.tolist(), 0, bench.clusters)
    assert found.low == min(one.low for one in each) and found.n == 32
    assert found.high == max(one.high for one in each)
    one = Bench(model, replace(bench.task, templates=()))
    assert mean_over(one, values).low == pytest.approx(each[0].low)
