"""The same question asked of other models: other sizes, other seeds."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.core import OptionError, Progress, ResiduumError, track
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.new_pairs import made_here
from residuum.findings.chain.searching import Search
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.robustness_evidence import OtherModel
from residuum.findings.record.rules import behaviour_rules, present
from residuum.findings.record.words import model_name
from residuum.runs import Model, Task, make_task

SHUFFLES = 200


def different(model: Model, also: Sequence[Model]) -> tuple[Model, ...]:
    """The other models, if they are others.

    Raises:
        OptionError: one has the weights of the model itself, or of another one given.
    """
    seen = {model.provenance().weight_hash}
    for each in also:
        weights = each.provenance().weight_hash
        if weights in seen:
            raise OptionError(
                f"also= holds {model_name(each.name)}, whose weights are asked already",
                mend="give models with other weights; that it holds on the same ones says nothing",
            )
        seen.add(weights)
    return tuple(also)


def other_models(
    whole: Bench, parts: Sequence[str], spend: Budget, also: Sequence[Model], progress: Progress
) -> tuple[tuple[OtherModel, ...], tuple[str, ...]]:
    """The same question asked of each, and what was not asked, and why."""
    found, refused = [], []
    for model in track(also, progress, "other models", len(also)) if also else ():
        try:
            task = _for_model(whole, model, spend)
        except ResiduumError as error:
            refused.append(f"{model_name(model.name)}: {error.what.split(';')[0]}")
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
        if not made_here(whole.model, whole.task):
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
