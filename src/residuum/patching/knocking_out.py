"""Knocking out components one by one and together: what backups hide, and what chance would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from residuum.core import SILENT, Address, Edit, Erase, OptionError, Patch, Progress
from residuum.models import Batch
from residuum.patching.ablations import Ablation, ablation_named
from residuum.patching.activation_patching import asked
from residuum.patching.random_sets import random_sets
from residuum.patching.results.knockout import Knockout
from residuum.patching.results.statistics import sample_warnings
from residuum.patching.results.sweep import Sweep
from residuum.runs import (
    Metric,
    Model,
    Task,
    need_model,
    need_task,
    part_count,
    refuse_unknown,
    resolve,
    whole_number,
)
from residuum.runs.arguments import need_progress
from residuum.runs.sweeping.grid import Grid
from residuum.runs.sweeping.naive import picked, site_of
from residuum.runs.sweeping.reader import AnswerReader
from residuum.runs.sweeping.writing import Without, Writing


def knock_out(
    model: Model,
    task: Task,
    cells: Sweep | Sequence[str],
    k: int | None = None,
    how: str | Ablation = "mean",
    *,
    controls: int = 20,
    seed: int = 0,
    metric: str = "",
    progress: Progress = SILENT,
    **unknown: Any,
) -> Knockout:
    """Ablate components of the clean prompts one at a time and cumulatively, against random ones.

    Args:
        model: a loaded model.
        task: contrast pairs; the clean prompts are ablated.
        cells: addresses, such as ``["L0.z[H1]", "L2.mlp_out"]``, in the order of removal;
            or a sweep, whose most helpful cells are taken.
        k: how many cells of a sweep, 5 by default, never one that hurts the answer (``warnings``
            says where there are fewer than asked for); with addresses it is refused.
        how: as in :func:`ablate`.
        controls: how many random sets of as many other components of the same kinds and layers are
            knocked out together; where that leaves too few different sets, components of a kind
            are drawn from any layer, and ``layers_matched`` is False.
        seed: of the random sets.
        metric: name of a metric; the task's own by default.
        progress: who is told.

    Returns:
        Effects of each alone, of the first one, two, … together, and of the random sets.

    Raises:
        OptionError, AddressError, TaskError: no cells at all, or one twice; a sweep made on other
            weights; as in :func:`ablate`.

    Shows: whether the components are needed, alone and together; where together they cost more than
    one by one, others stand in. Does not show: which others; and cells picked on the same pairs
    look stronger than they are: pick on other pairs than you knock out on.
    Source: Wang et al. 2022, "Interpretability in the Wild", §3.4 (backup heads).

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> out = rz.knock_out(model, rz.task("ioi", model, n=4), ["L0.z[H1]", "L0.z[H5]"], controls=2)
    >>> out.joint.shape
    (2, 4)
    """
    refuse_unknown(unknown, "knock_out", "cells, k, how, controls, seed, metric, progress")
    whole_number(controls, "controls", 0)
    whole_number(seed, "seed", 0)
    need_progress(progress)
    need_model(model, "knock_out")
    need_task(task, "knock_out")
    chosen = _chosen(model, task, cells, k)
    sites = sorted({at.name for at in chosen})
    grids = [asked(model, task, "knock_out", site, ("layer",), None, metric) for site in sites]
    measure, kind = grids[0][1], ablation_named(how)
    said = kind.said(model, task)
    written = [(grid, kind.writing(model, task, grid)) for grid, _ in grids]
    surgeon = _Surgeon(model, task, measure, written, progress)
    sets, matched = random_sets(_everyone(model, chosen), chosen, controls, seed)
    groups = [[at] for at in chosen] + [list(chosen[: i + 1]) for i in range(1, len(chosen))]
    effects = surgeon.effects([*groups, *sets])
    singles = effects[: len(chosen)]
    return Knockout(
        cells=tuple(str(at) for at in chosen),
        singles=singles,
        joint=np.concatenate([singles[:1], effects[len(chosen) : len(groups)]]),
        random_sets=tuple(tuple(str(at) for at in each) for each in sets),
        random_joint=effects[len(groups) :],
        layers_matched=matched,
        clean=surgeon.clean,
        corrupt=surgeon.values("corrupt", []),
        metric=measure.name,
        unit=measure.unit,
        kind=said,
        clusters=tuple(task.templates),
        warnings=(*_fewer(k, len(chosen)), *sample_warnings(task)),
        provenance=model.provenance(
            task_hash=task.task_hash,
            strategy=f"knock_out({', '.join(map(str, chosen))}; {said}; {measure.name}; "
            f"{controls} random sets)",
            seed=seed,
        ),
    )


class _Surgeon:
    """Runs the clean prompts with components taken out."""

    def __init__(
        self,
        model: Model,
        task: Task,
        measure: Metric,
        written: list[tuple[Grid, Writing]],
        progress: Progress,
    ) -> None:
        self.model, self.task, self.progress = model, task, progress
        self.sign = 1.0 if measure.larger_is_better else -1.0
        self.reader = AnswerReader(model, task, measure)
        self.writing = {grid.site: writing for grid, writing in written}
        self.written = {grid.site: _written(model, task, grid, one) for grid, one in written}
        self.clean = self.values("clean", [])

    def effects(self, groups: list[list[Address]]) -> np.ndarray:
        """The metric's change under each group, ``[group example]``, signed towards clean."""
        found = np.empty((len(groups), len(self.task)))
        self.progress.start("knocking out", len(groups))
        try:
            for i, group in enumerate(groups):
                found[i] = self.values("clean", [self.edit(at) for at in group]) - self.clean
                self.progress.advance()
        finally:
            self.progress.finish()
        return self.sign * found

    def values(self, side: str, edits: list[Edit]) -> np.ndarray:
        """The metric of one side's prompts under edits, ``[example]``."""
        batch = Batch(getattr(self.task, side), self.task.attention_mask)
        return self.reader.of_logits(self.model.run(batch, edits=edits).last)

    def edit(self, at: Address) -> Edit:
        """The edit that takes a component out."""
        writing = self.writing[at.name]
        if isinstance(writing, Without):
            return Erase(at, writing.basis)
        assert isinstance(at.layer, int)
        value = self.written[at.name](at.layer)
        return Patch(at, picked(value, at.name, at.part, at.pos))


