"""Tensors for edits are the library's, and the edits that hold them do what the library's do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from workbench_server import PROMPT, Server

import residuum as rz
from residuum.core import TensorRef

OTHER = "When Mary and John went to the store , Mary gave a drink to"


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld")


def stored(server: Server, **body: Any) -> tuple[dict[str, Any], np.ndarray]:
    ref = server.post("/api/values", **body)["value"]
    return ref, server.bench.book.tensors.get(TensorRef.from_json(ref))


def close(record: Any, run: rz.Run) -> None:
    told = {each["id"]: each["logit"] for each in record["predictions"]}
    np.testing.assert_allclose(
        [float(run.last[0][i]) for i in told], list(told.values()), rtol=1e-5
    )


@pytest.mark.parametrize("at", ["L2.z[H3]", "L2.z", "L1.resid_post@-1", "L3.pattern[H2]"])
def test_patch_from_a_run(server: Server, model: rz.Model, at: str) -> None:
    donor = server.run(OTHER)
    ref, _ = stored(server, **{"from": "run", "run": donor["id"], "at": at})
    record = server.run(PROMPT, {"kind": "patch", "at": at, "value": ref})
    source = model.run(OTHER, capture=[str(rz.Address(at).base)])
    run = model.run(PROMPT, edits=[rz.Patch(at, source)])
    close(record, run)
    assert record["predictions"] != server.run(PROMPT)["predictions"]


@pytest.mark.parametrize("at", ["L2.z[H3]", "L2.mlp_out", "L1.resid_post@-1"])
def test_mean_over_a_task(server: Server, model: rz.Model, at: str) -> None:
    body = {"from": "mean", "model": "microworld", "task": "ioi", "n": 8, "seed": 3, "at": at}
    ref, value = stored(server, **body)
    task = rz.task("ioi", model, n=8, seed=3)
    rows = model.run(task.clean, attention_mask=task.attention_mask, capture=[at])[at]
    real = torch.arange(task.clean.shape[1]) < task.lengths[:, None]
    flat = rows if rows.ndim == 2 else rows[real]
    torch.testing.assert_close(torch.as_tensor(value), flat.mean(0), rtol=1e-5, atol=1e-6)
    record = server.run(PROMPT, {"kind": "mean", "at": at, "value": ref})
    close(record, model.run(PROMPT, edits=[rz.Mean(at, flat.mean(0))]))


def test_rows_to_resample_from(server: Server, model: rz.Model) -> None:
    at = "L2.z[H3]@-1"
    body = {"from": "resample", "model": "microworld", "task": "ioi", "n": 8, "seed": 3, "at": at}
    ref, value = stored(server, **body)
    assert value.shape == (8, 16)
    record = server.run(PROMPT, {"kind": "resample", "at": at, "seed": 5, "value": ref})
    close(record, model.run(PROMPT, edits=[rz.Resample(at, seed=5, value=value)]))


def test_rows_of_prompts_that_differ_in_length_are_refused(server: Server) -> None:
    body = {"from": "resample", "model": "microworld", "task": "induction", "n": 8, "at": "L2.z"}
    response = server.client.post("/api/values", json=body)
    assert response.status_code == 400 and "differ in length" in response.json()["what"]
    assert response.json()["mend"] == "name a position, such as L2.z@-1"


def test_directions_of_the_unembedding(server: Server, model: rz.Model) -> None:
    mary, john = model.to_single_token("Mary"), model.to_single_token("John")
    body = {"from": "unembed", "model": "microworld", "scale": 2.0}
    _, one = stored(server, **body, tokens=[mary])
    ref, two = stored(server, **body, tokens=[mary, john])
    weights: Any = model.W_U
    np.testing.assert_array_equal(one, 2 * weights[:, mary].detach().numpy())
    np.testing.assert_allclose(two, 2 * (weights[:, mary] - weights[:, john]).detach(), rtol=1e-6)
    at = "L3.resid_post@-1"
    pushed = server.run(PROMPT, {"kind": "add", "at": at, "value": ref, "scale": -20.0})
    assert server.run(PROMPT)["predictions"][0]["token"] == "Mary"
    assert pushed["predictions"][0]["token"] == "John"


@pytest.mark.parametrize("values", [0.5, [1, 2.5], [[1.0], [2.0]]])
def test_plain_numbers(server: Server, values: Any) -> None:
    _, value = stored(server, **{"from": "numbers", "values": values})
    assert value.dtype == np.float32 and value.tolist() == values


@pytest.mark.parametrize("values", [[], [[1], [1, 2]], ["a"], [None], [{}], [1e300], {"a": 1}, "x"])
def test_what_is_no_array_of_numbers(server: Server, values: Any) -> None:
    body = {"from": "numbers", "values": values}
    response = server.client.post("/api/values", json=body)
    assert response.status_code == 400, response.text


def test_each_edit_is_checked_alone(server: Server) -> None:
    ids = server.run(PROMPT)["ids"]
    edits = [
        {"kind": "zero", "at": "L1.z[H0]"},
        {"kind": "zero", "at": "L9.z[H0]"},
        {"kind": "set", "at": "L1.z", "value": [1.0, 2.0]},
        {"kind": "zero", "at": "L1.z[H0]"},
    ]
    told = server.post("/api/edits/check", model="microworld", ids=ids, edits=edits)["edits"]
    assert [each["ok"] for each in told] == [True, False, False, True]
    assert told[1]["failure"]["what"] == "layer 9 is out of range: the model has 4 layers"
    assert told[1]["failure"]["mend"] == "use L0 to L3"
    assert "shape" in told[2]["failure"]["what"]
