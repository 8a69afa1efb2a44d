"""The command line in this process: exit code, standard output, standard error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from residuum.apps.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def refused(self, what: str, mend: str = "", code: int = 2) -> None:
        """Check that it ended with exactly two lines that hold these texts."""
        lines = self.err.splitlines()
        assert self.code == code and len(lines) == 2, self
        assert lines[0].startswith("residuum: ") and what in lines[0], lines
        assert lines[1].strip().startswith("mend: ") and mend in lines[1], lines


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(list(arguments))
        caught = capsys.readouterr()
        # Only a process of its own is kept quiet (test_process.py); here the bars are cut.
        return Done(code, caught.out, re.sub(r"(\rLoading weights.*)+\n", "", caught.err))

    return call


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that ``residuum investigate`` filled."""
    folder = tmp_path_factory.mktemp("report")
    arguments = ["--model", "microworld", "--task", "ioi", "--out", str(folder), "--json"]
    arguments += ["--stages", "none"]
    assert main(["investigate", *arguments]) == 0
    return folder
