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
from data_folder import data_folder, data_required
from hypothesis import HealthCheck, settings
from outside import stands_outside

ROOT = Path(__file__).resolve().parent.parent

# Array shapes in the package's annotations are checked at each call while the tests run.
shape_checks.install("residuum")

# Where the data is required (CI), generated examples are the same on every run.
settings.register_profile(
    "house",
    deadline=None,
    max_examples=50,
    derandomize=data_required(os.environ),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


def pytest_configure() -> None:
    """Keep torch to the cores that this worker may use; let doctest see checked functions."""
    _find_doctests_behind_wrappers()
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stands on browsers, servers, processes or clocks is tried once more, and told."""
    for item in items:
        if isinstance(item, pytest.Function) and stands_outside(item.module, item.fixturenames):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real weights and texts; the test skips (in CI: fails) without it."""
    return data_folder(os.environ, ROOT)


def _find_doctests_behind_wrappers() -> None:
    """doctest takes a function wrapped by the import hook for one imported from elsewhere."""
    plain = doctest.DocTestFinder._from_module  # type: ignore[attr-defined]

    def from_module(self: doctest.DocTestFinder, module: object, thing: object) -> bool:
        return plain(self, module, inspect.unwrap(thing) if callable(thing) else thing)

    doctest.DocTestFinder._from_module = from_module  # type: ignore[attr-defined]
