"""Activation patching: clean values into the corrupt run (denoising), or the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from residuum.core import (
    SILENT,
    SITES,
    Address,
    OptionError,
    Patch,
    Progress,
    TaskError,
    track,
)
from residuum.models import Batch
from residuum.patching.sweep import Sweep
from residuum.runs import Metric, Model, Task, metric_named, part_count

Direction = Literal["denoise", "noise"]
_BY = ("layer", "head", "pos")
_SMALL = 0.05


@dataclass(frozen=True)
class _Grid:
    """The cells of a sweep."""

    site: str
    by: tuple[str, ...]
    sizes: tuple[int, ...]

    def cells(self) -> Iterator[tuple[tuple[int, ...], Address]]:
        """Index and address of each cell, in order."""
        for index in product(*(range(size) for size in self.sizes)):
            at = dict(zip(self.by, index, strict=True))
            yield index, Address(self.site, at["layer"], at.get("head"), at.get("pos"))


def patch(
    model: Model,
    task: Task,
    sites: str = "z",
    by: Sequence[str] = ("layer", "head"),
    *,
    direction: Direction = "denoise",
    metric: str = "",
    progress: Progress = SILENT,
) -> Sweep:
    """Patch every cell of a grid, one forward pass each, and measure the task's metric.

    Args:
        model: a loaded model.
        task: contrast pairs; every pair is used.
        sites: a site name such as ``"z"``, ``"resid_post"``, ``"mlp_out"``.
        by: grid axes: ``layer``, and ``head`` and ``pos`` where the site has them.
        direction: ``"denoise"`` writes clean values into the corrupt run, ``"noise"`` corrupt ones
            into the clean run; effects are signed towards clean in both.
        metric: name of a metric; the task's own by default.
        progress: who is told.

    Returns:
        Effects in the metric's unit; ``recovered_frac`` is 0 at corrupt and 1 at clean.

    Raises:
        OptionError: axes the site does not have; a metric that cannot be used.
        TaskError: ids of another tokenizer, or ragged prompts swept by position.

    Source: Vig et al. 2020, "Investigating gender bias in language models using causal mediation
    analysis", §4; Heimersheim & Nanda 2024, "How to use and interpret activation patching", §2.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> sweep = rz.patch(model, rz.task("ioi", model, n=4), sites="resid_post", by=("layer",))
    >>> sweep.effects.dims
    ('layer',)
    """
    if direction not in ("denoise", "noise"):
        raise OptionError(f"unknown direction {direction!r}", mend="use 'denoise' or 'noise'")
    task.check_fits(model)
    grid = _grid(model, task, sites, (by,) if isinstance(by, str) else tuple(by))
    measure = metric_named(metric or task.metric)
    if measure.needs_reference:
        raise OptionError(
            f"{measure.name} has no sign towards clean", mend="use logit_diff, prob or prob_diff"
        )
    clean, corrupt = (Batch(ids, task.attention_mask) for ids in (task.clean, task.corrupt))
    source, target = (clean, corrupt) if direction == "denoise" else (corrupt, clean)
    whole = [Address(grid.site, layer) for layer in range(model.n_layers)]
    donor = model.run(source, capture=whole)
    receiver = model.run(target)
    given, base = (_at_answer(measure, run.last, task) for run in (donor, receiver))
    values = np.full((*grid.sizes, len(task)), np.nan)
    sign = 1.0 if measure.larger_is_better else -1.0
    cells = list(grid.cells())
    for index, at in track(cells, progress, f"patching {grid.site}", len(cells)):
        run = model.run(target, edits=Patch(at, donor))
        values[index] = sign * (_at_answer(measure, run.last, task) - base)
    ends = (given, base) if direction == "denoise" else (base, given)
    return _sweep(model, task, grid, values, ends, sign, measure, direction, len(cells) + 2)


def _at_answer(measure: Metric, logits: Tensor, task: Task) -> np.ndarray:
    with torch.no_grad():
        return measure(logits.double(), task).cpu().numpy()


def _grid(model: Model, task: Task, site: str, by: tuple[str, ...]) -> _Grid:
    address = Address.parse(site)
    if address != Address(address.name) or address.name not in SITES or not address.site.layered:
        raise OptionError(
            f"cannot sweep {site!r}: a sweep takes a site that layers have, by name alone",
            mend="write it as 'z' or 'resid_post'; by says what to go through",
        )
    dims = address.site.dims
    has = {"layer": True, "head": "head" in dims, "pos": "pos" in dims or "q_pos" in dims}
    wrong = [axis for axis in by if not has.get(axis, False)]
    if wrong or "layer" not in by or len(set(by)) != len(by):
        can = ", ".join(axis for axis in _BY if has[axis])
        raise OptionError(
            f"cannot sweep {site} by {by!r}", mend=f"by starts with layer and may hold: {can}"
        )
    if "pos" in by and task.attention_mask is not None:
        raise TaskError(
            "the prompts have different lengths, so positions do not line up",
            mend="sweep prompts of one length, or leave pos out of by",
        )
    sizes = {
        "layer": model.n_layers,
        "head": part_count(model.adapted, address) if "head" in by else 0,
        "pos": task.clean.shape[1],
    }
    return _Grid(address.name, by, tuple(sizes[axis] for axis in by))


def _sweep(
    model: Model,
    task: Task,
    grid: _Grid,
    values: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
    sign: float,
    measure: Metric,
    direction: str,
    passes: int,
) -> Sweep:
    clean, corrupt = ends
    coords = {axis: np.arange(size) for axis, size in zip(grid.by, grid.sizes, strict=True)}
    per_example = xr.DataArray(values, dims=(*grid.by, "example"), coords=coords)
    effects = per_example.mean("example")
    distance = float(sign * (clean.mean() - corrupt.mean()))
    warnings = []
    if abs(distance) < _SMALL * max(1e-9, float(np.abs(np.r_[clean, corrupt]).max())):
        warnings.append(
            "clean and corrupt hardly differ under this metric: recovered_frac is unreliable"
        )
    fraction = effects / distance if distance else effects * np.nan
    return Sweep(
        site=grid.site,
        effects=effects,
        per_example=per_example,
        recovered_frac=fraction if direction == "denoise" else 1 + fraction,
        clean=clean,
        corrupt=corrupt,
        metric=measure.name,
        unit=measure.unit,
        provenance=model.provenance(
            task_hash=task.task_hash, strategy=f"patch({grid.site}, by={grid.by}, {direction})"
        ),
        passes=passes,
        warnings=tuple(warnings),
    )
