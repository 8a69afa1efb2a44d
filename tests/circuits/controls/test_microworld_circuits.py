"""The circuits kept in docs/circuits: judged again on the templates they were not found on."""

from __future__ import annotations

import importlib.util
import json
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
    found_on, held = script().pairs(name, model)
    assert circuit.task_hash == found_on.task_hash != held.task_hash
    unlike = set(zip(found_on.templates, found_on.lengths.tolist(), strict=True))
    assert unlike.isdisjoint(zip(held.templates, held.lengths.tolist(), strict=True))
    assert circuit.share <= 0.15
    kept, whole = circuit.kept, np.ones_like(circuit.kept)
    outside = random_circuits(circuit.graph, circuit.n_edges, 10, seed=7, among=~kept)
    record = json.loads((DOCS / "circuits" / f"{name}.json").read_text())["random"]
    for reference in ("counterfactual", "mean"):
        runs = MaskedRuns(model, circuit.graph, held, reference)
        masks = np.concatenate([np.stack([whole, ~whole, kept, ~kept]), ~outside])
        full, empty, alone, rest, *random = runs.metric(masks).mean(axis=1)
        assert 0.8 <= (alone - empty) / (full - empty) <= 1.1, reference
        harm = full - np.array(random)
        assert full - rest > 3 * np.median(harm), reference
        told = record[reference]
        assert (full - rest) / (full - empty) == pytest.approx(told["circuit"], abs=1e-3)
        if told["circuit"] > 3 * told["outside"][-1]:
            assert full - rest > 3 * harm.max(), reference


def test_every_pruned_circuit_is_part_of_its_mask() -> None:
    model = rz.load("microworld")
    for name in script().TASKS:
        mask = load_circuit(DOCS / "circuits" / f"{name}.mask.json", model)
        circuit = load_circuit(DOCS / "circuits" / f"{name}.circuit.json", model)
        assert set(circuit.edge_names) < set(mask.edge_names) and circuit.seen is not None
        assert circuit.selection["of"] == mask.hash and circuit.task_hash == mask.task_hash


def test_a_trial_that_was_passed_was_held_again_with_other_draws() -> None:
    for name in script().TASKS:
        record = json.loads((DOCS / "circuits" / f"{name}.json").read_text())
        drawn = [(each["seed"], each["n"]) for each in record["draws"]]
        passed = record["trial"]["verdict"] == "passes"
        assert drawn == (list(script().DRAWS) if passed else [])
        for each in record["draws"]:
            assert (each["verdict"] == "passes") is not bool(each["failed"])
