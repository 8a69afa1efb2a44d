"""A sweep's events gathered as a page gathers them."""

from __future__ import annotations

import json
from time import monotonic, sleep
from typing import Any

import numpy as np
from workbench_server import Server


def started(server: Server, **body: Any) -> dict[str, Any]:
    """What starting a sweep on microworld answers."""
    return server.post("/api/sweeps", model="microworld", **body)


def followed(server: Server, job: str, since: int = 0) -> list[dict[str, Any]]:
    """Every event of a job until its last."""
    response = server.client.get(f"/api/jobs/{job}/events", params={"since": since})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


def drawn(plan: dict[str, Any], events: list[dict[str, Any]]) -> np.ndarray:
    """The grid as these events leave it; NaN where no cell came."""
    grid = np.full(plan["shape"], np.nan)
    for event in events:
        if event["type"] == "cells":
            for cell, value in zip(event["cells"], event["values"], strict=True):
                grid[tuple(cell)] = value
    return grid


def until(what: Any, seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = monotonic() + seconds
    while not what():
        assert monotonic() < end, "it never came"
        sleep(0.005)
