"""Where the real weights and texts of the tests are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest


def data_required(environment: Mapping[str, str]) -> bool:
    """Whether missing test data is a failure (in CI) and not a skip."""
    return environment.get("RESIDUUM_REQUIRE_TEST_DATA", "") not in ("", "0")


def data_folder(environment: Mapping[str, str], root: Path) -> Path:
    """The folder; without it the calling test skips, or fails where the data is required."""
    folder = Path(environment.get("RESIDUUM_TEST_DATA") or root.parent / "shared" / "data")
    if folder.is_dir():
        return folder
    reason = f"no test data at {folder}; set RESIDUUM_TEST_DATA to the folder"
    if data_required(environment):
        pytest.fail(reason)
    pytest.skip(reason)
