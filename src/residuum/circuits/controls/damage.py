"""The verb: what does the removal of each circuit do to each task, and to plain text?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from residuum.circuits.controls.damage_result import Damage, DamageMatrix, RandomDamage
from residuum.circuits.controls.stability import check_circuit
from residuum.circuits.controls.text_task import text_task
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.engine.references import check_reference
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.fitting import partial_graph
from residuum.circuits.judging.distinct_pairs import DistinctPairs, distinct_pairs
from residuum.circuits.judging.evaluating import _refuse_nothing
from residuum.circuits.judging.held_out import held_out_of
from residuum.circuits.judging.ratios import Draws, estimate
from residuum.circuits.trial.random_circuits import random_circuits
from residuum.core import SILENT, OptionError, Progress
from residuum.core.progress import track
from residuum.runs import Model, Task, metric_named, need_model, need_task, shown, whole_number

TEXT = "text"
"""Name of the column for plain text."""


def damage_matrix(
    circuits: Mapping[str, Circuit],
    model: Model,
    tasks: Mapping[str, Task],
    *,
    reference: str = "mean",
    text: Any = None,
    n_tokens: int = 64,
    n_random: int = 0,
    outside: bool = False,
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
) -> DamageMatrix:
    """Remove each circuit, keep the rest, and see what each task loses.

    Damage is (m(N) - m(N∖C)) / (m(N) - m(∅)), with m the task's own metric, N all edges and ∅
    none: 0 where the task does not need the circuit, 1 where no more is left than without any edge.

    Args:
        circuits: by name, all over one graph; a circuit's own task has its name.
        model: that they are of.
        tasks: by name; better pairs that the circuits were not found on. A pair that is there twice
            is counted once; both are said in ``warnings``.
        reference: what the removed edges carry. Plain text has no corrupt prompts: under
            ``"counterfactual"`` and ``"template_mean"`` its column is made under ``"mean"``.
        text: texts for a column of their next-token loss; without it there is none.
        n_tokens: tokens of the texts that are foretold.
        n_random: for each circuit so many random connected circuits of its size are removed too.
        outside: draw them from the edges outside the circuit. By default they come from the whole
            graph, where one edge that all paths share makes many of them as harmful as any.
        seed: of random circuits, resampling, texts and intervals.
        max_memory, progress: as of ``MaskedRuns``.

    Returns:
        A :class:`DamageMatrix`: circuits by tasks, with 95 % intervals, double dissociations of
        pairs of circuits, and damage by random circuits.

    Raises:
        OptionError: no circuits or tasks by name; circuits of different graphs, or empty; a task
            named ``text`` beside texts; texts beside circuits with positions, which texts lack.
        LoadError: a circuit of another model.
        TaskError: no task; no difference between all edges and none; positions that a task lacks.

    Shows, does not show: see :class:`DamageMatrix`.
    Source: Teuber 1955, "Physiological psychology" (double dissociation); damage is one minus the
    faithfulness of the rest.

    >>> import residuum as rz
    >>> from residuum.circuits import EAP, discover
    >>> model = rz.load("microworld")
    >>> task = rz.task("ioi", model, n=8)
    >>> found = damage_matrix({"ioi": discover(model, task, EAP())}, model, {"ioi": task})
    >>> found["ioi", "ioi"].damage.value > 0.8
    True
    """
    need_model(model, "damage_matrix")
    circuits, tasks = _named(circuits, "circuits"), _named(tasks, "tasks")
    _check(circuits, model, tasks, text)
    check_reference(reference)
    whole_number(n_random, "n_random", 0)
    whole_number(n_tokens, "n_tokens", 2)
    whole_number(seed, "seed", 0)
    if text is not None:
        tasks[TEXT] = text_task(model, text, n_tokens, seed)
    graph = next(iter(circuits.values())).graph
    drawn = _random(circuits, n_random, outside, seed)
    masks = np.stack([each.kept for each in circuits.values()])
    removed = np.concatenate([masks, *drawn.values()]) if drawn else masks
    given, pairs = tasks, {name: distinct_pairs(each) for name, each in tasks.items()}
    tasks = {name: each.task for name, each in pairs.items()}
    cells: list[Damage] = []
    random: list[RandomDamage] = []
    for name, task in track(list(tasks.items()), progress, "damage", len(tasks)):
        kind = reference_for(name, text, reference)
        runs = MaskedRuns(model, graph, task, kind, seed=seed, max_memory=max_memory)
        sign = 1.0 if runs.measure.larger_is_better else -1.0
        whole = np.ones(graph.n_edges, dtype=bool)
        full, empty, *rest = sign * runs.metric(np.concatenate([[whole, ~whole], ~removed]))
        _refuse_nothing(full, empty, runs)
        draws = Draws(tuple(task.templates) or ("",) * len(task), seed)
        for at, circuit in enumerate(circuits):
            below = draws.ratios(full - rest[at], full - empty)
            value = float((full - rest[at]).mean() / (full - empty).mean())
            share = estimate(value, below, len(task))
            lost = draws.mean(full - rest[at])
            cells.append(Damage(circuit, name, kind, runs.measure.unit, share, lost, below))
        shares = [float((full - each).mean() / (full - empty).mean()) for each in rest]
        random += _of_random(list(drawn), name, shares[len(circuits) :], n_random)
    return DamageMatrix(
        circuits=circuits,
        tasks=tuple(tasks),
        reference=reference,
        cells=tuple(cells),
        random=tuple(random),
        outside=outside,
        examples={name: len(each) for name, each in tasks.items()},
        metrics={name: metric_named(each.metric).name for name, each in tasks.items()},
        provenance=model.provenance(
            strategy=f"damage_matrix({reference}; circuits "
            + ", ".join(f"{name} {each.hash[:12]}" for name, each in circuits.items())
            + "; tasks "
            + ", ".join(f"{name} {each.task_hash[:12]}" for name, each in given.items())
            + f"; {n_random} random)",
            seed=seed,
        ),
        warnings=_warnings(circuits, pairs),
    )


def reference_for(task: str, text: Any, reference: str) -> str:
    """What removed edges carry on a task."""
    constant = reference not in ("counterfactual", "template_mean")
    return reference if constant or text is None or task != TEXT else "mean"


def _named(given: Any, what: str) -> dict[str, Any]:
    """What was given by name."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise OptionError(
            f"damage_matrix takes its {what} by name, got {shown(given)}",
            mend='give {"ioi": circuit} and {"ioi": task}: a circuit\'s own task has its name',
        )
    return dict(given)


