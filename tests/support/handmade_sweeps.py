"""Sweeps made from numbers alone, without a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from residuum.core import Provenance
from residuum.patching import Sweep


def sweep_from(values: np.ndarray, dims: tuple[str, ...], **more: Any) -> Sweep:
    """A sweep whose per-example effects are ``values`` ``[...dims example]``."""
    coords = {dim: np.arange(size) for dim, size in zip(dims, values.shape, strict=False)}
    per_example = xr.DataArray(values, dims=(*dims, "example"), coords=coords)
    effects = per_example.mean("example", skipna=False)
    examples = values.shape[-1]
    fields: dict[str, Any] = {
        "site": "z",
        "recovered_frac": effects / 4.0,
        "clean": np.full(examples, 3.0),
        "corrupt": np.full(examples, -1.0),
        "metric": "logit_diff",
        "unit": "logits",
        "provenance": Provenance("handmade", dtype="float32"),
    }
    return Sweep(effects=effects, per_example=per_example, **(fields | more))


def some_effects(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Effects ``[...shape example]`` of 24 pairs: noise, a few strong cells."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=shape) ** 3
    return size[..., None] + 0.5 * rng.normal(size=(*shape, 24))
