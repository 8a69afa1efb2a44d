"""A body that is too large, sent by an ordinary client over a socket: refused, and readably."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from workbench_server import TOKEN

from residuum.apps.workbench.app import create_app
from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.gate import DRAINED_BYTES
from residuum.apps.workbench.serving import bind
from residuum.apps.workbench.sizes import BODY_BYTES


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place = bind("127.0.0.1", 0)
    bench = Bench(["microworld"], Path(tmp_path_factory.mktemp("store")))
    app = create_app(bench, TOKEN, place.hosts, place.port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place.listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield place.port
    server.should_exit = True
    thread.join(20)
    bench.close()


def sent(port: int, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"X-Residuum-Token": TOKEN, "Content-Type": "application/json", **headers}
    client.request("POST", "/api/runs", body, headers)
    response = client.getresponse()
    data = json.loads(response.read())
    client.close()
    return response.status, data


@pytest.mark.parametrize("size", [BODY_BYTES + 1, 5 * BODY_BYTES])
def test_a_declared_body_is_read_to_its_end_and_refused(port: int, size: int) -> None:
    status, told = sent(port, b"x" * size)
    assert status == 413 and "larger than 4 MB" in told["what"] and told["mend"]


def test_so_is_one_in_pieces(port: int) -> None:
    pieces = (b"x" * (1 << 20) for _ in range(20))
    status, told = sent(port, pieces)
    assert status == 413 and "larger than 4 MB" in told["what"]


def test_a_body_beyond_the_second_bound_is_not_waited_for(port: int) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.putrequest("POST", "/api/runs")
    client.putheader("X-Residuum-Token", TOKEN)
    client.putheader("Content-Length", str(DRAINED_BYTES + 1))
    client.endheaders()  # and nothing else: the answer must come all the same
    assert client.getresponse().status == 413
    client.close()


def test_a_body_at_the_bound_is_read(port: int) -> None:
    status, told = sent(port, b'"' + b"x" * (BODY_BYTES - 2) + b'"')
    assert status == 400 and "larger" not in told["what"]
