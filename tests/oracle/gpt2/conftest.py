"""GPT-2 small, where a copy can be had; else these tests skip with the reason.

With a copy (``RESIDUUM_GPT2=FOLDER``, or the hub's cache) they run wherever pytest does. A hub that
could be reached is not enough: nothing is downloaded unless it is asked for, by
``RESIDUUM_GPT2=openai-community/gpt2`` or by the mark: ``pytest -m gpt2 tests/oracle/gpt2``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import try_to_load_from_cache

import residuum as rz

NAMES = ("gpt2", "openai-community/gpt2")


@pytest.fixture(scope="session")
def gpt2(request: pytest.FixtureRequest) -> Any:
    """The model that ``RESIDUUM_GPT2`` names (a folder, or a name on the hub), or a cached copy.

    A name in that variable may be downloaded; one that leads nowhere is a failure: who sets it
    wants the tests to run. With the mark asked for (``-m gpt2``) the hub is tried as well, and
    where it cannot be reached the tests skip.
    """
    name = os.environ.get("RESIDUUM_GPT2") or _cached()
    if name:
        model = rz.load(name)
    elif request.config.getoption("markexpr") == "gpt2":
        try:
            model = rz.load(name := NAMES[1])
        except rz.core.LoadError as error:
            pytest.skip(f"no GPT-2 small here, and none from the hub: {error.what}")
    else:
        pytest.skip("no GPT-2 small in the cache: RESIDUUM_GPT2=FOLDER, or -m gpt2 from the hub")
    assert (model.dims.n_layers, model.dims.n_heads) == (12, 12), f"{name} is not GPT-2 small"
    return model


def _cached() -> str:
    """The folder of a copy in the local cache of the hub, if its weights are there."""
    for name in NAMES:
        found = try_to_load_from_cache(name, "model.safetensors")
        if isinstance(found, str):
            return str(Path(found).parent)
    return ""
