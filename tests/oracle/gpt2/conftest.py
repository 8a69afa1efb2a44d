"""GPT-2 small, where a copy can be had; else these tests skip with the reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import try_to_load_from_cache

import residuum as rz

NAMES = ("gpt2", "openai-community/gpt2")


@pytest.fixture(scope="session")
def gpt2() -> Any:
    """The model that ``RESIDUUM_GPT2`` names (a folder, or a name on the hub), or a cached copy.

    Only a name in that variable may be downloaded. A variable that leads nowhere is a failure: who
    sets it wants the tests to run.
    """
    name = os.environ.get("RESIDUUM_GPT2") or _cached()
    if not name:
        pytest.skip("no GPT-2 small in the cache: RESIDUUM_GPT2=FOLDER (or =gpt2, from the hub)")
    model = rz.load(name)
    assert (model.dims.n_layers, model.dims.n_heads) == (12, 12), f"{name} is not GPT-2 small"
    return model


def _cached() -> str:
    """The folder of a copy in the local cache of the hub, if its weights are there."""
    for name in NAMES:
        found = try_to_load_from_cache(name, "model.safetensors")
        if isinstance(found, str):
            return str(Path(found).parent)
    return ""
