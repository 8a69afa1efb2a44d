"""Jobs: what runs, what it told, and stopping it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from residuum.apps.workbench.jobs import Job
from residuum.apps.workbench.routes.asking import TheBench
from residuum.apps.workbench.store_folder import SWEEPS

router = APIRouter(prefix="/api", tags=["jobs"])
JobId = Annotated[str, Path(max_length=64)]
NDJSON = "application/x-ndjson"
_EARLIER = (
    "sweeps of earlier starts are not listed; their finished cells are kept: ask for the same "
    "sweep again and it goes on from there"
)


class JobInfo(BaseModel):
    """A job: what it is, how far it is, and its result once it is done.

    ``about`` holds what was known before it started (of a sweep its dims, labels and shape),
    ``done`` and ``total`` count blocks of cells. ``what`` and ``mend`` say why it failed.
    """

    id: str
    kind: str
    model: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    created: str
    done: int
    total: int
    about: dict[str, Any]
    result: dict[str, Any] | None = None
    what: str = ""
    mend: str = ""


class JobList(BaseModel):
    """Jobs of this start of the server, the newest first, without their results.

    ``note`` says what becomes of those of earlier starts, ``kept_sweeps`` of how many sweeps the
    store holds finished cells.
    """

    jobs: list[JobInfo]
    kept_sweeps: int
    note: str


class JobEvent(BaseModel):
    """One line of a job's stream of events; the fields follow from the type.

    ``progress`` has ``done``, ``total`` (blocks), ``eta_s`` and ``kept``, the blocks that were
    finished before a restart. ``cells`` has ``cells``, ``values`` and ``partial``: then a value is
    the mean over the prompts computed so far. ``done`` has ``result``; ``failed`` has ``what`` and
    ``mend``. The last event is ``done``, ``failed`` or ``cancelled``.
    """

    n: int
    type: Literal["progress", "cells", "done", "failed", "cancelled"]
    done: int | None = None
    total: int | None = None
    eta_s: float | None = None
    kept: int | None = None
    cells: list[list[int]] | None = None
    values: list[float] | None = None
    partial: bool | None = None
    result: dict[str, Any] | None = None
    what: str | None = None
    mend: str | None = None
    where: str | None = None


@router.get("/jobs", operation_id="listJobs")
def list_jobs(bench: TheBench) -> JobList:
    """The jobs of this start of the server, the newest first."""
    kept = sum(1 for _ in (bench.book.folder / SWEEPS).glob("*.cells"))
    jobs = [_info(job, whole=False) for job in bench.jobs.list()]
    return JobList(jobs=jobs, kept_sweeps=kept, note=_EARLIER)


@router.get("/jobs/{job}", operation_id="readJob")
def read_job(bench: TheBench, job: JobId) -> JobInfo:
    """One job."""
    return _info(bench.jobs.get(job))


@router.delete("/jobs/{job}", operation_id="cancelJob")
def cancel_job(bench: TheBench, job: JobId) -> JobInfo:
    """Ask a job to stop: at its next step, or at once where it waits. One that is over stays so."""
    return _info(bench.jobs.cancel(job))


@router.get(
    "/jobs/{job}/events",
    operation_id="followJob",
    response_class=StreamingResponse,
    responses={200: {"model": JobEvent, "content": {NDJSON: {}}, "description": "One a line"}},
)
async def follow_job(
    bench: TheBench, job: JobId, since: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> StreamingResponse:
    """Its events after number ``since``, one JSON a line, until the last; several may listen."""
    return StreamingResponse(_lines(bench.jobs.get(job), since), media_type=NDJSON)


async def _lines(job: Job, since: int) -> AsyncIterator[bytes]:
    async for event in job.log.follow(since):
        yield json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _info(job: Job, *, whole: bool = True) -> JobInfo:
    last = job.log.last if job.state == "failed" else {}
    return JobInfo(
        id=job.id,
        kind=job.kind,
        model=job.model,
        state=job.state,  # type: ignore[arg-type]
        created=job.created,
        done=job.done,
        total=job.total,
        about=job.about,
        result=job.result if whole else None,
        what=last.get("what", ""),
        mend=last.get("mend", ""),
    )
