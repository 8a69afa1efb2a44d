"""A worker process as the process that started it sees it: orders, answers, and how it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

import residuum.core
from residuum.core import OptionError, ResiduumError
from residuum.dictionaries.training.share_worker import START

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerProcess:
    """One worker process; not started yet.

    Args:
        worker: its number, from 1; 0 is the process that starts the others.
        n: of all, that one included.
    """

    def __init__(self, worker: int, n: int) -> None:
        self.worker, self._n = worker, n
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, told: Mapping[str, Any], memory: int, threads: int) -> None:
        """Start the process and say what it begins with."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(memory,),
            env=os.environ | dict.fromkeys(_THREAD_VARIABLES, str(threads)),
            start_new_session=True,  # Ctrl-C goes to this process alone, which stops its workers
        )
        self.order(told)

    def order(self, order: Mapping[str, Any]) -> None:
        """Send an order; that the process is gone is noticed when it is to answer."""
        assert self._process is not None
        with suppress(OSError):
            _there(self._process.stdin).write(json.dumps(order).encode() + b"\n")
            _there(self._process.stdin).flush()

    def hear(self) -> dict[str, Any]:
        """Its next answer.

        Raises:
            OptionError: the process is gone.
            ResiduumError: what it raised; or RuntimeError.
        """
        assert self._process is not None
        line = _there(self._process.stdout).readline()
        if not line.endswith(b"\n"):
            raise self._lost()
        answer = json.loads(line)
        if "raised" in answer:
            raise _error(answer["raised"])
        return answer

    def stop(self) -> str:
        """End the process, if it has not ended; how it ended, in words."""
        if self._process is None:
            return "not started"
        self._process.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was still to be sent
                _there(pipe).close()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def _lost(self) -> OptionError:
        assert self._process is not None
        name = f"worker {self.worker + 1} of {self._n} (process {self._process.pid})"
        with suppress(subprocess.TimeoutExpired):  # let it end by itself, to be told how
            self._process.wait(5)
        return OptionError(
            f"{name} was lost: {self.stop()}",
            mend="the same call goes on from the last checkpoint where keep= was given; signal 9 "
            "mostly means that memory ran out: use fewer workers",
        )


def _error(told: Mapping[str, str]) -> BaseException:
    kind = getattr(residuum.core, told["kind"], None) if told["kind"] else None
    if isinstance(kind, type) and issubclass(kind, ResiduumError):
        made: BaseException = kind(told["what"], mend=told["mend"], where=told["where"])
    else:
        made = RuntimeError(told["what"])
    made.add_note(f"in a worker process:\n{told['trace']}")
    return made


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
