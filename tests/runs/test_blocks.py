"""Work in blocks: order does not matter, finished blocks are kept, a kill loses none of them."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from counted_work import CountedWork

import residuum as rz
from residuum.core import OptionError, StoreError
from residuum.runs import Done, InProcess, Model, Work, run_blocks
from residuum.runs.blocks import identity
from residuum.stores import CellLog


@pytest.fixture(scope="module")
def model() -> Model:
    return rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def expected(model: Model) -> list[Done]:
    return run_blocks(CountedWork(12), model)


@dataclass
class Told:
    said: list[tuple]

    def start(self, stage: str, total: int) -> None:
        self.said.append(("start", stage, total))

    def advance(self, steps: int = 1) -> None:
        self.said.append(("advance", steps))

    def finish(self) -> None:
        self.said.append(("finish",))


@dataclass(frozen=True)
class Chosen:
    """Runs the blocks in an order of its own."""

    order: tuple[int, ...]

    def run(
        self, work: Work, model: Model, wanted: Sequence[int]
    ) -> Generator[tuple[int, Done], None, None]:
        worker = work.begin(model)
        for index in self.order:
            yield index, worker.block(index)


def assert_equal(found: Sequence[Done], expected: Sequence[Done]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.values.dtype == np.float64
        assert one.values.shape == other.values.shape
        assert one.values.tobytes() == other.values.tobytes()
        assert one.passes == other.passes


def test_blocks_come_in_their_order_with_known_values(model: Model, expected: list[Done]) -> None:
    ids = torch.arange(4)[None], torch.arange(5, 11)[None]
    base, last = (model.hf(each).logits[0, -1].double().detach().numpy() for each in ids)
    assert [int(each.values[0, 0]) for each in expected] == list(range(12))
    assert np.array_equal(expected[5].values[0, 1:], last - base)


@pytest.mark.parametrize("seed", range(3))
def test_order_does_not_matter(model: Model, expected: list[Done], seed: int) -> None:
    order = list(range(12))
    random.Random(seed).shuffle(order)
    assert_equal(run_blocks(CountedWork(12), model, executor=Chosen(tuple(order))), expected)


def test_progress_counts_kept_blocks_as_finished(model: Model, tmp_path: Path) -> None:
    told = Told([])
    with pytest.raises(OptionError, match="block refused"):
        run_blocks(CountedWork(4, refuse=2), model, keep=tmp_path, progress=told)
    assert told.said == [("start", "counting", 4), ("advance", 1), ("advance", 1), ("finish",)]
    told.said.clear()
    run_blocks(CountedWork(4), model, keep=tmp_path, progress=told)
    assert told.said == [("start", "counting", 4), ("advance", 2), ("advance", 1), ("advance", 1),
                         ("finish",)]  # fmt: skip


def test_a_complete_run_is_read_back_without_beginning(
    model: Model, tmp_path: Path, expected: list[Done]
) -> None:
    @dataclass(frozen=True)
    class Idle(CountedWork):
        def begin(self, model: Model) -> None:
            raise AssertionError("nothing is left to do")

    assert_equal(run_blocks(CountedWork(12), model, keep=tmp_path / "deep"), expected)
    assert_equal(run_blocks(Idle(12), model, keep=tmp_path / "deep"), expected)


def test_a_worker_that_has_begun_goes_on(model: Model, expected: list[Done]) -> None:
    work = CountedWork(12)
    begun = work.begin(model)
    begun.base = begun.base - 1.0
    found = run_blocks(work, model, executor=InProcess(begun))
    assert np.array_equal(found[3].values[:, 1:], expected[3].values[:, 1:] + 1.0)


def test_no_blocks(model: Model, tmp_path: Path) -> None:
    assert run_blocks(CountedWork(0), model, keep=tmp_path) == []


def test_an_interrupt_keeps_what_was_finished(
    model: Model, tmp_path: Path, expected: list[Done]
) -> None:
    @dataclass(frozen=True)
    class Stopped:
        closed: list[bool]

        def run(
            self, work: Work, model: Model, wanted: Sequence[int]
        ) -> Generator[tuple[int, Done], None, None]:
            try:
                for at, pair in enumerate(InProcess().run(work, model, wanted)):
                    if at == 5:
                        raise KeyboardInterrupt
                    yield pair
            finally:
                self.closed.append(True)

    stopped = Stopped([])
    journal = tmp_path / "journal"
    journal.mkdir()
    work = CountedWork(12, journal=str(journal))
    with pytest.raises(KeyboardInterrupt):
        run_blocks(work, model, executor=stopped, keep=tmp_path)
    assert stopped.closed == [True]
    assert_equal(run_blocks(work, model, keep=tmp_path), expected)
    assert [index for index, _ in work.begun()] == [*range(6), *range(5, 12)]


def test_the_executor_is_closed_when_the_log_fails(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    class Open:
        def run(
            self, work: Work, model: Model, wanted: Sequence[int]
        ) -> Generator[tuple[int, Done], None, None]:
            try:
                yield from InProcess().run(work, model, wanted)
            finally:
                closed.append(True)

    def full(*_: object) -> None:
        raise StoreError("the disk is full", mend="free some space")

    monkeypatch.setattr(CellLog, "append", full)
    with pytest.raises(StoreError, match="the disk is full"):
        run_blocks(CountedWork(3), model, executor=Open(), keep=tmp_path)
    assert closed == [True]


@pytest.mark.parametrize(
    ("order", "what"),
    [
        ((0, 1), "Chosen ended without 2 of 4 blocks, such as block 2"),
        ((0, 1, 1), "Chosen handed on block 1 twice or unasked"),
        ((0, 7), "Chosen handed on block 7 twice or unasked"),
    ],
)
def test_an_executor_that_fails_its_contract(
    model: Model, order: tuple[int, ...], what: str
) -> None:
    with pytest.raises(OptionError) as caught:
        run_blocks(CountedWork(4), model, executor=Chosen(order))
    assert caught.value.what == what


def test_what_the_hash_depends_on(model: Model) -> None:
    work = CountedWork(3)
    assert identity(work, model) == identity(replace(work, seconds=1.0), model)
    assert identity(work, model) != identity(CountedWork(4), model)
    other = rz.load("microworld-trigger", check=False)
    assert identity(work, model) != identity(work, other)
    exact = rz.load("microworld", check=False, dtype="float64")
    assert identity(work, model) != identity(work, exact)


def test_a_changed_weight_does_not_read_old_blocks(tmp_path: Path) -> None:
    model, work = rz.load("microworld", check=False), CountedWork(3)
    before = run_blocks(work, model, keep=tmp_path)
    with torch.no_grad():
        model.hf.get_input_embeddings().weight.mul_(1.5)
    after = run_blocks(work, model, keep=tmp_path)
    assert not np.array_equal(before[1].values, after[1].values)
    assert len(list(tmp_path.glob("*.cells"))) == 2


def test_a_key_that_is_no_plain_data(model: Model, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Odd(CountedWork):
        def key(self) -> dict:
            return {"tensor": torch.zeros(2)}

    with pytest.raises(OptionError) as caught:
        run_blocks(Odd(2), model, keep=tmp_path)
    assert caught.value.what.startswith("the key of counting is no plain data: ")
    assert caught.value.mend.endswith("tensors by their hash")


def test_a_kept_block_that_the_work_does_not_have(model: Model, tmp_path: Path) -> None:
    name = identity(CountedWork(2), model)
    with CellLog(tmp_path / f"{name[:16]}.cells", name) as log:
        log.append(5, np.zeros(1))
    with pytest.raises(StoreError, match="has block 5, the work 2 blocks"):
        run_blocks(CountedWork(2), model, keep=tmp_path)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
import residuum as rz
from counted_work import CountedWork
from residuum.runs import run_blocks
model = rz.load("microworld", check=False)
run_blocks(CountedWork(40, journal=sys.argv[2], seconds=0.02), model, keep=sys.argv[2])
"""


def finished(work: CountedWork, model: Model, folder: Path) -> set[int]:
    name = identity(work, model)
    with CellLog(folder / f"{name[:16]}.cells", name) as log:
        return set(log.cells)


@pytest.mark.parametrize("seed", range(2))
def test_sigkill_at_a_random_moment_loses_no_finished_block(
    model: Model, tmp_path: Path, root: Path, seed: int
) -> None:
    work = CountedWork(40, journal=str(tmp_path), seconds=0.02)
    command = [sys.executable, "-c", SCRIPT, str(root / "tests/support"), str(tmp_path)]
    with subprocess.Popen(command) as process:
        while not work.begun() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    before = [index for index, _ in work.begun()]
    kept = finished(work, model, tmp_path)
    assert before and len(before) < 40
    assert len(set(before) - kept) <= 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = run_blocks(work, model, keep=tmp_path)
        expected = run_blocks(CountedWork(40), model)
    finally:
        torch.set_num_threads(threads)
    after = [index for index, _ in work.begun()][len(before) :]
    assert sorted(after) == sorted(set(range(40)) - kept)
    assert_equal(found, expected)
    assert_equal(run_blocks(work, model, keep=tmp_path), expected)
