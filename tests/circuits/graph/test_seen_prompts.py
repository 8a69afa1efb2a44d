"""What discovery saw is recorded, prompt by prompt, and found again in any other task."""

from __future__ import annotations

import json

import pytest

from residuum.circuits import EAP, circuit_from_edges, discover, load_circuit
from residuum.circuits.graph.seen_prompts import SeenPrompts, shared_prompts
from residuum.core import StoreError


@pytest.fixture(scope="module")
def circuit(model, task):
    return discover(model, task.head(4), EAP(), n_edges=20)


def test_prompts_of_the_discovery_are_told_one_by_one(circuit, task):
    assert circuit.seen.task == "ioi" and len(circuit.seen) == 4
    shared = shared_prompts(circuit, task)
    assert shared.pairs.tolist() == shared.clean.tolist() == [True] * 4 + [False] * 2
    assert (shared.n, shared.seen) == (4, 4)
    assert str(shared) == "4 of 6 prompts are those that the circuit was found on"


def test_order_padding_and_repeats_hide_nothing(circuit, task):
    assert shared_prompts(circuit, task.subset([5, 0])).pairs.tolist() == [False, True]
    assert shared_prompts(circuit, task.subset([3, 3, 4])).n == 2


def test_a_corrupt_prompt_that_turns_up_as_clean_one_is_told(circuit, task):
    shared = shared_prompts(circuit, task.head(4).swap())
    assert not shared.pairs.any() and shared.either.all()
    assert shared.n + int((shared.either & ~shared.clean).sum()) == 4
    assert "were corrupt prompts there" in str(shared)


def test_a_file_keeps_them_and_an_old_one_says_not_known(circuit, task, model, tmp_path):
    for name in ("c.graphml", "c.json"):
        circuit.save(tmp_path / name)
        again = load_circuit(tmp_path / name, model)
        assert again.seen == circuit.seen == SeenPrompts.of(task.head(4))
    assert again.hash == circuit.hash
    data = circuit.scores.to_json()
    del data["seen"]
    old = type(circuit.scores).from_json(json.loads(json.dumps(data)))
    assert old.seen is None and shared_prompts(old, task) is None
    assert "seen" not in old.to_json()


def test_a_circuit_named_by_hand_saw_nothing_that_is_known(graph, task):
    assert shared_prompts(circuit_from_edges(graph, ["embed -> logits"]), task) is None


def test_a_record_of_another_form_is_refused(circuit):
    data = circuit.scores.to_json()
    data["seen"] = {"task": "ioi"}
    with pytest.raises(StoreError, match="found on are not told as they should be"):
        type(circuit.scores).from_json(data)
