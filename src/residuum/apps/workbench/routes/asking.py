"""How routes reach the bench, and wait for a model's own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.desk import Desk
from residuum.apps.workbench.refusals import Closed
from residuum.runs import Model

T = TypeVar("T")
_LOOK_S = 0.5


def bench_of(request: Request) -> Bench:
    """The server's bench."""
    return request.app.state.bench


TheBench = Annotated[Bench, Depends(bench_of)]
"""A route's parameter that gets the bench."""


async def ask(request: Request, desk: Desk, work: Callable[[Model], T]) -> T:
    """Have work done on a model's thread; when the client goes away while it waits, it is dropped.

    Raises:
        Busy: the queue is full.
        ResiduumError: what the work raises.
    """
    future = asyncio.wrap_future(desk.submit(work))
    while True:
        done, _ = await asyncio.wait([future], timeout=_LOOK_S)
        if done:
            break
        if await request.is_disconnected():
            future.cancel()
            break
    if future.cancelled():
        raise Closed("the request was dropped", mend="ask again")
    return await future
