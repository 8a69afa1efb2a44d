"""Hub names without a network: refused at once, and what is in the cache still loads."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from residuum.core import LoadError
from residuum.models import embedded_path, hub

NOWHERE = "http://127.0.0.1:9"
LINES = (
    "import residuum as rz, sys\n"
    "model = rz.load(sys.argv[1])\n"
    "print(model.n_layers, model.to_str_tokens('Mary went')[-1])"
)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub._Answer, "at", -1e9)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def at(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)


def test_a_listening_hub_is_reachable_and_asked_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.reachable() and hub.options("nobody/nothing") == {}


def test_a_closed_port_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, NOWHERE)
    assert not hub.reachable()
    with pytest.raises(LoadError) as caught:
        hub.options("nobody/nothing")
    assert "not all its files are in the local cache" in caught.value.what
    assert "there is no connection" in caught.value.what and "go online" in caught.value.mend
    assert hub.options("nobody/nothing", needs=None) == {"local_files_only": True}


def test_an_attempt_that_hangs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name look-up without a network can hang, whatever the timeout of the connection."""

    def hang(*_: object, **__: object) -> None:
        time.sleep(10)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", hang)
    at(monkeypatch, "http://hub.invalid")
    began = time.monotonic()
    assert not hub.reachable()
    assert time.monotonic() - began < hub.PATIENCE_S + 1


def test_the_answer_is_remembered_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(hub, "_answers", lambda *door: asked.append(door))
    at(monkeypatch, "https://hub.example")
    assert not hub.reachable() and not hub.reachable()
    assert asked == [("hub.example", 443)]
    monkeypatch.setattr(hub._Answer, "at", time.monotonic() - 60)
    hub.reachable()
    assert len(asked) == 2


def test_a_proxy_is_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://gate.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert hub._door("https://huggingface.co") == ("gate.example", 3128)
    assert hub._door("https://inside.example") == ("inside.example", 443)


def offline(tmp_path: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """A command in a process whose hub does not answer, and how long it took, seconds."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
    environment = kept | {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": NOWHERE}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=120
    )
    return done, time.monotonic() - began


def test_unknown_names_are_refused_in_seconds(tmp_path: Path) -> None:
    _, bare = offline(tmp_path, "-c", "import residuum.models.loading")
    done, took = offline(tmp_path, "-m", "residuum", "heads", "nope")
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 2, done.stderr
    assert lines[0].startswith("residuum: cannot load nope") and lines[1].startswith("    mend: ")
    assert took < bare + 3  # the client's own retries take 23 s


def test_what_is_in_the_cache_loads_without_a_network(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hf/hub/models--own--world"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    shutil.copytree(embedded_path("microworld"), repository / "snapshots" / commit)
    done, took = offline(tmp_path, "-c", LINES, "own/world")
    assert done.returncode == 0 and done.stdout.split() == ["4", "went"], done.stderr
    assert took < 60
    (repository / "snapshots" / commit / "model.safetensors").unlink()
    done, _ = offline(tmp_path, "-m", "residuum", "models", "show", "own/world")
    assert done.returncode == 2 and "not all its files" in done.stderr, done.stderr
