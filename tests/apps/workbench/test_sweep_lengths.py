"""Sweeps by position over a task whose prompts differ in length: pairs of one length are swept."""

from __future__ import annotations

import numpy as np
from sweep_events import drawn, followed, started
from view_looks import microworld
from workbench_server import Server

import residuum as rz

ASKED = {"task": "ioi", "n": 12, "sites": "resid_pre", "by": ["layer", "pos"]}


def test_pairs_of_one_length_are_swept_and_equal_the_librarys(server: Server) -> None:
    model = microworld()
    task = rz.task("ioi", model, n=12)
    lengths = task.lengths.tolist()
    assert len(set(lengths)) > 1
    tokens = max(set(lengths), key=lengths.count)
    plan = started(server, **ASKED, tokens=tokens)
    assert plan["n_pairs"] == lengths.count(tokens) < 12
    assert plan["shape"][-1] == tokens
    events = followed(server, plan["job"])
    kept = task.subset([i for i, each in enumerate(lengths) if each == tokens])
    expected = rz.patch(model, kept, "resid_pre", ("layer", "pos"), max_memory="2 GB")
    assert np.array_equal(drawn(plan, events), expected.effects.values, equal_nan=True)


def test_the_code_makes_the_same_task(server: Server) -> None:
    plan = started(server, **ASKED, tokens=15)
    followed(server, plan["job"])
    names = {"rz": rz, "model": microworld()}
    exec(plan["python"], names)
    assert set(names["task"].lengths.tolist()) == {15}
    assert len(names["task"]) == plan["n_pairs"]


def test_a_length_that_no_pair_has_is_refused(server: Server) -> None:
    response = server.client.post("/api/sweeps", json={"model": "microworld", **ASKED, "tokens": 3})
    assert response.status_code == 400
    assert "no pair of ioi has 3 tokens" in response.json()["what"]
    assert "14, 15" in response.json()["mend"]
