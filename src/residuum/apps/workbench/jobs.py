"""Long work: its progress, its cancelling, its stream of events."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from residuum.apps.workbench.desk import Desk
from residuum.apps.workbench.event_log import EventLog
from residuum.apps.workbench.refusals import Busy, NotFound
from residuum.core import ResiduumError
from residuum.runs import Model

LOG = logging.getLogger("residuum.workbench")
WAITING = 32
"""Jobs that may wait or run."""
LEAVE_S = 10.0
"""Seconds that a running job gets to come to its next step when the server stops."""
REMEMBERED = 64
"""Finished jobs that are remembered."""


class Stopped(Exception):
    """The job was cancelled; raised in its work, at the next step."""


@dataclass(eq=False)
class Job:
    """One piece of long work.

    Attributes:
        kind: such as ``"sweep"``.
        model: name.
        about: plain data that says what it is, known before it starts.
        state: ``waiting``, ``running``, ``done``, ``failed`` or ``cancelled``.
        result: plain data, once it is done.
        created: UTC, ISO.
    """

    id: str
    kind: str
    model: str
    about: dict[str, Any]
    log: EventLog = field(default_factory=EventLog)
    state: str = "waiting"
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None
    created: str = ""
    asked_to_stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Whether it ended, however it did."""
        return self.state not in ("waiting", "running")


class Ticket:
    """What the work of a job holds: it tells of itself, and lets others through, here.

    Args:
        job: whose work it is.
        desk: whose thread does it.
    """

    def __init__(self, job: Job, desk: Desk) -> None:
        self._job, self._desk = job, desk

    def breathe(self) -> None:
        """Let short requests through; called between steps.

        Raises:
            Stopped: the job was cancelled.
        """
        self.check()
        self._desk.breathe()
        self.check()

    def check(self) -> None:
        """Stop here if the job was cancelled.

        Raises:
            Stopped: it was.
        """
        if self._job.asked_to_stop.is_set():
            raise Stopped

    def progress(self, done: int, total: int, eta_s: float | None, **more: Any) -> None:
        """Say how far the work is, and about how many seconds it will take from here."""
        self._job.done, self._job.total = done, total
        self._job.log.add("progress", done=done, total=total, eta_s=eta_s, **more)

    def tell(self, event: dict[str, Any]) -> None:
        """Write an event of another type."""
        fields = {name: value for name, value in event.items() if name != "type"}
        self._job.log.add(event["type"], **fields)


Work = Callable[[Model, Ticket], dict[str, Any]]


class Jobs:
    """The jobs of this server, the newest last."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, desk: Desk, kind: str, about: dict[str, Any], work: Work) -> Job:
        """Put work into the desk's queue as a job.

        Args:
            work: called with the model and a ticket on the desk's thread; returns the result.

        Raises:
            Busy: too many jobs wait.
            Closed: the server is stopping.
        """
        job = Job(secrets.token_hex(8), kind, desk.name, about, created=_now())
        with self._lock:
            if sum(not each.over for each in self._jobs.values()) >= WAITING:
                raise Busy(
                    f"{WAITING} jobs are waiting", mend="cancel one, or wait until some are done"
                )
            self._jobs[job.id] = job
            over = [each.id for each in self._jobs.values() if each.over]
            for ident in over[: max(0, len(over) - REMEMBERED)]:
                del self._jobs[ident]
        try:
            future = desk.submit(lambda model: _run(job, work, model, desk), long=True)
        except ResiduumError:
            with self._lock:
                del self._jobs[job.id]
            raise
        future.add_done_callback(lambda made: (_ended(job, made), job.ended.set()))
        return job

    def list(self) -> list[Job]:
        """All jobs, the newest first."""
        with self._lock:
            return list(self._jobs.values())[::-1]

    def get(self, ident: str) -> Job:
        """One job.

        Raises:
            NotFound: there is none, or it ended long ago.
        """
        with self._lock:
            if ident not in self._jobs:
                raise NotFound(f"there is no job {ident[:40]!r}", mend="GET /api/jobs lists them")
            return self._jobs[ident]

    def cancel(self, ident: str) -> Job:
        """Ask a job to stop: at once where it waits, at its next step where it runs.

        Raises:
            NotFound: there is none.
        """
        job = self.get(ident)
        job.asked_to_stop.set()
        if job.state == "waiting":
            _end(job, "cancelled", "cancelled")
        return job

    def close(self) -> None:
        """Cancel what waits and what runs, and wait until it stopped.

        A process that ends while a thread of its own is inside torch is aborted.
        """
        left = [job for job in self.list() if not job.over]
        running = [job for job in left if job.state == "running"]
        for job in left:
            self.cancel(job.id)
        end = monotonic() + LEAVE_S
        for job in running:
            job.ended.wait(max(0.0, end - monotonic()))


def _run(job: Job, work: Work, model: Model, desk: Desk) -> None:
    """The job's work, on the desk's thread; every end of it is an event."""
    if job.over:
        return
    job.state = "running"
    try:
        result = work(model, Ticket(job, desk))
    except Stopped:
        _end(job, "cancelled", "cancelled")
    except ResiduumError as error:
        _end(job, "failed", "failed", what=error.what, mend=error.mend, where=error.where)
    except BaseException as error:
        _fail(job, error)
    else:
        job.result = result
        _end(job, "done", "done", result=result)


def _fail(job: Job, error: BaseException) -> None:
    """An end that nobody foresaw: the log has the reason, the client its number."""
    number = secrets.token_hex(4)
    LOG.error("%s: job %s (%s)", number, job.id, job.kind, exc_info=error)
    _end(
        job,
        "failed",
        "failed",
        what=f"the work failed ({type(error).__name__}); the server's log has the reason under "
        f"{number}",
        mend="this is a bug of the workbench: report it with that log entry",
    )


def _end(job: Job, state: str, kind: str, **fields: Any) -> None:
    job.state = state
    job.log.add(kind, last=True, **fields)


def _ended(job: Job, made: Future[None]) -> None:
    """A job whose work was dropped unrun (the server stops), or refused (no model)."""
    if job.over:
        return
    error = None if made.cancelled() else made.exception()
    if isinstance(error, ResiduumError):
        _end(job, "failed", "failed", what=error.what, mend=error.mend, where=error.where)
    elif error is not None:
        _fail(job, error)
    else:
        _end(job, "cancelled", "cancelled")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
