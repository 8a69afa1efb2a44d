"""What every test stands on: no network, few threads, run-time shape checks, the test data."""

from __future__ import annotations

import doctest
import inspect
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import shape_checks
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = os.environ.get("RESIDUUM_REQUIRE_TEST_DATA", "") not in ("", "0")

# Array shapes in the package's annotations are checked at each call while the tests run.
shape_checks.install("residuum")

# Where the data is required (CI), generated examples are the same on every run.
settings.register_profile(
    "house",
    deadline=None,
    max_examples=50,
    derandomize=REQUIRED,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


def pytest_configure() -> None:
    """Keep torch to the cores that this worker may use; let doctest see checked functions."""
    _find_doctests_behind_wrappers()
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real weights and texts; the test skips (in CI: fails) without it."""
    folder = Path(os.environ.get("RESIDUUM_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = f"no test data at {folder}; set RESIDUUM_TEST_DATA to the folder"
        if REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def _find_doctests_behind_wrappers() -> None:
    """doctest takes a function wrapped by the import hook for one imported from elsewhere."""
    plain = doctest.DocTestFinder._from_module  # type: ignore[attr-defined]

    def from_module(self: doctest.DocTestFinder, module: object, thing: object) -> bool:
        return plain(self, module, inspect.unwrap(thing) if callable(thing) else thing)

    doctest.DocTestFinder._from_module = from_module  # type: ignore[attr-defined]
