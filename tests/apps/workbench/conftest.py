"""A workbench in this process, on the embedded model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from workbench_server import Server, opened


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    made = opened(tmp_path_factory.mktemp("store"))
    yield made
    made.bench.close()


@pytest.fixture(scope="session")
def record(server: Server) -> Any:
    """A run of the history."""
    return server.run()
