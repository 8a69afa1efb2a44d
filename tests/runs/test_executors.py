"""Worker processes: the same numbers, no finished block lost, no process left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from counted_work import CountedWork, PatchingWork

import residuum as rz
from residuum.core import OptionError
from residuum.runs import Done, InProcess, Model, WorkerProcesses, run_blocks
from residuum.runs.blocks import identity
from residuum.stores import CellLog


@pytest.fixture(scope="module")
def model() -> Model:
    return rz.load("microworld", check=False)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where handed-over models are written; empty again after each test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pids: set[int], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def one_thread(work: CountedWork, model: Model) -> list[Done]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run_blocks(work, model, executor=InProcess())
    finally:
        torch.set_num_threads(threads)


def assert_bit_equal(found: list[Done], expected: list[Done]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.values.shape == other.values.shape
        assert one.values.tobytes() == other.values.tobytes()
        assert one.passes == other.passes


def test_workers_give_the_numbers_of_one_process(model: Model, tmp_path: Path) -> None:
    work = CountedWork(24, journal=str(tmp_path), seconds=0.05)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = run_blocks(work, model, executor=WorkerProcesses(2))
    finally:
        torch.set_num_threads(threads)
    begun = work.begun()
    assert sorted(index for index, _ in begun) == list(range(24))
    assert len({pid for _, pid in begun}) == 2
    assert os.getpid() not in {pid for _, pid in begun}
    assert gone({pid for _, pid in begun}, 0)
    assert_bit_equal(found, one_thread(CountedWork(24), model))


def test_patching_by_workers_is_patching(model: Model) -> None:
    task = rz.task("ioi", model, n=3, seed=1)
    work = PatchingWork(task.clean, task.corrupt, model.n_layers)
    found = run_blocks(work, model, executor=WorkerProcesses(2))
    assert max(float(np.abs(each.values).max()) for each in found) > 1
    for one, other in zip(found, run_blocks(work, model), strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-4)


def test_a_killed_worker_costs_one_block(model: Model, tmp_path: Path) -> None:
    work = CountedWork(10, journal=str(tmp_path), kill=4)
    found = run_blocks(work, model, executor=WorkerProcesses(2), keep=tmp_path)
    begun = [index for index, _ in work.begun()]
    assert sorted(begun) == sorted([*range(10), 4])
    assert gone({pid for _, pid in work.begun()}, 0)
    assert_bit_equal(found, one_thread(CountedWork(10), model))


def test_workers_killed_from_outside_at_random_moments(model: Model, tmp_path: Path) -> None:
    work = CountedWork(20, journal=str(tmp_path), seconds=0.02)
    chance, killed = random.Random(3), []

    class Killing:
        def start(self, stage: str, total: int) -> None: ...

        def finish(self) -> None: ...

        def advance(self, steps: int = 1) -> None:
            running = [pid for _, pid in work.begun() if pid not in killed]
            if len(killed) < 2 and chance.random() < 0.3:
                killed.append(running[-1])
                os.kill(running[-1], signal.SIGKILL)

    found = run_blocks(work, model, executor=WorkerProcesses(2), progress=Killing())
    assert len(killed) == 2
    assert 20 <= len(work.begun()) <= 22
    assert_bit_equal(found, one_thread(CountedWork(20), model))


def test_repeated_deaths_say_which_block_and_keep_the_rest(model: Model, tmp_path: Path) -> None:
    work = CountedWork(6, journal=str(tmp_path), kill=3, kills=99)
    with pytest.raises(OptionError) as caught:
        run_blocks(work, model, executor=WorkerProcesses(2), keep=tmp_path)
    assert caught.value.what == (
        "counting: 3 worker processes were lost at block 3 (the last: killed by signal 9)"
    )
    assert caught.value.mend.startswith("use fewer jobs: signal 9 mostly means that memory ran out")
    assert gone({pid for _, pid in work.begun()}, 0)
    before = len(work.begun())
    healthy = CountedWork(6, journal=str(tmp_path))
    assert_bit_equal(run_blocks(healthy, model, keep=tmp_path), one_thread(healthy, model)[:6])
    later = [index for index, _ in work.begun()][before:]
    assert 3 in later and len(later[:-6]) < 6


def test_workers_that_never_begin(model: Model) -> None:
    with pytest.raises(OptionError) as caught:
        run_blocks(CountedWork(6, kill=-2), model, executor=WorkerProcesses(1))
    assert "3 worker processes were lost before its first block" in caught.value.what


@pytest.mark.parametrize(
    ("work", "kind", "text", "mend", "where"),
    [
        (CountedWork(50, refuse=3), OptionError, "block refused", "ask for another", "block 3"),
        (CountedWork(50, refuse=-2), OptionError, "no beginning", "ask for another", ""),
        (CountedWork(50, fall=-2), KeyError, "'no such thing'", None, None),
        (CountedWork(50, fall=3), RuntimeError, "SecretError: quite broken", None, None),
    ],
)
def test_a_workers_error_is_raised_here(
    model: Model,
    tmp_path: Path,
    work: CountedWork,
    kind: type[Exception],
    text: str,
    mend: str | None,
    where: str | None,
) -> None:
    work = replace(work, journal=str(tmp_path), seconds=0.01)
    with pytest.raises(kind) as caught:
        run_blocks(work, model, executor=WorkerProcesses(2))
    assert type(caught.value) is kind
    assert getattr(caught.value, "what", str(caught.value)) == text
    assert getattr(caught.value, "mend", None) == mend
    assert getattr(caught.value, "where", None) == where
    assert "in a worker process:\nTraceback" in caught.value.__notes__[0]
    assert len(work.begun()) < 50
    assert gone({pid for _, pid in work.begun()}, 0)


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(2)
import residuum as rz
from counted_work import CountedWork
from residuum.runs import WorkerProcesses, run_blocks
model = rz.load("microworld", check=False)
work = CountedWork(400, journal=sys.argv[2], seconds=0.02)
run_blocks(work, model, executor=WorkerProcesses(2), keep=sys.argv[2])
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_when_this_process_ends_so_do_its_workers(
    model: Model, tmp_path: Path, root: Path, place: Path, how: signal.Signals
) -> None:
    work = CountedWork(400, journal=str(tmp_path))
    command = [sys.executable, "-c", SCRIPT, str(root / "tests/support"), str(tmp_path)]
    environment = os.environ | {"TMPDIR": str(place)}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while len({pid for _, pid in work.begun()}) < 2 and process.poll() is None:
            time.sleep(0.01)
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # as the terminal does: to all of the group
        else:
            process.send_signal(how)
        process.wait(timeout=60)
        pids = {pid for _, pid in work.begun()}
        assert gone(pids)
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == -how
    assert said.count("KeyboardInterrupt") == (how == signal.SIGINT)
    until = time.monotonic() + 20
    while list(place.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    begun = {index for index, _ in work.begun()}
    name = identity(work, model)
    with CellLog(tmp_path / f"{name[:16]}.cells", name) as log:
        kept = {index: cell.values for index, cell in log.cells.items()}
    assert len(pids) == 2 and len(begun) < 400
    assert len(begun - kept.keys()) <= 4
    expected = one_thread(CountedWork(max(kept, default=0) + 1), model)
    assert all(kept[index].tobytes() == expected[index].values.tobytes() for index in kept)


def test_ctrl_c_while_workers_start_is_told_once(tmp_path: Path, root: Path, place: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(root / "tests/support"), str(tmp_path)]
    environment = os.environ | {"TMPDIR": str(place)}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while not list(place.glob("*/handover")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read().decode()  # ends when nobody is left to write to it
    assert process.returncode == -signal.SIGINT
    assert said.count("KeyboardInterrupt") == 1


PLAIN = """
import sys
sys.path.insert(0, {support!r})
import residuum as rz
from counted_work import CountedWork
from residuum.runs import WorkerProcesses, run_blocks
print("once")
class Own(CountedWork): pass
model = rz.load("microworld", check=False)
print(len(run_blocks({kind}(3), model, executor=WorkerProcesses(2))))
"""


@pytest.mark.parametrize("through", ["file", "stdin"])
def test_a_script_needs_no_guard(tmp_path: Path, root: Path, through: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(PLAIN.format(support=str(root / "tests/support"), kind="CountedWork"))
    with script.open() as text:
        command = [sys.executable, *([str(script)] if through == "file" else ["-"])]
        ended = subprocess.run(command, stdin=text, capture_output=True, text=True, timeout=120)
    assert ended.stdout == "once\n3\n", ended.stderr


def test_classes_of_the_script_itself_are_refused_with_a_mend(tmp_path: Path, root: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PLAIN.format(support=str(root / "tests/support"), kind="Own"))
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 1
    assert "a worker process cannot read the model or the work: " in ended.stderr
    assert "mend: run it in this process (jobs=1), or put the classes" in ended.stderr


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "4", None])
def test_numbers_of_workers(n: object) -> None:
    with pytest.raises(OptionError, match="out of range"):
        WorkerProcesses(n)  # type: ignore[arg-type]


def test_no_more_workers_than_blocks(model: Model, tmp_path: Path) -> None:
    work = CountedWork(1, journal=str(tmp_path))
    assert len(run_blocks(work, model, executor=WorkerProcesses(16))) == 1
    assert run_blocks(CountedWork(0), model, executor=WorkerProcesses(16)) == []
