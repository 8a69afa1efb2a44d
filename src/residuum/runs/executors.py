"""Executors on one machine: this process, or several worker processes that share the weights."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import torch

from residuum.core import OptionError
from residuum.runs.arguments import whole_number
from residuum.runs.blocks import Done, InProcess, Work
from residuum.runs.handover import pack
from residuum.runs.model import Model
from residuum.runs.worker_process import START, Finished, Raised

__all__ = ["InProcess", "WorkerProcesses"]

_DEATHS = 3
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class WorkerProcesses:
    """Runs blocks in worker processes on this machine, for a model on the processor.

    Each worker maps the same weights (no copy each), computes what the blocks share once, and uses
    its share of torch's threads: ``torch.get_num_threads() // n``, at least one. Results are
    bit-equal to one process with as many threads; with another number of threads they differ by
    the model's own numerical noise. Starting a worker costs some seconds (it imports transformers).

    Workers are fresh Pythons that do not import the calling script, so that no
    ``if __name__ == "__main__":`` is needed. In return, own classes that the model or the work
    names must stand in a module that can be imported, not in the script or the notebook itself.

    A worker that is killed loses no finished block: its block goes to a fresh one. A worker that
    raises stops the others, and its error is raised here. Workers end when this process does,
    however it ends.

    Attributes:
        n: number of workers; never more than there are blocks.

    Raises:
        OptionError: ``n`` is no whole number from 1; a model that is not on the processor or cannot
            be sent; workers that are killed again and again.
    """

    n: int

    def __post_init__(self) -> None:
        whole_number(self.n, "n", 1)

    def run(
        self, work: Work, model: Model, wanted: Sequence[int]
    ) -> Generator[tuple[int, Done], None, None]:
        """Run these blocks and hand each on as it is finished."""
        if not wanted:
            return
        with tempfile.TemporaryDirectory(prefix="residuum-workers-") as folder:
            file = Path(folder) / "handover"
            pack(model, work, file)
            crew = _Crew(work.name, file, max(1, torch.get_num_threads() // self.n))
            try:
                yield from crew.run(deque(wanted), self.n)
            finally:
                crew.stop()


@dataclass(frozen=True)
class _Lost:
    """A worker process ended by itself."""


class _Hand:
    """One worker process; idle, it is at None.

    Args:
        file: what it begins with.
        threads: for torch.
        reports: where what it answers is put, by a thread that does nothing else.
    """

    def __init__(self, file: Path, threads: int, reports: SimpleQueue[tuple[_Hand, Any]]) -> None:
        self.at: int | None = None
        self._told = {"path": [str(each) for each in sys.path], "file": str(file)}
        self._threads = threads
        self._reports = reports
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Start the process; what it finishes first is to begin the work."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | dict.fromkeys(_THREAD_VARIABLES, str(self._threads)),
            start_new_session=True,  # Ctrl-C goes to this process alone, which stops its workers
        )
        self._reader.start()
        self._send(json.dumps(self._told | {"threads": self._threads}).encode() + b"\n")

    def order(self, index: int) -> None:
        """Ask for a block."""
        self.at = index
        self._send(pickle.dumps(index))

    def stop(self) -> str:
        """End the process, if it has not ended; how it ended, in words."""
        if self._process is None:
            return "not started"
        self._process.kill()
        code = self._process.wait()
        if self._reader.ident is not None:
            self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was still to be sent
                _there(pipe).close()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def _send(self, data: bytes) -> None:
        assert self._process is not None
        with suppress(OSError):  # that the process is gone is told by the reader
            _there(self._process.stdin).write(data)
            _there(self._process.stdin).flush()

    def _read(self) -> None:
        assert self._process is not None
        try:
            while True:
                self._reports.put((self, pickle.load(_there(self._process.stdout))))
        except (EOFError, OSError, pickle.UnpicklingError):
            self._reports.put((self, _Lost()))


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


@dataclass(eq=False)
class _Crew:
    """The worker processes of one run.

    Attributes:
        deaths: how often a worker was lost at a block; at None, before its first.
    """

    name: str
    file: Path
    threads: int
    hands: set[_Hand] = field(default_factory=set)
    free: list[_Hand] = field(default_factory=list)
    deaths: Counter[int | None] = field(default_factory=Counter)
    reports: SimpleQueue[tuple[_Hand, Any]] = field(default_factory=SimpleQueue)

    def run(self, todo: deque[int], n: int) -> Generator[tuple[int, Done], None, None]:
        """Give out blocks and hand on what comes back."""
        left = len(todo)
        for _ in range(min(n, left)):
            self._hire()
        while left:
            hand, report = self.reports.get()
            if isinstance(report, Raised):
                raise report.error()
            if isinstance(report, _Lost):
                self._replace(hand, todo)
            else:
                hand.at = None
                self.free.append(hand)
            while todo and self.free:
                self.free.pop().order(todo.popleft())
            if isinstance(report, Finished):
                left -= 1
                yield report.index, report.done

    def stop(self) -> None:
        """End every worker."""
        while self.hands:
            self.hands.pop().stop()

    def _hire(self) -> None:
        hand = _Hand(self.file, self.threads, self.reports)
        self.hands.add(hand)  # before it starts, so that an interrupt leaves none behind
        hand.start()

    def _replace(self, hand: _Hand, todo: deque[int]) -> None:
        """A fresh worker for a lost one, unless too many were lost at the same place."""
        self.hands.discard(hand)
        if hand in self.free:
            self.free.remove(hand)
        how = hand.stop()
        self.deaths[hand.at] += 1
        if self.deaths[hand.at] >= _DEATHS:
            place = "before its first block" if hand.at is None else f"at block {hand.at}"
            raise OptionError(
                f"{self.name}: {_DEATHS} worker processes were lost {place} (the last: {how})",
                mend="use fewer jobs: signal 9 mostly means that memory ran out; what was finished "
                "is kept where keep= says",
            )
        if hand.at is not None:
            todo.appendleft(hand.at)
        self._hire()
