"""``residuum serve`` as a process: the link, the port, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from residuum.apps.workbench.serving import bind, default_store, new_token
from residuum.core import OptionError

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "residuum", "serve", *arguments]
        process = subprocess.Popen(
            [*command, "--no-browser", "--store", str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def link_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    base, _, token = line.partition("/?token=")
    assert base.startswith("http://127.0.0.1:") and len(token) >= 32, line
    return base, token


def patiently(ask: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except httpx.TransportError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_from_the_link_to_a_run_to_ctrl_c(start: Start, tmp_path: Path) -> None:
    process = start("microworld", "--port", "0")
    base, token = link_of(process)
    with httpx.Client(base_url=base, timeout=60) as client:
        page = patiently(lambda: client.get("/"))
        assert page.status_code == 200, "the page comes before the model"
        assert client.get("/api/models").status_code == 401
        assert client.get("/", params={"token": token}).status_code == 303
        first = client.get("/api/models").json()
        assert first["current"] == "microworld"
        assert first["models"][0]["state"] in ("loading", "ready")
        body = {"model": "microworld", "text": "Mary went to the store ."}
        record = client.post("/api/runs", json=body).json()
        assert record["predictions"][0]["token"] == "</s>"
        assert client.get("/api/models").json()["models"][0]["loaded"]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and out == "" and err == ""
    history = (tmp_path / "store" / "runs.jsonl").read_text().splitlines()
    assert [json.loads(line)["record"]["id"] for line in history] == [record["id"]]


def test_ctrl_c_while_the_model_is_loading(start: Start) -> None:
    process = start("--port", "0")
    base, _ = link_of(process)
    patiently(lambda: httpx.get(base))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_ctrl_c_while_a_sweep_is_running(start: Start) -> None:
    process = start("--port", "0")
    base, token = link_of(process)
    with httpx.Client(base_url=base, timeout=60, headers={"X-Residuum-Token": token}) as client:
        patiently(lambda: client.post("/api/models", json={"name": "microworld"}))
        sweep = {"model": "microworld", "task": "induction", "n": 256}
        asked = {**sweep, "sites": "mlp_act", "by": ["layer", "neuron"]}
        assert client.post("/api/sweeps", json=asked).status_code == 200
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_a_busy_port_is_bad_input(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start("--port", str(taken.getsockname()[1]))
        out, err = process.communicate(timeout=60)
    lines = err.splitlines()
    assert process.returncode == 2 and out == "" and len(lines) == 2
    assert "cannot be used" in lines[0] and "--port 0" in lines[1]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.com", "::", ""])
def test_only_loopback(host: str) -> None:
    with pytest.raises(OptionError, match="listens on this machine only"):
        bind(host, 0)


def test_a_model_that_is_not_there_is_told_on_the_page(start: Start) -> None:
    process = start("./no/such/folder", "--port", "0")
    base, token = link_of(process)
    headers = {"X-Residuum-Token": token}
    patiently(lambda: httpx.get(base))
    for _ in range(200):
        info = httpx.get(f"{base}/api/models", headers=headers).json()["models"][0]
        if info["state"] != "loading":
            break
        time.sleep(0.05)
    assert info["state"] == "failed" and not info["loaded"]
    assert "no model folder" in info["failure"]["what"] and info["failure"]["mend"]
    body = {"model": "./no/such/folder", "text": "x"}
    response = httpx.post(f"{base}/api/tokens", json=body, headers=headers)
    assert response.status_code == 400 and response.json()["what"] == info["failure"]["what"]


def test_small_answers_are_sent_at_once() -> None:
    """asyncio turns Nagle's algorithm off only for sockets that name the protocol."""
    place = bind("127.0.0.1", 0)
    assert place.listener.proto == socket.IPPROTO_TCP
    assert place.link("t") == f"http://127.0.0.1:{place.port}/?token=t"
    assert f"[::1]:{place.port}" in place.hosts
    place.listener.close()


def test_two_tokens_are_never_the_same() -> None:
    assert len({new_token() for _ in range(100)}) == 100


def test_the_store_is_where_user_data_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_store() == tmp_path / "residuum" / "workbench"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_store().is_relative_to(Path.home())
