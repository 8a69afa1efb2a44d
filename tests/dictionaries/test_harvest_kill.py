"""A harvest that is killed at a random moment goes on, and ends in the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("harvest_child.py")


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(CHILD), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kill_after_some(folder: Path, some: int, jitter_s: float) -> int:
    """Kill a harvest a moment after it has finished some shards; how many it had finished."""
    process = start(folder)
    deadline = time.monotonic() + 120
    while len(list(folder.glob("shard-*"))) < some:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(jitter_s)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return len(list(folder.glob("shard-*")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An uninterrupted harvest and its hash."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder)
    digest = process.communicate(timeout=200)[0]
    assert process.returncode == 0
    return folder, digest


@pytest.mark.parametrize("seed", [0, 1])
def test_a_killed_harvest_goes_on_to_the_same_bytes(
    tmp_path: Path, whole: tuple[Path, str], seed: int
) -> None:
    folder, digest = whole
    drawn = random.Random(seed)
    count = len(list(folder.glob("shard-*")))
    done = kill_after_some(tmp_path, drawn.randrange(1, count // 2), drawn.random() * 0.05)
    assert 0 < done < count
    process = start(tmp_path)
    assert process.communicate(timeout=200)[0] == digest
    assert shards(tmp_path) == shards(folder)
