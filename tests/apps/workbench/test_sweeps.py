"""Sweeps as jobs: what the cells end at is what the library says, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sweep_events import drawn, followed, started
from view_looks import microworld
from workbench_server import Server

import residuum as rz

PAIR = {
    "clean": [1, 240, 180, 247, 166, 544, 517, 508, 495, 4, 166, 360, 242, 331, 517],
    "corrupt": [1, 240, 180, 247, 166, 544, 517, 508, 495, 4, 180, 360, 242, 331, 517],
    "answer": 180,
    "wrong": 166,
}
ASKED: list[dict[str, Any]] = [
    {"task": "ioi", "n": 8},
    {"task": "ioi", "n": 5, "seed": 3, "sites": "mlp_act", "by": ["layer", "neuron"],
     "only": {"layer": [1, -1]}},
    {"task": "greater_than", "n": 6, "sites": "resid_post", "by": ["layer"],
     "metric": "loss_nats"},
    {"task": "facts", "n": 6, "sites": "attn_out", "by": ["layer"], "direction": "noise"},
    {"task": "ioi", "n": 6, "how": "mean"},
    {"task": "ioi", "n": 6, "how": "zero", "sites": "mlp_out", "by": ["layer"]},
    {**PAIR, "sites": "resid_post", "by": ["layer", "pos"]},
    {**PAIR, "sites": "pattern", "by": ["layer", "q_pos", "k_pos"]},
    {**PAIR, "sites": "z", "by": ["layer", "head", "pos"], "direction": "noise"},
]  # fmt: skip


def librarys(body: dict[str, Any]) -> rz.Sweep:
    """The same sweep by the library alone."""
    model = microworld()
    if "task" in body:
        task = rz.task(body["task"], model, n=body["n"], seed=body.get("seed", 0))
    else:
        ids = {side: torch.tensor([PAIR[side]]) for side in ("clean", "corrupt")}
        task = rz.Task.from_pairs(**ids, answers=[PAIR["answer"]], wrong=[PAIR["wrong"]])
    site, by = body.get("sites", "z"), tuple(body.get("by", ("layer", "head")))
    more = {"only": body.get("only"), "metric": body.get("metric", ""), "max_memory": "2 GB"}
    if "how" in body:
        return rz.ablate(model, task, site, by, body["how"], **more)
    return rz.patch(model, task, site, by, direction=body.get("direction", "denoise"), **more)


@pytest.mark.parametrize("body", ASKED)
def test_the_last_state_is_the_sweeps_effects_exactly(server: Server, body: Any) -> None:
    plan = started(server, **body)
    events = followed(server, plan["job"])
    expected = librarys(body)
    effects = expected.effects.values
    assert np.array_equal(drawn(plan, events), effects, equal_nan=True)
    result = events[-1]["result"]
    assert np.array_equal(np.array(result["effects"], float), effects, equal_nan=True)
    assert result["clean"] == expected.clean.mean() and result["unit"] == expected.unit
    assert result["corrupt"] == expected.corrupt.mean()
    assert [each["at"] for each in result["top"][:5]] == [each.at for each in expected.top(5)]
    assert result["provenance"]["weight_hash"] == expected.provenance.weight_hash
    assert plan["n_cells"] == int(np.isfinite(effects).sum()) and plan["unit"] == result["unit"]


def test_impossible_cells_are_named_and_never_get_a_number(server: Server) -> None:
    plan = started(server, **PAIR, sites="pattern", by=["layer", "q_pos", "k_pos"])
    grid = drawn(plan, followed(server, plan["job"]))
    impossible = {tuple(cell) for cell in plan["impossible"]}
    assert impossible == {(i, q, k) for i, q, k in np.ndindex(*grid.shape) if k > q}
    assert all(np.isnan(grid[cell]) for cell in impossible)
    assert int(np.isfinite(grid).sum()) == plan["n_cells"] == grid.size - len(impossible)


def test_cells_before_the_first_difference_are_exactly_zero(server: Server) -> None:
    plan = started(server, **PAIR, sites="resid_post", by=["layer", "pos"])
    grid = drawn(plan, followed(server, plan["job"]))
    assert (grid[:, :10] == 0).all() and (grid[:, 10:] != 0).any()


def test_axes_are_labelled(server: Server) -> None:
    plan = started(server, **PAIR, sites="z", by=["layer", "head", "pos"])
    assert plan["labels"]["layer"] == ["L0", "L1", "L2", "L3"]
    assert plan["labels"]["head"][7] == "H7"
    assert plan["labels"]["pos"][:3] == ["0 <s>", "1 When", "2 Mary"]
    many = started(server, task="ioi", n=4, sites="resid_post", by=["layer"], only={"layer": [2]})
    assert many["labels"] == {"layer": ["L2"]} and many["coords"] == {"layer": [2]}


def test_one_pair_is_said_to_be_no_evidence(server: Server) -> None:
    plan = started(server, **PAIR)
    assert "one pair is no evidence" in plan["note"]
    result = followed(server, plan["job"])[-1]["result"]
    assert result["note"] == plan["note"] and result["n_pairs"] == 1
    assert all(each["low"] is None and each["verdict"] != "shown" for each in result["top"])
    assert started(server, task="ioi", n=4)["note"] == ""


@pytest.mark.parametrize("body", [ASKED[1], ASKED[4], ASKED[8]])
def test_python_makes_the_same_sweep(server: Server, body: Any) -> None:
    plan = started(server, **body)
    names: dict[str, Any] = {"rz": rz, "model": microworld()}
    exec(plan["python"], names)
    grid = drawn(plan, followed(server, plan["job"]))
    assert np.allclose(names["effects"], grid, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize(("body", "what"), [
    ({}, "a sweep needs a task, or a pair of prompts; there is no clean, corrupt, answer"),
    ({"clean": [1, 2], "answer": 3}, "there is no corrupt"),
    ({"task": "ioi", "clean": [1, 2]}, "a task brings its own prompts"),
    ({"task": "ioi", "wrong": 3}, "a task brings its own prompts"),
    ({"task": "nothing"}, "no task"),
    ({**PAIR, "corrupt": [1, 2]}, "corrupt"),
    ({**PAIR, "answer": 600}, "600"),
    ({**PAIR, "wrong": None, "metric": "logit_diff"}, "wrong"),
    ({"task": "ioi", "sites": "nowhere"}, "there is no site named"),
    ({"task": "ioi", "sites": "z", "by": ["layer", "neuron"]}, "cannot sweep z by"),
    ({"task": "ioi", "by": ["layer", "layer"]}, "cannot sweep z by"),
    ({"task": "ioi", "only": {"layer": [9]}}, "does not fit"),
    ({"task": "ioi", "only": {"pos": [1]}}, "only names pos"),
    ({"task": "ioi", "metric": "luck"}, "no metric"),
    ({"task": "ioi", "metric": "kl_bits"}, "no sign towards clean"),
    ({"task": "ioi", "n": 0}, "n"),
    ({"task": "ioi", "how": "luck"}, "how"),
    ({"task": "ioi", "direction": "sideways"}, "direction"),
    ({"task": "ioi", "by": []}, "by"),
    ({**PAIR, "sites": "mlp_act", "by": ["layer", "neuron", "pos"], "only": None}, ""),
    ({"task": "ioi", "zzz": 1}, "zzz"),
])  # fmt: skip
def test_what_cannot_be_swept_is_refused_before_it_starts(
    server: Server, body: Any, what: str
) -> None:
    response = server.client.post("/api/sweeps", json={"model": "microworld", **body})
    if not what:
        assert response.status_code == 200  # 4 x 512 x 15 cells are within the bounds
        server.client.delete(f"/api/jobs/{response.json()['job']}")
        return
    assert response.status_code == 400, response.text
    assert what in response.json()["what"] and response.json()["mend"]


def test_more_cells_than_there_is_room_for_are_refused(server: Server) -> None:
    response = server.client.post(
        "/api/sweeps",
        json={"model": "microworld", "task": "ioi", "n": 512, "sites": "mlp_act",
              "by": ["layer", "neuron"], "seed": 1},
    )  # fmt: skip
    assert response.status_code == 200
    server.client.delete(f"/api/jobs/{response.json()['job']}")
    long = {side: [1, *[5] * 61, last] for side, last in (("clean", 180), ("corrupt", 166))}
    response = server.client.post(
        "/api/sweeps",
        json={"model": "microworld", **long, "answer": 5, "wrong": 7, "sites": "mlp_act",
              "by": ["layer", "neuron", "pos"]},
    )  # fmt: skip
    assert response.status_code == 400
    assert "129024 cells over 1 pair are more than the workbench holds" in response.json()["what"]
