"""The twins, loaded once."""

from __future__ import annotations

import pytest

import residuum as rz
from residuum.runs import Model


@pytest.fixture(scope="session")
def twin() -> Model:
    return rz.load("microworld-trigger")