def _warnings(circuits: dict[str, Circuit], pairs: dict[str, DistinctPairs]) -> tuple[str, ...]:
    """What a reader must know of the graphs and the prompts."""
    said = [
        f"{name}: {each}" for name, one in circuits.items() for each in partial_graph(one.graph)
    ]
    said += [f"{name}: {each}" for name, found in pairs.items() for each in found.warnings]
    own = [name for name in circuits if name in pairs]
    known = {name: held_out_of(circuits[name], pairs[name].task) for name in own}
    return (*said, *(f"{name}: {each.why}" for name, each in known.items() if each.holds is False))


def _check(circuits: dict[str, Circuit], model: Model, tasks: dict[str, Task], text: Any) -> None:
    if not circuits or not tasks:
        raise OptionError(
            "a damage matrix needs circuits and tasks",
            mend='give {"ioi": circuit} and {"ioi": task}',
        )
    for name, each in tasks.items():
        need_task(each, f"damage_matrix, tasks[{name!r}]")
    for each in circuits.values():
        check_circuit(each, model, "damage_matrix")
    graphs = {name: each.graph for name, each in circuits.items()}
    first = next(iter(graphs.values()))
    other = [name for name, each in graphs.items() if each != first]
    if other:
        raise OptionError(
            f"{', '.join(map(shown, other))}: of another graph than the first circuit",
            mend="find all circuits in one graph, graph_of(model)",
        )
    if text is not None and first.positions:
        raise OptionError(
            f"plain text has no positions named {', '.join(first.positions)}, which the circuits' "
            "edges are bound to",
            mend="leave text out, or find the circuits in a graph without positions",
        )
    if text is not None and TEXT in tasks:
        raise OptionError(
            f"a task is named {TEXT!r}, and so is the column of the texts",
            mend="give the task another name",
        )


def _random(
    circuits: dict[str, Circuit], n: int, outside: bool, seed: int
) -> dict[str, np.ndarray]:
    """For each circuit, random ones of its size, bool ``[draw edge]``."""
    if not n:
        return {}
    return {
        name: random_circuits(
            each.graph, each.n_edges, n, seed=seed, among=~each.kept if outside else None
        )
        for name, each in circuits.items()
    }


def _of_random(names: list[str], task: str, shares: list[float], n: int) -> list[RandomDamage]:
    return [
        RandomDamage(name, task, tuple(shares[at * n : (at + 1) * n]))
        for at, name in enumerate(names)
    ]
