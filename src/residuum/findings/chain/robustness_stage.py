"""Stage: does it hold on other templates, other draws, new pairs, other removals, other models?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from residuum.core import SILENT, Progress, ResiduumError, track
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.joining import joined, unseen
from residuum.findings.chain.replacement import gained, lost, other_side, share_of
from residuum.findings.chain.searching import Search, jaccard
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.part_evidence import RemovalEvidence
from residuum.findings.record.robustness_evidence import (
    Draw,
    Fold,
    NewPairs,
    OtherModel,
    RobustnessEvidence,
    Way,
)
from residuum.findings.record.rules import behaviour_rules, present
from residuum.runs import Model, Task, make_task, task_names

FEWEST = 8
"""Pairs of a fold, or new ones, at least."""
SHUFFLES = 200
_NEW_SEEDS = 2


def robustness(
    choose: Bench,
    bench: Bench,
    parts: Sequence[str],
    spend: Budget,
    progress: Progress = SILENT,
    removals: Sequence[RemovalEvidence] = (),
    also: Sequence[Model] = (),
    found: bool = True,
) -> RobustnessEvidence:
    """Ask the same of other pairs, other removals and other models.

    Args:
        choose, bench: the choosing half and the measuring half.
        parts: what the claim names: heads and MLPs.
        spend: what may be spent. At ``quick`` one sweep over all pairs and some 30 forward passes.
        progress: told of sweeps and draws.
        removals: the named parts removed from the measuring half, as the parts stage measured it.
        also: other models that are asked the same.
        found: whether the parts were searched for, so that other pairs may name others.
    """
    whole = Bench(bench.model, joined(choose.task, bench.task), bench.seed)
    search = Search(whole, spend, progress)
    folds, left_out = _folds(search, parts, found)
    new, missing = _new(whole, parts, spend)
    draws = _draws(search, parts, spend, progress) if found else ()
    models, refused = _models(whole, parts, spend, also, progress)
    return RobustnessEvidence(
        parts=tuple(parts),
        folds=folds,
        draws=draws,
        new=new,
        ways=tuple(_way(bench, each) for each in removals),
        models=models,
        left_out=(*left_out, *missing, *refused),
    )


def _folds(
    search: Search, parts: Sequence[str], found: bool
) -> tuple[tuple[Fold, ...], tuple[str, ...]]:
    """Every other template against the rest, both ways round."""
    labels = search.bench.task.templates
    names = sorted(set(labels))
    if len(names) < 2:
        return (), ("other templates: all pairs are of one template",)
    groups = names[0::2], names[1::2]
    rows = [[row for row, label in enumerate(labels) if label in group] for group in groups]
    if min(map(len, rows)) < FEWEST:
        return (), (f"other templates: fewer than {FEWEST} pairs of some of them",)
    folds = []
    for here, there in ((0, 1), (1, 0)):
        chosen = search.chosen(rows[here]) if found else tuple(parts)
        recovered, loss = search.measured(chosen, rows[there])
        overlap = jaccard(chosen, parts) if found else math.nan
        folds.append(Fold(tuple(groups[here]), tuple(groups[there]), len(rows[there]), chosen,
                          overlap, recovered, loss))  # fmt: skip
    return tuple(folds), ()


def _draws(
    search: Search, parts: Sequence[str], spend: Budget, progress: Progress
) -> tuple[Draw, ...]:
    """Other halves of the pairs, as many as a tenth of the random sets, three at least."""
    count, n = max(3, spend.random_sets // 10), len(search.bench.task)
    first = search.bench.seed + 1
    seeds = range(first, first + count)
    found = []
    for seed in track(seeds, progress, "other halves", count):
        rows = np.random.default_rng(seed).permutation(n)[: n // 2].tolist()
        chosen = search.chosen(sorted(rows))
        found.append(Draw(seed, chosen, jaccard(chosen, parts)))
    return tuple(found)


def _new(
    whole: Bench, parts: Sequence[str], spend: Budget
) -> tuple[tuple[NewPairs, ...], tuple[str, ...]]:
    """Pairs of other seeds, those that were used before left out."""
    if not _named(whole.model, whole.task):
        return (), ("new pairs: the task's source is not known to the package",)
    found, seen = [], whole.task
    for seed in range(whole.seed + 1, whole.seed + 1 + _NEW_SEEDS):
        task = unseen(_drawn(whole.model, whole.task, spend.n, seed), seen)
        if task is None or len(task) < FEWEST:
            return tuple(found), (f"new pairs: fewer than {FEWEST} that were not used before",)
        recovered, loss = _both(Bench(whole.model, task, whole.seed), parts)
        found.append(NewPairs(seed, len(task), recovered, loss))
        seen = joined(seen, task)
    return tuple(found), ()


def _named(model: Model, task: Task) -> bool:
    """Whether the package makes pairs of this task."""
    made = task.source.startswith((f"microworld:{task.name} ", f"english:{task.name} "))
    return made and task.name in task_names(model)


def _drawn(model: Model, task: Task, n: int, seed: int) -> Task:
    split = "train" if "split=train" in task.source else "test"
    return make_task(
        task.name, model, n=n, seed=seed, split=split, metric=task.metric, skip_misfits=True
    )


def _both(bench: Bench, parts: Sequence[str]) -> tuple[Estimate, Estimate]:
    gain = gained(bench, other_side(bench, parts, "corrupt"))
    return share_of(bench, gain), share_of(bench, lost(bench, other_side(bench, parts, "clean")))


def _way(bench: Bench, removal: RemovalEvidence) -> Way:
    """A removal's cost over the distance."""
    cost, distance = removal.together[-1], bench.distance or math.nan
    return Way(
        how=removal.how,
        lost=Estimate(cost.value / distance, cost.low / distance, cost.high / distance, cost.n),
        worst_random=max(removal.random, default=math.nan) / distance,
    )


