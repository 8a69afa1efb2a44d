"""The verb: are there other circuits that do as well and share little with this one?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from residuum.circuits.controls.overlap import parts_of_masks, to_one
from residuum.circuits.controls.rival_result import Candidate, RivalCircuits
from residuum.circuits.controls.stability import check_circuit, found_again
from residuum.circuits.discovery.discovering import Discovery
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.engine.references import check_reference
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.selection import keep
from residuum.circuits.judging.evaluating import _refuse_nothing
from residuum.circuits.judging.ratios import Draws, Estimate
from residuum.core import SILENT, OptionError, Progress
from residuum.core.progress import track
from residuum.runs import Model, Task, need_model, need_task, shown, whole_number

FACTORS = (0.5, 0.25, 0.1, 0.0)
"""By which scores of edges are multiplied that some circuit has already."""


def rival_circuits(
    circuit: Circuit,
    model: Model,
    task: Task,
    *,
    method: Discovery | None = None,
    seeds: Sequence[int] = (),
    found_on: Task | None = None,
    factors: Sequence[float] = FACTORS,
    references: str | Sequence[str] = (),
    tolerance: float = 0.1,
    shared: float = 0.5,
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
) -> RivalCircuits:
    """Search for other circuits of the size that are as faithful and share little.

    Two searches. *Penalised*: edges are chosen again from the circuit's scores, those of the
    circuit being multiplied with a factor below 1, for each factor; a further candidate penalises
    the circuit and every candidate before it with the smallest factor. *Seeds*: the method is run
    again with other seeds, for methods with random choices such as ``LearnedMask``.

    Args:
        circuit: of this model.
        model, task: candidates are judged on these pairs; better others than it was found on.
        method, seeds: of the second search.
        found_on: pairs on which the method is run; ``task`` by default.
        factors: of the first search, each from 0 (an edge is chosen last) to below 1.
        references: under which they are judged; by default the circuit's own.
        tolerance: as faithful means: under every reference at most this much below the circuit's
            faithfulness, and at most this much further from 1 than the circuit's.
        shared: a rival shares at most this much, Jaccard's index of edges.
        seed: of intervals and resampling.
        max_memory, progress: as of ``MaskedRuns``.

    Returns:
        Every candidate with its faithfulness and overlap; rivals are those within both bounds.

    Raises:
        OptionError: no circuit or an empty one; no scores and no seeds to search with; an option
            out of range.
        LoadError: a circuit of another model.
        TaskError: no task; the model says the same with and without the graph's edges.

    Shows: other circuits that do the same on these prompts, if the search meets some. Does not
    show: that there are none: both searches are narrow.

    >>> import residuum as rz
    >>> from residuum.circuits import EAP, discover
    >>> model = rz.load("microworld")
    >>> task = rz.task("ioi", model, n=8)
    >>> found = rival_circuits(discover(model, task, EAP(), n_edges=20), model, task)
    >>> len(found.candidates)
    5
    """
    need_model(model, "rival_circuits")
    need_task(task, "rival_circuits")
    check_circuit(circuit, model, "rival_circuits")
    _check(circuit, method, seeds, factors, tolerance, shared)
    whole_number(seed, "seed", 0)
    asked = (references,) if isinstance(references, str) else tuple(references)
    kinds = tuple(dict.fromkeys(map(check_reference, asked))) or (circuit.reference,)
    found = _penalised(circuit, factors) if circuit.scores is not None else []
    if method is not None:
        for each in track(list(seeds), progress, "rival circuits", len(seeds)):
            other = found_again(circuit, model, found_on or task, method, each, max_memory)
            found.append((f"seed {each}", other.kept))
    masks = np.stack([circuit.kept, *(kept for _, kept in found)])
    faithful = {
        kind: _faithfulness(circuit, model, task, kind, masks, seed, max_memory) for kind in kinds
    }
    _, parts = parts_of_masks(circuit.graph, masks)
    edges, nodes = to_one(masks, masks[0]), to_one(parts, parts[0])
    candidates = tuple(
        Candidate(
            origin,
            kept,
            float(edges[at]),
            float(nodes[at]),
            {kind: each[at] for kind, each in faithful.items()},
        )
        for at, (origin, kept) in enumerate(found, start=1)
    )
    return RivalCircuits(
        circuit=circuit,
        faithfulness={kind: each[0] for kind, each in faithful.items()},
        candidates=candidates,
        tolerance=tolerance,
        shared=shared,
        task=task.name,
        examples=len(task),
        provenance=model.provenance(
            task_hash=task.task_hash,
            strategy=f"rival_circuits({', '.join(kinds)}; factors {list(factors)}; seeds "
            f"{list(seeds)}; circuit {circuit.hash[:12]})",
            seed=seed,
        ),
    )


def _check(
    circuit: Circuit,
    method: Any,
    seeds: Sequence[int],
    factors: Sequence[float],
    tolerance: Any,
    shared: Any,
) -> None:
    for each in seeds:
        whole_number(each, "seeds", 0)
    if (method is None) == bool(len(seeds)):
        raise OptionError(
            "method and seeds go together", mend="give both, such as seeds=(1, 2, 3), or neither"
        )
    if circuit.scores is None and method is None:
        raise OptionError(
            "the circuit has no scores, and no method is given: there is nothing to search with",
            mend="give method= and seeds=, or a circuit that rz.discover found",
        )
    for name, given, most in (("tolerance", tolerance, 1), ("shared", shared, 1)):
        if not isinstance(given, (int, float)) or not 0 < given <= most:
            raise OptionError(
                f"{name}={shown(given)} is out of range", mend=f"give a number in (0, {most}]"
            )
    if not len(factors) or any(not 0 <= each < 1 for each in factors):
        raise OptionError(f"factors={shown(factors)}", mend="give numbers from 0 to below 1")


def _penalised(circuit: Circuit, factors: Sequence[float]) -> list[tuple[str, np.ndarray]]:
    """Circuits of the size chosen from penalised scores, with their origin."""
    assert circuit.scores is not None
    own = circuit.selection
    how, by = str(own.get("how", "greedy")), str(own.get("by", "absolute"))
    how = how if how in ("greedy", "top") else "top"
    by = by if by in ("signed", "absolute") else "signed"
    values, taken = circuit.scores.values, circuit.kept.copy()

    def chosen(used: np.ndarray, factor: float) -> np.ndarray:
        lower = np.where(used & (values > 0), values * factor, values)
        if by == "absolute":
            lower = np.where(used, values * factor, values)
        return keep(circuit.graph, lower, circuit.n_edges, how=how, by=by)

    found = [(f"scores × {each:g}", chosen(circuit.kept, each)) for each in factors]
    for _, kept in found:
        taken |= kept
    return [*found, (f"all before × {min(factors):g}", chosen(taken, min(factors)))]


def _faithfulness(
    circuit: Circuit,
    model: Model,
    task: Task,
    reference: str,
    masks: np.ndarray,
    seed: int,
    max_memory: Any,
) -> list[Estimate]:
    """Of each circuit, ratio of means."""
    metric = circuit.scores.metric if circuit.scores else task.metric
    runs = MaskedRuns(
        model, circuit.graph, task, reference, metric=metric, seed=seed, max_memory=max_memory
    )
    whole = np.ones_like(circuit.kept)
    full, empty, *values = runs.metric(np.concatenate([[whole, ~whole], masks]))
    _refuse_nothing(full, empty, runs)
    draws = Draws(tuple(task.templates) or ("",) * len(task), seed)
    return [draws.ratio(each - empty, full - empty) for each in values]
