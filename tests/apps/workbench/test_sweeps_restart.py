"""A server killed in the middle of a sweep loses no finished cell."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from sweep_events import drawn, followed, started, until
from view_looks import microworld
from workbench_server import opened

import residuum as rz
from residuum.apps.workbench import live_blocks
from residuum.apps.workbench.app import create_app
from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.sweep_tally import SweepTally
from residuum.runs.sweeping.forked import ForkedWorker

LONG = {"task": "ioi", "n": 48, "sites": "mlp_act", "by": ["layer", "neuron"]}
_SERVE = """
import sys, uvicorn
from residuum.apps.workbench.app import create_app
from residuum.apps.workbench.bench import Bench

folder, port = sys.argv[1], int(sys.argv[2])
app = create_app(Bench(["microworld"], folder), "the-token", [f"127.0.0.1:{port}"], port)
uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answered(client: httpx.Client, url: str, seconds: float = 60.0) -> Any:
    """What a GET answers, as soon as there is someone."""
    end = monotonic() + seconds
    while monotonic() < end:
        try:
            return client.get(url).json()
        except httpx.TransportError:
            sleep(0.05)
    raise AssertionError(f"nobody answered {url}")


def test_finished_cells_are_not_computed_again_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(tmp_path), str(port)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    headers = {"Authorization": "Bearer the-token"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            answered(client, "/api/models")
            response = client.post("/api/sweeps", json={"model": "microworld", **LONG}, timeout=60)
            assert response.status_code == 200, response.text
            url = f"/api/jobs/{response.json()['job']}"
            until(lambda: client.get(url).json()["done"] >= 3)
            before = client.get(url).json()
            os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert before["state"] == "running"
    computed: list[int] = []
    plain = ForkedWorker.block

    def counted(self: ForkedWorker, index: int) -> Any:
        computed.append(index)
        return plain(self, index)

    monkeypatch.setattr(ForkedWorker, "block", counted)
    server = opened(tmp_path)
    try:
        plan = started(server, **LONG)
        events = followed(server, plan["job"])
        result = events[-1]["result"]
        first = next(each for each in events if each["type"] == "progress")
        assert first["kept"] == result["kept_blocks"] >= before["done"]
        assert len(computed) == result["computed_blocks"] == before["total"] - first["kept"]
        early = drawn(plan, [each for each in events if each["n"] <= first["n"]])
        assert np.isfinite(early).sum() > 0  # what was kept comes before anything is computed
        monkeypatch.undo()
        task = rz.task("ioi", microworld(), n=48)
        sweep = rz.patch(microworld(), task, "mlp_act", ("layer", "neuron"), max_memory="2 GB")
        assert np.allclose(drawn(plan, events), sweep.effects.values, atol=1e-5)
    finally:
        server.bench.close()


def test_a_finished_sweep_is_read_back(tmp_path: Path) -> None:
    server = opened(tmp_path)
    first = followed(server, started(server, task="ioi", n=4)["job"])[-1]["result"]
    again = followed(server, started(server, task="ioi", n=4)["job"])[-1]["result"]
    other = followed(server, started(server, task="ioi", n=4, seed=1)["job"])[-1]["result"]
    server.bench.close()
    assert first["computed_blocks"] > 0 and again["computed_blocks"] == 0
    assert again["effects"] == first["effects"] != other["effects"]
    assert other["kept_blocks"] == 0


def test_the_list_of_jobs_says_what_became_of_earlier_ones(tmp_path: Path) -> None:
    counts = []
    for _ in range(2):
        server = opened(tmp_path)
        try:
            told = server.get("/api/jobs")
            assert told["jobs"] == [] and "ask for the same sweep again" in told["note"]
            counts.append(told["kept_sweeps"])
            followed(server, started(server, task="ioi", n=2)["job"])
            assert len(server.get("/api/jobs")["jobs"]) == 1
        finally:
            server.bench.close()
    assert counts == [0, 1]


def test_a_damaged_file_of_cells_is_told(tmp_path: Path) -> None:
    server = opened(tmp_path)
    followed(server, started(server, task="ioi", n=4)["job"])
    path = next((tmp_path / "sweeps").glob("*.cells"))
    data = bytearray(path.read_bytes())
    data[70] ^= 255
    path.write_bytes(data)
    last = followed(server, started(server, task="ioi", n=4)["job"])[-1]
    server.bench.close()
    assert last["type"] == "failed" and "damaged" in last["what"] and "move it" in last["mend"]


def test_old_files_are_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_blocks, "_FILES", 2)
    server = opened(tmp_path)
    for seed in range(4):
        followed(server, started(server, task="ioi", n=2, seed=seed)["job"])
    server.bench.close()
    assert len(list((tmp_path / "sweeps").glob("*.cells"))) == 2


class _SeveralChunks:
    """Collects what a sweep of several groups of prompts tells, block by block in any order."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.told: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.cells: list[Any] = []

    def run(self, work: Any, model: Any, wanted: Any) -> Any:
        tally, worker = SweepTally(work), work.begin(model)
        self.cells = tally.cells
        assert len({block.first_row for block in work.blocks}) > 1
        shuffled = np.random.default_rng(self.order).permutation(list(wanted))
        for index in shuffled.tolist() if self.order else wanted:
            done = worker.block(index)
            cells = tally.take(index, done)
            self.told.append((cells, *tally.effects(cells)))
            yield index, done


@pytest.mark.parametrize("order", (0, 1, 2))
def test_means_of_some_prompts_are_marked_and_end_exactly(order: int) -> None:
    model = microworld()
    clean = torch.randint(3, 500, (8, 10), generator=torch.Generator().manual_seed(0))
    corrupt = clean.clone()
    for row in range(8):
        corrupt[row, row] += 1
    task = rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=[180] * 8, wrong=[166] * 8)
    watched = _SeveralChunks(order)
    more: dict[str, Any] = {"max_memory": "4 MB", "jobs": watched}
    sweep = rz.patch(model, task, "resid_post", ("layer", "pos"), **more)
    grid, final = np.full(sweep.effects.shape, np.nan), np.zeros(sweep.effects.shape, bool)
    partial = 0
    for cells, values, finals in watched.told:
        for cell, value, last in zip(cells, values, finals, strict=True):
            at = watched.cells[cell]
            assert not final[at], "a final cell changed"
            grid[at], final[at] = value, last
            partial += not last
    assert final.all() and partial > 0
    assert np.array_equal(grid, sweep.effects.values)


def test_a_listener_that_goes_away_is_forgotten(tmp_path: Path) -> None:
    port = free_port()
    bench = Bench(["microworld"], tmp_path)
    app = create_app(bench, "the-token", [f"127.0.0.1:{port}"], port)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    headers = {"Authorization": "Bearer the-token"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            answered(client, "/api/models")
            made = client.post("/api/sweeps", json={"model": "microworld", **LONG}, timeout=60)
            job = bench.jobs.get(made.json()["job"])
            with client.stream("GET", f"/api/jobs/{job.id}/events") as stream:
                lines = stream.iter_lines()  # held: a reader that is dropped hangs up
                assert next(lines)
                until(lambda: job.log.listeners == 1)
            until(lambda: job.log.listeners == 0)
            assert job.state in ("running", "waiting")  # it goes on without listeners
            client.delete(f"/api/jobs/{job.id}")
            until(lambda: job.over)
    finally:
        server.should_exit = True
        thread.join(30)
        bench.close()