# -- other models ------------------------------------------------------------------------------


def _models(
    whole: Bench, parts: Sequence[str], spend: Budget, also: Sequence[Model], progress: Progress
) -> tuple[tuple[OtherModel, ...], tuple[str, ...]]:
    found, refused = [], []
    for model in track(also, progress, "other models", len(also)) if also else ():
        try:
            task = _for_model(whole, model, spend)
        except ResiduumError as error:
            refused.append(f"{model.name}: {error.what}")
            continue
        found.append(in_other_model(whole, Bench(model, task, whole.seed), parts, spend))
    if not also:
        refused.append("other models: none was given")
    return tuple(found), tuple(refused)


def _for_model(whole: Bench, model: Model, spend: Budget) -> Task:
    """The same pairs where the ids fit, else the task of this name in the model's own words."""
    try:
        whole.task.check_fits(model)
    except ResiduumError:
        if not _named(whole.model, whole.task):
            raise
        return make_task(whole.task.name, model, n=2 * spend.n, seed=whole.seed)
    return whole.task


def in_other_model(whole: Bench, there: Bench, parts: Sequence[str], spend: Budget) -> OtherModel:
    """The behaviour, a search of its own, and the same parts, in another model."""
    seen = behaviour(there, SHUFFLES)
    shown = present(behaviour_rules(seen, there.metric.unit))
    n = len(there.task)
    chosen: tuple[str, ...] = ()
    own: tuple[Estimate | None, Estimate | None] = (None, None)
    same: tuple[Estimate | None, Estimate | None] = (None, None)
    if shown:
        search, rows = Search(there, spend), range(1, n, 2)
        chosen = search.chosen(range(0, n, 2))
        own = search.measured(chosen, rows)
        if there.model.dims == whole.model.dims:
            same = search.measured(parts, rows)
    return OtherModel(
        name=there.model.name,
        weight_hash=there.model.provenance().weight_hash,
        n=len(range(1, n, 2)),
        choice=seen.choice,
        contrast=seen.contrast,
        present=shown,
        parts=chosen,
        recovered=own[0],
        lost=own[1],
        same_recovered=same[0],
        same_lost=same[1],
    )
