"""Files and streams that cannot be written: two lines, never a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from residuum.apps.cli import lens

Cli = Callable[..., Any]
LENS = ("lens", "microworld", "Mary")
PATCH = ("patch", "microworld", "--task", "ioi", "--n", "2", "--by", "layer")


@pytest.mark.parametrize("suffix", [".html", ".json", ".png", ".svg"])
@pytest.mark.parametrize("command", [LENS, PATCH], ids=["lens", "patch"])
def test_a_folder_is_no_file(
    cli: Cli, tmp_path: Path, command: tuple[str, ...], suffix: str
) -> None:
    target = tmp_path / f"x{suffix}"
    target.mkdir()
    cli(*command, "--out", str(target)).refused("it is a folder", "name a file")
    cli(*command, "--out", str(tmp_path / "no" / "x.html")).refused("no folder", "make it")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("suffix", [".html", ".json", ".png", ".svg"])
def test_a_file_that_the_system_refuses(cli: Cli, suffix: str) -> None:
    cli(*LENS, "--out", f"/proc/x{suffix}").refused("cannot write /proc", "folder")


def test_whatever_the_system_refuses_is_two_lines(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied", "x.html")

    monkeypatch.setattr(lens, "check_suffix", refuse)
    done = cli(*LENS, "--out", "x.html")
    done.refused("cannot write x.html: Permission denied", "folder")


@pytest.mark.parametrize("name", ["skip_trigram_1l", "superposition"])
def test_a_file_is_no_folder_to_train_into(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Said before the training, not after it."""
    monkeypatch.setattr("residuum.organisms.train_toys", None)
    monkeypatch.setattr("residuum.organisms.train_attention_only", None)
    out = tmp_path / "taken"
    out.write_text("x")
    cli("organisms", "train", name, "--out", str(out)).refused("a file of that name", "--out")
    assert out.read_text() == "x"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_is_full() -> None:
    command = [sys.executable, "-m", "residuum", "tasks"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 2, done.stderr
    assert lines[0].startswith("residuum: cannot write standard output")


@pytest.mark.parametrize("seed", ["-1", "999999999999999999999999"])
def test_seeds_out_of_range(cli: Cli, seed: str) -> None:
    done = cli("investigate", "--model", "microworld", "--task", "ioi", "--seed", seed)
    done.refused("invalid whole number from 0 to 2^63 - 1", "--help")
