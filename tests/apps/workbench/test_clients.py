"""Many clients at once: no answer is lost, and none is another's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from workbench_server import TOKEN

import residuum as rz
from residuum.apps.workbench.app import create_app
from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.serving import bind
from residuum.apps.workbench.wire import unpack

CLIENTS = 20
SHORT_S, SOAK_S = 1.5, 60.0
WORDS = range(180, 240)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[str]:
    """A real server on a loopback port; its address."""
    where = bind("127.0.0.1", 0)
    bench = Bench(["microworld"], tmp_path / "store", room=4 << 20)
    app = create_app(bench, TOKEN, where.hosts, where.port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [where.listener]})
    thread.start()
    yield f"http://127.0.0.1:{where.port}"
    server.should_exit = True
    thread.join(20)
    bench.close()
    where.listener.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def expected() -> dict[tuple[int, int], tuple[str, np.ndarray, np.ndarray]]:
    """For each word and edited head: the run's id, its logits and one head's pattern."""
    model = rz.load("microworld")
    found = {}
    for word in WORDS:
        for head in range(3):
            ids, edit = torch.tensor([[1, word, 544, 517]]), rz.Zero(f"L0.z[H{head}]")
            run = model.run(ids, edits=[edit], capture=["L1.pattern"])
            found[word, head] = (
                run.hash[:16],
                run.last[0].numpy(),
                run["pattern", 1][0, 2].numpy(),
            )
    return found


def client(place: str, number: int, until: float, expected: Any, done: list[Any]) -> None:
    """Ask for runs and views of this client's own prompts, and compare each answer."""
    rng = np.random.default_rng(number)
    count = 0
    with httpx.Client(
        base_url=place, headers={"X-Residuum-Token": TOKEN}, timeout=60, trust_env=False
    ) as http:
        while not count or time.monotonic() < until:
            word, head = int(rng.choice(WORDS)), int(rng.integers(3))
            ident, logits, pattern = expected[word, head]
            edits = [{"kind": "zero", "at": f"L0.z[H{head}]"}]
            body = {"model": "microworld", "ids": [1, word, 544, 517], "edits": edits}
            record = http.post("/api/runs", json=body).raise_for_status().json()
            assert (record["id"], record["ids"]) == (ident, body["ids"])
            for each in record["predictions"]:
                assert abs(each["logit"] - logits[each["id"]]) < 1e-4
            look = {"run": ident, "layer": 1, "head": 2}
            answer = http.post("/api/views/attention", json=look).raise_for_status()
            meta, arrays = unpack(answer.content)
            assert (meta["run"], meta["ids"]) == (ident, body["ids"])
            shown = np.tril(np.nan_to_num(arrays["pattern"].astype("f4")))
            np.testing.assert_allclose(shown, np.tril(pattern), atol=1e-3)
            count += 2
    done.append(count)


def at_once(place: str, seconds: float, expected: Any) -> int:
    done: list[int] = []
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=client, args=(place, n, until, expected, done))
        for n in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 120)
    assert len(done) == CLIENTS, "a client met an error or a wrong answer"
    return sum(done)


def test_twenty_clients_never_get_each_others_results(place: str, expected: Any) -> None:
    assert at_once(place, SHORT_S, expected) >= 2 * CLIENTS


@pytest.mark.slow
def test_twenty_clients_for_a_minute(place: str, expected: Any) -> None:
    assert at_once(place, SOAK_S, expected) >= 100 * CLIENTS


def test_a_full_queue_answers_429_and_recovers(tmp_path: Path) -> None:
    from workbench_server import opened

    server = opened(tmp_path)
    desk = server.bench.desk("microworld")
    held, begun = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        begun.set()
        assert held.wait(30)

    desk.submit(hold)
    assert begun.wait(30)
    while desk.waiting < 256:
        desk.submit(lambda _: None)
    body = {"model": "microworld", "text": "Mary went to the store ."}
    refused = server.client.post("/api/tokens", json=body)
    assert refused.status_code == 429 and "256 requests are waiting" in refused.json()["what"]
    held.set()
    for _ in range(200):
        if not desk.waiting:
            break
        time.sleep(0.05)
    assert server.client.post("/api/tokens", json=body).status_code == 200
    server.bench.close()


def test_a_client_that_goes_away_while_it_waits_is_dropped(tmp_path: Path) -> None:
    where = bind("127.0.0.1", 0)
    bench = Bench(["microworld"], tmp_path / "store")
    app = create_app(bench, TOKEN, where.hosts, where.port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [where.listener]})
    thread.start()
    desk, held, begun = bench.desk("microworld"), threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        begun.set()
        assert held.wait(60)

    desk.submit(hold)
    assert begun.wait(60)
    body = {"model": "microworld", "text": "Mary went to the store ."}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"http://127.0.0.1:{where.port}/api/runs",
            json=body,
            headers={"X-Residuum-Token": TOKEN},
            timeout=0.3,
            trust_env=False,
        )
    assert desk.waiting == 1
    time.sleep(1.5)
    held.set()
    assert desk.submit(lambda _: "next").result(30) == "next"
    assert bench.book.records(10) == [], "the dropped run was never made"
    server.should_exit = True
    thread.join(20)
    bench.close()
    where.listener.close()
