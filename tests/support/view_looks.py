"""Views looked through without a server, on microworld and on tiny random models of any family."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import residuum as rz
from residuum.apps.workbench.views import all_views
from residuum.apps.workbench.views.view import Arrays, Look

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import build

PROMPT = "When Mary and John went to the store , John gave a drink to"
EDITS = (rz.Zero("L1.z[H0]"), rz.Scale("L2.mlp_out@-1", factor=0.5))


@cache
def microworld() -> Any:
    return rz.load("microworld")


@cache
def tiny(name: str) -> Any:
    """A tiny random model of a family."""
    return rz.load(build(name))


def some_ids(rows: int = 1, length: int = 9, seed: int = 3) -> torch.Tensor:
    return torch.randint(3, 101, (rows, length), generator=torch.Generator().manual_seed(seed))


def looked(
    view: str,
    model: Any,
    prompt: Any,
    edits: Sequence[Any] = (),
    *,
    less: Any = None,
    **params: Any,
) -> tuple[Arrays, Look, Any]:
    """What a view shows, what it looked at, and its parameters.

    Args:
        less: another prompt to subtract; True subtracts the same prompt without edits.
    """
    found = all_views()[view]
    asked = found.Params(**params)
    needs = list(found.needs(model, asked))
    run = model.run(prompt, capture=needs, edits=edits)
    other = prompt if less is True else less
    minus = None if less is None else model.run(other, capture=needs)
    look = Look(model, run, minus)
    return found.read(look, asked), look, asked


def copied(view: str, look: Look, params: Any) -> Mapping[str, Any]:
    """What the view's own Python lines make of the same runs."""
    names: dict[str, Any] = {"rz": rz, "torch": torch, "model": look.model, "run": look.run}
    if look.minus is not None:
        names["minus"] = look.minus
    exec(all_views()[view].python(params, look.minus is not None), names)
    return names


def assert_equal(found: Arrays, names: Mapping[str, Any], tolerance: float = 2e-5) -> None:
    """Every array of the view is there under its name, with the same numbers."""
    assert found.arrays
    for name, array in found.arrays.items():
        other = np.asarray(names[name])
        assert other.shape == array.shape, name
        if array.dtype in (np.uint8, np.int32):
            assert np.array_equal(other, array), name
            continue
        assert np.array_equal(np.isnan(other), np.isnan(array)), name
        rough = 1e-3 if array.dtype == np.float16 else tolerance
        scale = max(1.0, float(np.nanmax(np.abs(other), initial=0.0)))
        assert np.nanmax(np.abs(other - array.astype(np.float64)), initial=0.0) <= rough * scale, (
            name
        )
