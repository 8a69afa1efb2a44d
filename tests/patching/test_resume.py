"""Sweeps by worker processes, and sweeps that were killed and go on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.runs import Done, Model
from residuum.runs.sweeping.forked import ForkedWorker
from residuum.stores import CellLog

BY = ("layer", "head", "pos")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many threads here as in each worker, so that numbers are equal to the bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> Model:
    return rz.load("microworld")


def random_task() -> rz.Task:
    """Pairs of random words that differ at three positions."""
    ids = torch.randint(10, 500, (5, 14), generator=torch.Generator().manual_seed(0))
    corrupt = ids.clone()
    corrupt[:, 3:6] = torch.randint(10, 500, (5, 3), generator=torch.Generator().manual_seed(1))
    return rz.Task.from_pairs(clean=ids, corrupt=corrupt, answers=ids[:, 4], wrong=corrupt[:, 4])


@pytest.fixture(scope="module")
def task() -> rz.Task:
    return random_task()


@pytest.mark.parametrize("engine", ["forked", "naive"])
def test_two_workers_give_the_same_sweep(model: Model, task: rz.Task, engine: str) -> None:
    by = BY if engine == "forked" else ("layer", "head")
    alone, shared = (rz.patch(model, task, by=by, engine=engine, jobs=n) for n in (1, 2))
    assert float(np.abs(alone.effects).max()) > 0.05
    assert np.array_equal(alone.per_example, shared.per_example, equal_nan=True)
    assert alone.engine == shared.engine == engine
    assert np.array_equal(alone.clean, shared.clean)
    assert np.array_equal(alone.corrupt, shared.corrupt)


def blocks_on_disk(folder: Path) -> dict[int, tuple[bytes, float]]:
    (path,) = folder.glob("*.cells")
    raw = path.read_bytes()[20:52]  # the hash of the work stands in the header
    with CellLog(path, raw.hex()) as log:
        return {index: (cell.values.tobytes(), cell.passes) for index, cell in log.cells.items()}


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
import residuum as rz
from residuum.runs.sweeping.forked import ForkedWorker
plain = ForkedWorker.block
def slow(self, index):
    time.sleep(0.05)
    return plain(self, index)
ForkedWorker.block = slow
model = rz.load("microworld")
from test_resume import random_task
task = random_task()
rz.patch(model, task, by=("layer", "head", "pos"), keep=sys.argv[1], max_memory="1 GB")
"""


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_sweep_goes_on(
    model: Model, task: rz.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    whole = rz.patch(model, task, by=BY, keep=tmp_path / "whole", max_memory="1 GB")
    known = blocks_on_disk(tmp_path / "whole")
    folder = tmp_path / "killed"
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(Path(__file__).parent)]
    ) as process:
        while not list(folder.glob("*.cells")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0.1, 0.05 * len(known) * 0.6))
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept = blocks_on_disk(folder)
    assert 0 < len(kept) < len(known)
    assert all(kept[index][0] == known[index][0] for index in kept)
    ran: list[int] = []
    plain = ForkedWorker.block

    def counted(worker: ForkedWorker, index: int) -> Done:
        ran.append(index)
        return plain(worker, index)

    monkeypatch.setattr(ForkedWorker, "block", counted)
    found = rz.patch(model, task, by=BY, keep=folder, max_memory="1 GB")
    assert sorted(ran) == sorted(known.keys() - kept.keys())
    assert np.array_equal(found.per_example, whole.per_example, equal_nan=True)
    assert np.array_equal(found.clean, whole.clean)
    ran.clear()
    again = rz.patch(model, task, by=BY, keep=folder, max_memory="1 GB")
    assert ran == []
    assert np.array_equal(again.per_example, whole.per_example, equal_nan=True)


def test_another_sweep_in_the_same_folder_has_a_file_of_its_own(
    model: Model, task: rz.Task, tmp_path: Path
) -> None:
    one = rz.patch(model, task, keep=tmp_path)
    other = rz.patch(model, task, keep=tmp_path, direction="noise")
    assert len(list(tmp_path.glob("*.cells"))) == 2
    assert not np.array_equal(one.per_example, other.per_example)
    for sweep, direction in ((one, "denoise"), (other, "noise")):
        again = rz.patch(model, task, keep=tmp_path, direction=direction)
        assert np.array_equal(again.per_example, sweep.per_example, equal_nan=True)
    assert len(list(tmp_path.glob("*.cells"))) == 2
