from __future__ import annotations

import numpy as np
import pytest
import torch
from configs import CAUSAL
from layerwise import layerwise, metric_of, reference_values
from tiny import loaded, random_ids

import residuum as rz
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.graph.building import graph_of

F64 = torch.float64
LENGTH = 7
FLOAT32_INSIDE = ("gptj",)  # its attention scores are float32 whatever the model's dtype


def task_of(rows: int = 3, seed: int = 3, **more):
    clean, corrupt = random_ids(rows, LENGTH, seed), random_ids(rows, LENGTH, seed + 50)
    corrupt[:, :2] = clean[:, :2]
    answers, wrong = torch.arange(rows) + 5, torch.arange(rows) + 40
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong, **more)


def some_circuits(graph, n=2, seed=0, share=0.5):
    return np.random.default_rng(seed).random((n, graph.n_edges)) < share


def assert_is_layerwise(model, graph, task, runs, kept, reference, bound):
    found = runs.metric(kept)
    for row, circuit in zip(found, kept, strict=True):
        logits = layerwise(model, graph, task, circuit, reference)
        truth = metric_of(task, logits).numpy()
        assert np.abs(row - truth).max() <= bound * float(logits.abs().max())


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CAUSAL)
def test_masked_runs_are_the_models_own_with_every_input_written(name, dtype):
    model, task = loaded(name, dtype), task_of()
    graph = graph_of(model)
    runs = MaskedRuns(model, graph, task)
    kept = some_circuits(graph, 1)
    reference = reference_values(model, task, "counterfactual", task.corrupt)
    bound = 1e-5 if dtype == torch.float32 else 1e-7 if name in FLOAT32_INSIDE else 1e-10
    assert_is_layerwise(model, graph, task, runs, kept, reference, bound)