def _written(model: Model, task: Task, grid: Grid, writing: Writing) -> Callable[[int], Tensor]:
    """Layer -> what is written over the whole site in the clean prompts."""
    sites = [Address(grid.site, layer) for layer in grid.layers]
    base = model.run(Batch(task.clean, task.attention_mask), capture=sites)
    source = writing.source
    given = None
    if source is not None:
        donor = model.run(source, capture=sites)
        given = partial(site_of, donor, grid.site)

    def read(layer: int) -> Tensor:
        return writing.values(layer, base[grid.site, layer], given, 0)

    return read


def _chosen(model: Model, task: Task, cells: Any, k: int | None) -> list[Address]:
    """The addresses to take out, in order."""
    if isinstance(cells, Sweep):
        size = 5 if k is None else whole_number(k, "k", 1)
        _refuse_foreign(model, cells)
        return [Address.parse(at) for at in _most_helpful(cells, size)]
    if k is not None:
        raise OptionError("k= goes with a sweep", mend="give as many addresses as you mean")
    if isinstance(cells, (str, Address)) or not isinstance(cells, Sequence) or not cells:
        raise OptionError(
            "knock_out needs a sweep or a list of addresses",
            mend='give for example ["L0.z[H1]", "L2.z[H3]"]',
        )
    batch = Batch(task.clean, task.attention_mask)
    found = [at for each in cells for at in resolve(model.adapted, Address.parse(each), batch)]
    if len(set(found)) != len(found):
        raise OptionError(
            f"knock_out takes different cells, got {', '.join(map(str, found[:6]))}",
            mend="give each address once",
        )
    return found


def _refuse_foreign(model: Model, sweep: Sweep) -> None:
    """Refuse a sweep of other weights: its strongest cells say nothing of this model."""
    made_on = sweep.provenance.weight_hash
    if made_on and made_on != model.provenance().weight_hash:
        raise OptionError(
            f"the sweep was made on other weights ({sweep.provenance.model_id}) than this model's",
            mend="sweep this model, or give addresses",
        )


def _fewer(k: int | None, found: int) -> tuple[str, ...]:
    """What to say where a sweep has fewer helpful cells than asked for."""
    if k is None or found >= k:
        return ()
    helps = "1 cell helps" if found == 1 else f"{found} cells help"
    return (f"k={k} was asked, {helps} the answer",)


def _most_helpful(sweep: Sweep, k: int) -> list[str]:
    """Addresses of the cells that help the answer most, by the sweep's own kind of edit."""
    sign = 1 if sweep.kind == "denoise" else -1
    values = sign * sweep.effects.values.ravel()
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
    order = [int(i) for i in order[:k] if values[i] > 0]
    if not order:
        raise OptionError("no cell of the sweep helps the answer", mend="give addresses instead")
    names = [str(dim) for dim in sweep.effects.dims]
    found = []
    for index in order:
        where = np.unravel_index(index, sweep.effects.shape)
        pairs = zip(names, where, strict=True)
        found.append(sweep.address({n: int(sweep.effects.coords[n].values[i]) for n, i in pairs}))
    return found


def _everyone(model: Model, chosen: Sequence[Address]) -> list[Address]:
    """Every component of the chosen kinds: site, position, and heads or neurons or neither."""
    kinds = {(at.name, at.part is None, at.pos): at for at in chosen}
    return [at for like in kinds.values() for at in _alike(model, like)]


def _alike(model: Model, like: Address) -> list[Address]:
    parts: list[Any] = [None]
    if like.part is not None:
        parts = list(range(part_count(model.adapted, like)))
    layers = range(model.n_layers)
    return [Address(like.name, layer, part, like.pos) for layer in layers for part in parts]
