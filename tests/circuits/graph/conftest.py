from __future__ import annotations

import numpy as np
import pytest

import residuum as rz
from residuum.circuits import EdgeScores, Graph, graph_of


@pytest.fixture(scope="session")
def model():
    return rz.load("microworld", check=False)


@pytest.fixture(scope="session")
def task(model):
    return rz.task("ioi", model, n=6)


@pytest.fixture(scope="session")
def graph(model):
    return graph_of(model)


@pytest.fixture(scope="session")
def scores(model, task, graph):
    """Made-up scores, different for every edge and example."""
    rng = np.random.default_rng(0)
    examples = rng.normal(size=(6, graph.n_edges))
    return EdgeScores(
        graph,
        examples.mean(axis=0),
        examples,
        {"name": "made up"},
        full=3.5,
        empty=-0.5,
        passes=7.0,
        warnings=("made up",),
        provenance=model.provenance(task_hash=task.task_hash, strategy="made up"),
    )


@pytest.fixture
def small():
    """Two layers of one head, no MLP: 12 edges."""
    return Graph.of(
        ["embed", "L0.head_out[H0]", "L1.head_out[H0]"],
        [
            *(f"L{layer}.{name}[H0]" for layer in (0, 1) for name in ("q_in", "k_in", "v_in")),
            "logits",
        ],
    )
