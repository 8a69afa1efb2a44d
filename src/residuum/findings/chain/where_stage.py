"""Stage 3: where the answer can be moved from, by plain patching of clean into corrupt."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from residuum.core import SILENT, Patch, Progress, track
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.choosing import choose_parts
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import GridEvidence, WhereEvidence
from residuum.patching import Sweep, patch
from residuum.patching.results.statistics import statistics_of

ROUNDING = 8
"""Units in the last place of the largest metric value that count as zero."""


def where(choose: Bench, bench: Bench, spend: Budget, progress: Progress = SILENT) -> WhereEvidence:
    """Patch the stream by position, every head, and each layer's attention and MLP.

    Parts are chosen on ``choose`` and measured on ``bench``, so that none looks strong because it
    was picked for looking strong.

    Args:
        choose: the choosing half.
        bench: the measuring half.
        spend: how many parts to name at most.
        progress: told of every forward pass.
    """
    cells = ("layer", "head")
    choosing, measuring = _Named(progress, "choosing heads"), _Named(progress, "measuring heads")
    first = patch(choose.model, choose.task, "z", cells, progress=choosing)
    chosen = choose_parts(choose, first, _mlps(choose, progress), spend, progress)
    second = patch(bench.model, bench.task, "z", cells, progress=measuring)
    return WhereEvidence(
        stream=stream(bench, progress),
        heads=grid(bench, second),
        parts=_parts(bench, progress),
        chosen=tuple(name for name, _ in chosen),
        chosen_recovered=tuple(share for _, share in chosen),
    )


def _mlps(choose: Bench, progress: Progress) -> Sweep | None:
    """Every MLP on the choosing half; None for a model without them."""
    if not has_mlps(choose):
        return None
    told = _Named(progress, "choosing MLPs")
    return patch(choose.model, choose.task, "mlp_out", ("layer",), progress=told)


def has_mlps(bench: Bench) -> bool:
    """Whether the model's layers have MLPs."""
    return any(tap.name == "mlp_out" for tap in bench.model.adapted.taps)


class _Named:
    """Adds what a sweep is for to its stage's name."""

    def __init__(self, progress: Progress, purpose: str) -> None:
        self._progress, self._purpose = progress, purpose

    def start(self, stage: str, total: int) -> None:
        self._progress.start(f"{self._purpose}, {stage}", total)

    def advance(self, steps: int = 1) -> None:
        self._progress.advance(steps)

    def finish(self) -> None:
        self._progress.finish()


def grid(bench: Bench, sweep: Sweep) -> GridEvidence:
    """A sweep by layer and one more axis as evidence."""
    values = sweep.per_example.values
    values = values[:, None] if values.ndim == 2 else values
    second = [str(dim) for dim in sweep.effects.dims][1:]
    letter = {"head": "H", "pos": ""}
    cols = [f"{letter[name]}{i}" for name in second for i in range(values.shape[1])]
    rows = [f"L{layer}" for layer in range(values.shape[0])]
    return grid_of(bench, sweep.site, rows, cols or [sweep.site], values)


def grid_of(
    bench: Bench, site: str, rows: list[str], cols: list[str], values: np.ndarray
) -> GridEvidence:
    """Values ``[row col example]`` as means, intervals, joint p-values and shares."""
    cells = xr.DataArray(values, dims=("row", "col", "example"))
    sure = statistics_of(cells, bench.clusters or (), noise=_rounding(bench))
    effects = values.mean(axis=-1)
    distance = bench.distance or float("nan")
    return GridEvidence(
        site=site,
        rows=tuple(rows),
        cols=tuple(cols),
        effects=_plain(effects),
        low=_plain(sure.low.values),
        high=_plain(sure.high.values),
        p=_plain(sure.p.values),
        verdict=_plain(sure.verdict.values),
        recovered=_plain(effects / distance),
        n=values.shape[-1],
        floor=sure.floor,
        sure=str(sure),
        warnings=sure.warnings,
    )


def _plain(values: np.ndarray) -> Any:
    return tuple(tuple(row) for row in values.tolist())


def _rounding(bench: Bench) -> float:
    """Effects up to this in every pair are the model's own arithmetic, as in a sweep."""
    largest = float(np.abs(np.r_[bench.clean, bench.corrupt]).max())
    return ROUNDING * torch.finfo(bench.model.dtype).eps * largest


def _parts(bench: Bench, progress: Progress) -> GridEvidence:
    """``attn_out`` and ``mlp_out`` by layer; the first alone for a model without MLPs."""
    sites = ("attn_out", "mlp_out") if has_mlps(bench) else ("attn_out",)
    sweeps = [patch(bench.model, bench.task, site, ("layer",), progress=progress) for site in sites]
    values = np.stack([sweep.per_example.values for sweep in sweeps], axis=1)
    rows = [f"L{layer}" for layer in range(values.shape[0])]
    return grid_of(bench, ", ".join(sites), rows, list(sites), values)


def stream(bench: Bench, progress: Progress = SILENT) -> GridEvidence | None:
    """The stream before and after each layer, by named position; by number where none is named.

    Named positions are looked up prompt by prompt, so sentence patterns of different length go
    together. Without names only prompts of one length can be lined up; None if they are not.
    """
    places = positions(bench)
    if not places:
        return None
    layers = range(bench.model.n_layers)
    sites = ["L0.resid_pre", *(f"L{layer}.resid_post" for layer in layers)]
    donor, receiver = bench.run("clean", capture=sites), bench.run("corrupt", capture=sites)
    cells = [(site, at) for site in sites for at in places.values()]
    values = []
    for site, at in track(cells, progress, "patching resid_post", len(cells)):
        mixed = _mixed(receiver[site], donor[site], at)
        values.append(bench.values("corrupt", [Patch(site, mixed)]) - bench.corrupt)
    shape = (len(sites), len(places), len(bench.task))
    rows = ["embed", *(f"L{layer}" for layer in layers)]
    return grid_of(bench, "resid_post", rows, list(places), np.stack(values).reshape(shape))


def positions(bench: Bench) -> dict[str, Tensor]:
    """Label, with the first prompt's word, -> position in each prompt, left to right."""
    task = bench.task
    if task.positions:
        named = {name: at for name, at in task.positions.items() if bool((at >= 0).all())}
        named |= (
            {}
            if any(bool((at == task.last).all()) for at in named.values())
            else {"last": task.last}
        )
        order = sorted(named, key=lambda name: float(named[name].double().mean()))
        words = bench.prompt("clean", 0)
        return {f"{name} ({words[int(named[name][0])].strip()})": named[name] for name in order}
    if task.attention_mask is not None:
        return {}
    width = task.clean.shape[1]
    return {str(pos): torch.full((len(task),), pos) for pos in range(width)}


def _mixed(base: Tensor, donor: Tensor, at: Tensor) -> Tensor:
    """``base`` ``[example pos d]`` with one position of each example from ``donor``."""
    out = base.clone()
    rows = torch.arange(len(at), device=base.device)
    cols = at.to(base.device)
    out[rows, cols] = donor[rows, cols]
    return out
