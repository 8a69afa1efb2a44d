"""GPT-2 small, where a copy can be had; else these tests skip with the reason."""

from __future__ import annotations

import os
from typing import Any

import pytest

import residuum as rz


@pytest.fixture(scope="session")
def gpt2() -> Any:
    """The model from ``RESIDUUM_GPT2`` (a folder), the local cache, or the hub if it is allowed."""
    name = os.environ.get("RESIDUUM_GPT2", "gpt2")
    try:
        return rz.load(name)
    except rz.LoadError as error:
        pytest.skip(
            f"GPT-2 small cannot be had ({error.what[:80]}); set RESIDUUM_GPT2 to a folder, "
            "or HF_HUB_OFFLINE=0 where the hub can be reached"
        )
