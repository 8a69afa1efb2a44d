"""What runs inside a worker process: orders come in on stdin, finished blocks go out on stdout.

Started with :data:`START` by ``WorkerProcesses``, as a plain Python that never imports the user's
script: no ``if __name__ == "__main__":`` is needed, and it works from a notebook.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import torch

from residuum.core import ResiduumError
from residuum.runs.blocks import Done
from residuum.runs.handover import unpack

START = (
    "import json, os, sys; out = os.dup(1); os.dup2(2, 1); "  # no print gets between the answers
    "told = json.loads(sys.stdin.buffer.readline()); sys.path[:] = told['path']; "
    "from residuum.runs.worker_process import serve; serve(told['file'], told['threads'], out)"
)


@dataclass(frozen=True)
class Ready:
    """The worker has begun and waits for a block."""


@dataclass(frozen=True)
class Finished:
    """A block is done."""

    index: int
    done: Done


@dataclass(frozen=True)
class Raised:
    """Something raised: a ResiduumError in its parts, or any other error that can be sent.

    Attributes:
        kind: class of the error.
        parts: what ``kind`` is made of.
        mend: of a ResiduumError, else None.
        trace: where it happened, as text.
    """

    kind: type[BaseException]
    parts: tuple[Any, ...]
    mend: str | None
    where: str
    trace: str

    def error(self) -> BaseException:
        """The error as it was, with the worker's traceback as a note."""
        if self.mend is not None and issubclass(self.kind, ResiduumError):
            made: BaseException = self.kind(*self.parts, mend=self.mend, where=self.where)
        else:
            made = self.kind(*self.parts)
        made.add_note(f"in a worker process:\n{self.trace}")
        return made


def serve(file: str, threads: int, out: int) -> None:
    """Begin the work in this file and run blocks until nobody listens.

    Args:
        file: what ``handover.pack`` wrote.
        threads: for torch.
        out: file descriptor for the answers.
    """
    answers = os.fdopen(out, "wb")
    torch.set_num_threads(threads)
    orders: SimpleQueue[int] = SimpleQueue()
    folder = Path(file).parent
    threading.Thread(target=_listen, args=(orders, folder), daemon=True).start()
    try:
        model, work = unpack(Path(file))
        worker = work.begin(model)
        _tell(answers, Ready())
        while True:
            index = orders.get()
            _tell(answers, Finished(index, worker.block(index)))
    except BaseException as error:
        _tell(answers, _raised(error))
    finally:
        os._exit(1)  # the other thread still waits for orders


def _listen(orders: SimpleQueue[int], folder: Path) -> None:
    """Pass orders on; when the process that gives them is gone, clear up after it and leave."""
    try:
        while True:
            orders.put(pickle.load(sys.stdin.buffer))
    except (EOFError, OSError, pickle.UnpicklingError):
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)


def _tell(answers: IO[bytes], report: Ready | Finished | Raised) -> None:
    answers.write(pickle.dumps(report))
    answers.flush()


def _raised(error: BaseException) -> Raised:
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, ResiduumError):
        return Raised(type(error), (error.what,), error.mend, error.where, trace)
    plain = Raised(RuntimeError, (f"{type(error).__name__}: {error}",), None, "", trace)
    exact = Raised(type(error), error.args, None, "", trace)
    try:
        pickle.loads(pickle.dumps(exact)).error()
    except Exception:  # an error that cannot be sent or made again is told in words
        return plain
    return exact
