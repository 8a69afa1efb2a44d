"""Judging a circuit: is it faithful, complete and minimal, whatever the rest is replaced with?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.engine.references import check_reference, reference_prompts
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.scores import REFERENCES
from residuum.circuits.judging.distinct_pairs import DistinctPairs, distinct_pairs
from residuum.circuits.judging.held_out import HeldOut, held_out_of
from residuum.circuits.judging.ratios import SMALLEST, Draws
from residuum.circuits.judging.reference_scores import ReferenceScores
from residuum.circuits.judging.removals import Removals, removals_of
from residuum.circuits.judging.scores import CircuitScores
from residuum.circuits.judging.sizes import check_sizes, of_sizes
from residuum.core import SILENT, OptionError, Progress, TaskError
from residuum.runs import (
    Model,
    Task,
    metric_named,
    need_model,
    need_task,
    refuse_unknown,
    shown,
    whole_number,
)

_SELECTIONS = ("signed", "absolute")
_FEW = 20
_ROUNDING, _MOST, _STEPS = 1000, 1e-3, 8
"""What counts as rounding: so many steps of the dtype, as a share of the metric's size but no more
than ``_MOST`` of it; in half precision, where a single step is more, ``_STEPS`` of them."""
_OPTIONS = "references, sizes, minimality, subsets, metric, seed, max_memory, progress"


def evaluate(
    circuit: Circuit,
    model: Model,
    task: Task,
    *,
    references: str | Sequence[str] | None = None,
    sizes: Any = None,
    minimality: str = "nodes",
    subsets: int = 10,
    metric: str = "",
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
    **unknown: Any,
) -> CircuitScores:
    """Judge a circuit: faithfulness, completeness and minimality under several references.

    With m the metric's mean, N all edges, ∅ none, C the circuit's, N∖C all others:
    faithfulness is (m(C) - m(∅)) / (m(N) - m(∅)); completeness (m(N) - m(N∖C)) / (m(N) - m(∅)); for
    random sets K of the circuit's parts, (m(C∖K) - m(N∖K)) / (m(N) - m(∅)); minimality of a group
    v, (m(C) - m(C∖v)) / (m(N) - m(∅)). As ratios of means, and faithfulness and completeness also
    as means of each example's own ratio.

    Args:
        circuit: some edges of the model's graph.
        model: the model that it is of.
        task: contrast pairs; better other ones than it was found on. The result says how many
            were there. A pair that is there twice is counted once.
        references: what edges outside the circuit carry, one after the other: any of ``zero``,
            ``mean``, ``template_mean``, ``resample``, ``counterfactual``. By default all of them;
            where some prompt has no other of its length, resampling is left out, with a warning.
        sizes: shares of the edges at which circuits are chosen from the circuit's scores, by signed
            and by absolute score; by default ten from 0.001 to 1, and none without scores.
        minimality: what is taken out one at a time: ``"nodes"`` (all edges that leave a part) or
            ``"edges"``.
        subsets: how many random sets of parts completeness is tried with.
        metric: name of a metric; the task's own by default.
        seed: of resampling, of the random sets and of the intervals.
        max_memory, progress: as in :class:`MaskedRuns`.

    Returns:
        Every figure under every reference, with a 95 % bootstrap interval over examples (over
        templates where there are several), and the spread over these choices.

    Raises:
        OptionError: no circuit, or an empty one; an unknown option, reference or metric; sizes
            without scores.
        LoadError: the circuit is of another model.
        TaskError: no task, ids of another tokenizer; with all edges and with none the metric is
            the same, so that nothing can be shared out.
        CheckFailed: masked runs are not the model's own.

    Shows: what the circuit alone does of the behaviour, what the rest alone does, and how far that
    hangs on the choices. Does not show: that a random circuit of its size does worse, or that
    another one does not do as well.

    Source: Wang et al. 2022, "Interpretability in the Wild", §4 (faithfulness, completeness,
    minimality); Miller et al. 2024, "Transformer circuit faithfulness metrics are not robust" (the
    choices); Mueller et al. 2025, "MIB" §3 (CPR, CMD). Deviations: completeness takes random sets,
    not the worst found by greedy search; areas begin at no edges, where faithfulness is 0.

    >>> import residuum as rz
    >>> from residuum.circuits import circuit_from_edges, graph_of
    >>> model = rz.load("microworld")
    >>> task, graph = rz.task("ioi", model, n=4), graph_of(model)
    >>> circuit = circuit_from_edges(graph, graph.names)
    >>> scores = evaluate(circuit, model, task, references=["mean"], subsets=2)
    >>> round(scores["mean"].faithfulness().value, 4)
    1.0
    """
    refuse_unknown(unknown, "evaluate", _OPTIONS)
    need_model(model, "evaluate")
    need_task(task, "evaluate")
    _check_circuit(circuit, model)
    whole_number(subsets, "subsets", 0)
    whole_number(seed, "seed", 0)
    pairs, known = distinct_pairs(task), held_out_of(circuit, task)
    given, task = task.task_hash, pairs.task
    kinds, without = _kinds(references, model, task, seed)
    shares = check_sizes(sizes, circuit)
    removals = removals_of(circuit, minimality, subsets, seed)
    draws = Draws(tuple(task.templates) or ("",) * len(task), seed)
    found: dict[str, ReferenceScores] = {}
    passes = bound = 0.0
    for kind in kinds:
        runs = MaskedRuns(
            model, circuit.graph, task, kind, metric=metric, seed=seed, max_memory=max_memory
        )
        found[kind] = _judged(circuit, runs, removals, shares, draws, progress)
        passes, bound = passes + runs.work.passes, bound + runs.work.bound
    measure = metric_named(metric or task.metric)
    return CircuitScores(
        circuit=circuit,
        by_reference=found,
        metric=measure.name,
        unit=measure.unit,
        examples=len(task),
        sizes=shares,
        how=str(circuit.selection.get("how", "greedy")),
        subsets=removals.subsets,
        passes=passes,
        bound=bound,
        provenance=model.provenance(
            task_hash=given,
            strategy=f"evaluate({', '.join(kinds)}; {measure.name}; minimality of {minimality}; "
            f"{subsets} subsets; circuit {circuit.hash[:12]})",
            seed=seed,
        ),
        held_out=known.holds,
        held_out_why=known.why,
        warnings=(*circuit.own_warnings, *without, *_warnings(pairs, known, found, draws)),
    )


def _check_circuit(circuit: Any, model: Model) -> None:
    if not isinstance(circuit, Circuit):
        raise OptionError(
            f"evaluate judges a circuit, got {shown(circuit)}",
            mend="give one: circuit = rz.discover(model, task), or load_circuit(file)",
        )
    circuit.need_edges()
    circuit.check_fits(model)


def _kinds(
    references: Any, model: Model, task: Task, seed: int
) -> tuple[tuple[str, ...], list[str]]:
    """The references to judge under, and a warning for one that is left out by default."""
    if references is None:
        try:
            reference_prompts(model, task, "resample", seed)
        except TaskError as error:
            kinds = tuple(kind for kind in REFERENCES if kind != "resample")
            return kinds, [f"not judged under resample: {error.what}"]
        return REFERENCES, []
    some = isinstance(references, Iterable) and not isinstance(references, (str, bytes, Mapping))
    given = tuple(references) if some else (references,)
    if not given:
        raise OptionError("no reference to judge under", mend=f"use {', '.join(REFERENCES)}")
    return tuple(dict.fromkeys(check_reference(each) for each in given)), []


def _judged(
    circuit: Circuit,
    runs: MaskedRuns,
    removals: Removals,
    sizes: tuple[float, ...],
    draws: Draws,
    progress: Progress,
) -> ReferenceScores:
    """Everything under one reference, in one call of the engine."""
    kept, everything = circuit.kept, np.ones_like(circuit.kept)
    ends = np.stack([everything, ~everything, kept, ~kept])
    groups, sets = kept & ~removals.groups, kept & ~removals.sets
    curves = {by: of_sizes(circuit, sizes, by) for by in _SELECTIONS} if sizes else {}
    parts = [ends, groups, sets, ~removals.sets, *curves.values()]
    values = runs.metric(np.concatenate(parts), progress=progress)
    cuts = np.cumsum([len(each) for each in parts])[:-1]
    four, removed, circuit_less, model_less, *lines = np.split(values, cuts)
    _refuse_nothing(four[0], four[1], runs)
    return ReferenceScores(
        reference=runs.reference,
        full=four[0],
        empty=four[1],
        circuit=four[2],
        rest=four[3],
        removed=removed,
        groups=removals.names,
        circuit_less=circuit_less,
        model_less=model_less,
        curves=dict(zip(curves, lines, strict=True)),
        sizes=sizes,
        draws=draws,
    )


def _refuse_nothing(full: np.ndarray, empty: np.ndarray, runs: MaskedRuns) -> None:
    """Refuse a denominator that is nothing but rounding."""
    distance = abs(float(full.mean() - empty.mean()))
    size = float(np.abs(np.r_[full, empty]).max())
    eps = torch.finfo(runs.model.dtype).eps
    if distance <= max(_STEPS * eps, min(_ROUNDING * eps, _MOST)) * size:
        raise TaskError(
            f"under {runs.reference} the model says the same without any edge: {runs.measure.name} "
            f"{full.mean():.4g} with all, {empty.mean():.4g} with none",
            mend="leave this reference out, or use pairs whose clean and corrupt prompts differ in "
            "the answer",
            where=runs.task.name,
        )


def _warnings(
    pairs: DistinctPairs, known: HeldOut, found: dict[str, ReferenceScores], draws: Draws
) -> list[str]:
    """What a reader must know."""
    task, said = pairs.task, pairs.warnings
    if len(task) < _FEW:
        said.append(f"{len(task)} pairs are few: intervals are too narrow")
    if known.holds is False:
        said.append(f"{known.why}: judge it on others")
    if "template_mean" in found and "mean" in found and draws.by == "example":
        said.append("the task has one template, so template_mean is mean")
    if "mean" in found and len(set(task.lengths.tolist())) > 1:
        said.append(
            "the pairs have several lengths, so mean is one mean over all tokens, wherever they "
            "stand: template_mean keeps places apart where a template has one length"
        )
    for name, each in found.items():
        gap = each.draws.mean(each.distance)
        if not (gap.low > 0 or gap.high < 0):
            said.append(f"under {name} full and empty hardly differ ({gap}): shares are unreliable")
        if each.left_out:
            said.append(
                f"under {name} {each.left_out} of {len(task)} examples have no ratio of their own "
                f"(below {SMALLEST:.0%} of the mean denominator) and are in no mean of ratios"
            )
    return said
