"""The circuits kept in docs/circuits: judged again on the templates they were not found on."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import residuum as rz
from residuum.circuits import MaskedRuns, load_circuit, random_circuits

DOCS = Path(__file__).resolve().parents[3] / "docs"


@cache
def script() -> Any:
    """docs/make_circuits.py, which says how the pairs are divided."""
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location("make_circuits", DOCS / "make_circuits.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(DOCS))


@pytest.mark.parametrize("name", ["ioi", "greater_than", "induction", "retrieval"])
def test_a_kept_circuit_does_on_held_out_pairs_what_the_page_says(name: str) -> None:
    model = rz.load("microworld")
    circuit = load_circuit(DOCS / "circuits" / f"{name}.circuit.json", model)
    found_on, held = script().halves(rz.task(name, model, n=script().PAIRS, seed=script().SEED))
    assert circuit.task_hash == found_on.task_hash != held.task_hash
    unlike = set(zip(found_on.templates, found_on.lengths.tolist(), strict=True))
    assert unlike.isdisjoint(zip(held.templates, held.lengths.tolist(), strict=True))
    assert circuit.share <= 0.15
    kept, whole = circuit.kept, np.ones_like(circuit.kept)
    outside = random_circuits(circuit.graph, circuit.n_edges, 10, seed=7, among=~kept)
    for reference in ("counterfactual", "mean"):
        runs = MaskedRuns(model, circuit.graph, held, reference)
        masks = np.concatenate([np.stack([whole, ~whole, kept, ~kept]), ~outside])
        full, empty, alone, rest, *random = runs.metric(masks).mean(axis=1)
        assert 0.8 <= (alone - empty) / (full - empty) <= 1.1, reference
        assert full - rest > 3 * max(full - each for each in random), reference
