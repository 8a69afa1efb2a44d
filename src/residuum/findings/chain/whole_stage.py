"""Stage 4 for a stated circuit or direction: what it does as a whole, beside random ones."""

from __future__ import annotations

import numpy as np

from residuum.circuits import Circuit, MaskedRuns
from residuum.core import SILENT, Progress
from residuum.directions import Direction, prove
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.direction_lever import DirectionLever
from residuum.findings.chain.other_circuits import other_circuits
from residuum.findings.chain.replacement import share_of
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.mechanism import Mechanism
from residuum.findings.record.whole_evidence import WholeEvidence
from residuum.findings.record.whole_rules import IDLE_EDGE

MOST_EDGES = 100
"""Edges of a circuit that are left out one by one, at most."""
_LEAST_DRAWS = 50
"""Random directions at least: fewer give no p far enough below 5 %."""


def whole(
    bench: Bench, mechanism: Mechanism, spend: Budget, progress: Progress = SILENT
) -> WholeEvidence:
    """Examine a circuit or a direction on the measuring half.

    Args:
        bench: the measuring half.
        mechanism: a circuit or a direction, as plain data.
        spend: how many random ones (``random_sets``).
        progress: told of masked runs or edits.

    Raises:
        OptionError, LoadError: a circuit or direction of another model.
        TaskError: a direction found on these very pairs.
    """
    assert mechanism.data is not None
    if mechanism.kind == "circuit":
        return of_circuit(bench, Circuit.from_json(mechanism.data), spend, progress)
    return of_direction(bench, Direction.from_json(mechanism.data), spend, progress)


def of_circuit(
    bench: Bench, circuit: Circuit, spend: Budget, progress: Progress = SILENT
) -> WholeEvidence:
    """What the circuit does alone, and what is lost without it, with random circuits of its size.

    Where a small graph has too few to draw from, all others of its size are taken.

    Cost: two masked runs for each of the circuit, the whole graph, every random circuit, and every
    edge of the circuit (100 at most).
    """
    graph = circuit.graph
    drawn, every, why = other_circuits(graph, circuit.kept, spend.random_sets, bench.seed)
    note = why or "; ".join(circuit.warnings)
    ends = np.stack([np.ones(graph.n_edges, dtype=bool), np.zeros(graph.n_edges, dtype=bool)])
    masks = np.concatenate([ends, circuit.kept[None], drawn])
    runs = MaskedRuns(bench.model, graph, bench.task, seed=bench.seed)
    alone = runs.metric(masks, progress=progress)
    without = runs.metric(~masks[2:], progress=progress)
    full, empty = alone[0], alone[1]
    gained = [_share(bench, each - empty, full - empty) for each in alone[2:]]
    lost = [_share(bench, full - each, full - empty) for each in without]
    tried, idle = _idle(runs, circuit.kept, (alone[2], full, full - empty), bench.seed)
    return WholeEvidence(
        kind="circuit",
        name=f"a circuit of {circuit.n_edges} edges",
        size=circuit.n_edges,
        total=graph.n_edges,
        recovered=gained[0],
        lost=lost[0],
        random_recovered=tuple(each.value for each in gained[1:]),
        random_lost=tuple(each.value for each in lost[1:]),
        p=_rank([each.value for each in gained]) if every else None,
        controls=len(drawn),
        note=note,
        every=every,
        tried=tried,
        idle=idle,
    )


def _idle(
    runs: MaskedRuns, kept: np.ndarray, whole: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int
) -> tuple[int, int]:
    """How many edges were left out one by one, and how many of these change next to nothing.

    Args:
        runs: masked runs of the pairs.
        kept: the circuit's edges.
        whole: the metric of the circuit, of the model, and the distance, ``[example]`` each.
        seed: of the draw, where the circuit has many edges.
    """
    circuit, model, distance = (float(each.mean()) for each in whole)
    edges = np.flatnonzero(kept)
    if len(edges) > MOST_EDGES:
        edges = np.random.default_rng(seed).choice(edges, MOST_EDGES, replace=False)
    if not len(edges) or not distance:
        return 0, 0
    left_out = np.repeat(np.stack([kept, np.ones_like(kept)]), len(edges), axis=0)
    left_out[np.arange(len(left_out)), np.tile(edges, 2)] = False
    values = runs.metric(left_out).mean(axis=1).reshape(2, len(edges))
    changes = np.abs(values - np.array([[circuit], [model]])) / abs(distance)
    return len(edges), int((changes.max(axis=0) < IDLE_EDGE).sum())


def _rank(values: list[float]) -> float:
    """Share of circuits, the first among them, that do at least as much as the first."""
    return sum(each >= values[0] for each in values) / len(values)


def _share(bench: Bench, values: np.ndarray, distances: np.ndarray) -> Estimate:
    return Estimate.of_ratio(values.tolist(), distances.tolist(), clusters=bench.clusters)


def of_direction(
    bench: Bench, direction: Direction, spend: Budget, progress: Progress = SILENT
) -> WholeEvidence:
    """Add the direction, erase it and swap it, beside random directions of its norm."""
    draws = max(_LEAST_DRAWS, spend.random_sets)
    direction.check_fits(bench.model)
    proof = prove(
        direction, bench.model, bench.task, n_random=draws, seed=bench.seed, progress=progress
    )
    gap = proof.clean - proof.corrupt
    added, erased = proof["add"], proof["erase"]
    lever = DirectionLever(direction, bench)
    fair = Bench(bench.model, lever.allowed(bench.task), bench.seed)
    closed = [share_of(fair, each) for each in lever.moves(fair)]
    return WholeEvidence(
        kind="direction",
        name=f"a direction at {direction.at}",
        size=direction.k,
        total=direction.width,
        recovered=closed[0],
        lost=closed[1],
        random_recovered=(added.random_high / gap,),
        random_lost=(erased.random_high / gap,),
        p=max(each.p_adjusted for each in proof.tests if each.decides),
        controls=draws,
        note=proof.split,
        last=_is_last(bench, direction),
    )


def _is_last(bench: Bench, direction: Direction) -> bool:
    """Whether the place is the stream behind the last block, or what the final norm hands on."""
    at = direction.at
    return at.name == "ln_final" or (
        at.name == "resid_post" and at.layer == bench.model.n_layers - 1
    )
