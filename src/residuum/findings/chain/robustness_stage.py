"""Stage: does it hold on other templates, other draws, new pairs, other removals, other models?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from residuum.core import SILENT, AddressError, Progress, TaskError, track
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.joining import joined
from residuum.findings.chain.lever import Lever
from residuum.findings.chain.new_pairs import new_pairs
from residuum.findings.chain.other_models import other_models
from residuum.findings.chain.replacement import share_of
from residuum.findings.chain.searching import Search, jaccard
from residuum.findings.record.budget import Budget
from residuum.findings.record.part_evidence import RemovalEvidence
from residuum.findings.record.robustness_evidence import (
    Draw,
    Fold,
    RobustnessEvidence,
    Way,
)
from residuum.runs import Model

FEWEST = 8
"""Pairs of a fold, or new ones, at least."""
SETS = 5
"""Random circuits or directions removed for comparison."""


def robustness(
    choose: Bench,
    bench: Bench,
    lever: Lever,
    spend: Budget,
    progress: Progress = SILENT,
    removals: Sequence[RemovalEvidence] = (),
    also: Sequence[Model] = (),
    found: bool = True,
    impossible: Sequence[str] = (),
) -> RobustnessEvidence:
    """Ask the same of other pairs, other removals and other models.

    Args:
        choose, bench: the choosing half and the measuring half.
        lever: what the claim names.
        spend: what may be spent. At ``quick`` one sweep over all pairs and some 30 forward passes;
            for a circuit some 20 masked runs of half of the pairs.
        progress: told of sweeps and draws.
        removals: the named parts removed from the measuring half, as the parts stage measured it.
        also: other models that are asked the same.
        found: whether the parts were searched for, so that other pairs may name others.
        impossible: ways of removal that the pairs do not allow, and why, from the parts stage.
    """
    if lever.kind != "components":
        return _of_whole(choose, bench, lever, spend, progress, len(also))
    parts = lever.parts
    whole = Bench(bench.model, joined(choose.task, bench.task), bench.seed)
    search = Search(whole, spend, progress)
    folds, left_out = _folds(search, parts, found)
    new, missing = new_pairs(whole, lever, spend.n, FEWEST)
    draws = _draws(search, parts, spend, progress) if found else ()
    models, refused = other_models(whole, parts, spend, also, progress)
    return RobustnessEvidence(
        kind=lever.kind,
        parts=parts,
        folds=folds,
        draws=draws,
        new=new,
        ways=tuple(_way(bench, each) for each in removals),
        models=models,
        left_out=(*left_out, *missing, *impossible, *refused),
    )


def _of_whole(
    choose: Bench, bench: Bench, lever: Lever, spend: Budget, progress: Progress, also: int
) -> RobustnessEvidence:
    """The same of a circuit or a direction, which is stated: no other pairs would name another.

    Templates are told apart on the measuring half alone, for it may have been found on the other.
    """
    steps = track(range(3), progress, "other pairs and removals", 3)
    folds, left_out = _stated_folds(bench, lever)
    next(steps)
    whole = Bench(bench.model, joined(choose.task, bench.task), bench.seed)
    new, missing = new_pairs(whole, lever, spend.n, FEWEST)
    next(steps)
    ways, impossible = _ways(bench, lever)
    list(steps)
    refused = (f"other models: a {lever.kind} belongs to one model",) if also else ()
    return RobustnessEvidence(
        kind=lever.kind,
        parts=lever.parts,
        folds=folds,
        draws=(),
        new=new,
        ways=ways,
        models=(),
        left_out=(
            *left_out,
            *missing,
            *impossible,
            *(refused or ("other models: none was given",)),
        ),
    )


def _groups(labels: Sequence[str]) -> tuple[tuple[list[str], ...], list[list[int]], str]:
    """Every other template and the rest, the rows of each, and why not, if not."""
    names = sorted(set(labels))
    if len(names) < 2:
        return (), [], "other templates: all pairs are of one template"
    groups = names[0::2], names[1::2]
    rows = [[row for row, label in enumerate(labels) if label in group] for group in groups]
    few = min(map(len, rows)) < FEWEST
    return groups, rows, f"other templates: fewer than {FEWEST} pairs of some of them" * few


def _folds(
    search: Search, parts: Sequence[str], found: bool
) -> tuple[tuple[Fold, ...], tuple[str, ...]]:
    """Every other template against the rest, both ways round."""
    groups, rows, why = _groups(search.bench.task.templates)
    if why:
        return (), (why,)
    folds = []
    for here, there in ((0, 1), (1, 0)):
        chosen = search.chosen(rows[here]) if found else tuple(parts)
        recovered, loss = search.measured(chosen, rows[there])
        overlap = jaccard(chosen, parts) if found else math.nan
        folds.append(Fold(tuple(groups[here]), tuple(groups[there]), len(rows[there]), chosen,
                          overlap, recovered, loss))  # fmt: skip
    return tuple(folds), ()


def _stated_folds(bench: Bench, lever: Lever) -> tuple[tuple[Fold, ...], tuple[str, ...]]:
    """What is stated, on every other template and on the rest, each by itself."""
    groups, rows, why = _groups(bench.task.templates)
    if why:
        return (), (why,)
    folds = []
    for here, there in ((0, 1), (1, 0)):
        some = bench.task.subset(rows[there])
        try:
            pairs = Bench(bench.model, lever.allowed(some), bench.seed)
            recovered, loss = (share_of(pairs, each) for each in lever.moves(pairs))
        except (TaskError, AddressError) as error:
            return (), (f"other templates: {error.what}",)
        folds.append(Fold(tuple(groups[here]), tuple(groups[there]), len(pairs.task),
                          lever.parts, math.nan, recovered, loss))  # fmt: skip
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


def _way(bench: Bench, removal: RemovalEvidence) -> Way:
    """A removal's cost over the distance."""
    worst = max(removal.random, default=math.nan) / (bench.distance or math.nan)
    return Way(how=removal.how, lost=removal.lost, worst_random=worst)


def _ways(bench: Bench, lever: Lever) -> tuple[tuple[Way, ...], tuple[str, ...]]:
    """Every way of removal of a circuit or a direction, beside random ones, and what the pairs do
    not allow."""
    found, left_out = [], []
    for how in lever.every_way:
        try:
            cost = share_of(bench, lever.cost(bench, how))
        except (TaskError, AddressError) as error:  # no prompt to draw from
            left_out.append(f"{how}: {error.what}")
            continue
        drawn = lever.random_costs(bench, how, SETS)
        worst = max((share_of(bench, each).value for each in drawn), default=math.nan)
        found.append(Way(how, cost, worst))
    return tuple(found), tuple(left_out)
