"""The tests' own instruments: they would notice what they are there to notice."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from data_folder import data_folder
from jaxtyping import Float, TypeCheckError
from shape_checks import check_module, mentions_array

SOURCE = '''
from __future__ import annotations
from dataclasses import dataclass
import numpy as np
from data_folder import data_folder
from jaxtyping import Float

def add(a: Float[np.ndarray, "pos d_model"], b: Float[np.ndarray, "pos d_model"], by: int) -> None:
    """Example.

    >>> 1 + 1
    2
    """

def plain(a: int) -> int:
    return a

@dataclass(frozen=True)
class Pair:
    left: Float[np.ndarray, "pos"]
    right: Float[np.ndarray, "pos"]
'''


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("example_of_a_room")
    monkeypatch.setitem(sys.modules, "example_of_a_room", made)
    exec(SOURCE, vars(made))
    check_module(made)
    return made


def test_shape_checks_notice_shapes_and_leave_other_types_to_the_package(
    module: ModuleType,
) -> None:
    module.add(np.zeros((2, 3)), np.zeros((2, 3)), by="no number")
    with pytest.raises(TypeCheckError):
        module.add(np.zeros((2, 3)), np.zeros((3, 2)), by=1)
    assert module.plain("no number") == "no number"


def test_shape_checks_see_frozen_dataclasses(module: ModuleType) -> None:
    assert module.Pair(np.zeros(2), np.ones(2)).right[0] == 1
    with pytest.raises(TypeCheckError):
        module.Pair(np.zeros(2), np.ones(3))


def test_shape_checks_tell_arrays_from_the_rest() -> None:
    assert mentions_array(list[Float[np.ndarray, "pos d_model"]] | None)
    assert not mentions_array(list[int] | None)


def test_doctests_of_checked_functions_are_found(module: ModuleType) -> None:
    found = {each.name: each.examples for each in doctest.DocTestFinder().find(module)}
    assert found["example_of_a_room.add"]


def test_no_hub_in_tests() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_make_alone_lists_every_command(root: Path) -> None:
    listing = subprocess.run(["make", "-s"], cwd=root, capture_output=True, text=True, check=True)
    text = (root / "Makefile").read_text()
    phony = [name for line in text.splitlines() if line.startswith(".PHONY:")
             for name in line.split()[1:]]  # fmt: skip
    assert "setup" in phony
    for name in phony:
        assert f"  {name} " in listing.stdout
        assert f"\n{name}:" in text


def test_every_declared_tool_is_pinned(root: Path) -> None:
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {each.split(">")[0].split("[")[0].lower() for each in wanted}
    lines = (root / "constraints.txt").read_text().lower().splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    assert names - pinned == set()
    assert "torch==2.13.0" in lines


def test_missing_test_data_skips_here_and_fails_in_ci(tmp_path: Path) -> None:
    absent = {"RESIDUUM_TEST_DATA": str(tmp_path / "absent")}
    with pytest.raises(pytest.skip.Exception, match="set RESIDUUM_TEST_DATA to the folder"):
        data_folder(absent, tmp_path)
    with pytest.raises(pytest.fail.Exception, match="no test data at"):
        data_folder({**absent, "RESIDUUM_REQUIRE_TEST_DATA": "1"}, tmp_path)
    assert data_folder({"RESIDUUM_TEST_DATA": str(tmp_path)}, tmp_path) == tmp_path
