"""What a trial runs: the circuit, what is left without it, and the same of random circuits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.trial.random_circuits import random_additions, random_circuits
from residuum.core import SILENT, Progress


class CircuitRuns(Protocol):
    """Runs of prompts with only some edges kept, such as :class:`MaskedRuns`."""

    def metric(self, kept: Any, /) -> np.ndarray:
        """Bool ``[circuit edge]`` to float64 ``[circuit example]``."""
        ...


ADDED = 4
"""Random edges for each random circuit; where both ends are in the circuit, each takes one run."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Random circuits that serve every reference of a trial.

    Attributes:
        circuits: bool ``[draw edge]``, of the circuit's size.
        removed: the same, those whose removal is compared; the same circuits unless they must lie
            outside the circuit.
        inflated: bool ``[draw edge]``, the circuit with a random path.
        added: ``[draw]``, an edge of that path.
    """

    circuits: np.ndarray
    removed: np.ndarray
    inflated: np.ndarray
    added: np.ndarray


def drawn_for(graph: Graph, kept: np.ndarray, n: int, *, outside: bool, seed: int) -> Drawn:
    """Draw ``n`` circuits of each kind, and :data:`ADDED` times as many random edges.

    Raises:
        OptionError: no connected circuit of the size.
    """
    size = int(kept.sum())
    seeds = np.random.SeedSequence(seed).generate_state(3).tolist()
    circuits = random_circuits(graph, size, n, seed=seeds[0])
    removed = circuits
    if outside:
        removed = random_circuits(graph, size, n, seed=seeds[1], among=~kept)
    return Drawn(circuits, removed, *random_additions(graph, kept, ADDED * n, seed=seeds[2]))


@dataclass(frozen=True, eq=False)
class Measured:
    """The metric, more being better, under one reference.

    Attributes:
        reference: what edges outside carry.
        full, empty: ``[example]`` of the whole model, and with no edge kept.
        circuit, rest: ``[example]`` of the circuit alone, and of all but the circuit.
        random: ``[draw example]`` of random circuits alone.
        random_rest: ``[draw example]`` without a random circuit.
        edges: numbers of the circuit's edges.
        without: ``[edge example]`` of the circuit without one of its edges.
        inflated, deflated: ``[draw example]`` of the circuit with a random path, and of the same
            without the edge that was drawn.
    """

    reference: str
    full: np.ndarray
    empty: np.ndarray
    circuit: np.ndarray
    rest: np.ndarray
    random: np.ndarray
    random_rest: np.ndarray
    edges: np.ndarray
    without: np.ndarray
    inflated: np.ndarray
    deflated: np.ndarray

    @property
    def gap(self) -> float:
        """Mean of full - empty, in the metric's unit."""
        return float((self.full - self.empty).mean())

    @property
    def noise(self) -> float:
        """Differences below this are none: a hundred-thousandth of the largest value's size."""
        return 1e-5 * float(max(np.abs(self.full).max(), np.abs(self.empty).max()))


def measure(
    runs: CircuitRuns,
    kept: np.ndarray,
    drawn: Drawn,
    reference: str,
    *,
    sign: float = 1.0,
    progress: Progress = SILENT,
) -> Measured:
    """Run everything that a trial compares.

    Args:
        runs: under the reference.
        kept: bool ``[edge]``, the circuit.
        sign: -1 where less of the metric is more of the behaviour.
        progress: told of four stages.
    """
    edges = np.flatnonzero(kept)
    ones = np.repeat(kept[None], len(edges), axis=0)
    ones[np.arange(len(edges)), edges] = False
    fewer = drawn.inflated.copy()
    fewer[np.arange(len(fewer)), drawn.added] = False
    own = np.stack([np.ones_like(kept), np.zeros_like(kept), kept, ~kept])
    stages = [
        np.concatenate([own, drawn.circuits]),
        ~drawn.removed,
        ones,
        np.concatenate([drawn.inflated, fewer]),
    ]
    progress.start(f"trial, {reference}", sum(map(len, stages)))
    found = []
    try:
        for stage in stages:
            found.append(sign * _run(runs, stage))
            progress.advance(len(stage))
    finally:
        progress.finish()
    full, empty, circuit, rest = found[0][:4]
    n = len(drawn.inflated)
    return Measured(
        reference,
        full,
        empty,
        circuit,
        rest,
        found[0][4:],
        found[1],
        edges,
        found[2],
        found[3][:n],
        found[3][n:],
    )


def _run(runs: CircuitRuns, circuits: np.ndarray) -> np.ndarray:
    """Each different circuit once."""
    which, place = np.unique(np.packbits(circuits, axis=1), axis=0, return_inverse=True)
    if not len(circuits):
        return runs.metric(np.ones((1, circuits.shape[1]), dtype=bool))[:0]
    distinct = np.unpackbits(which, axis=1, count=circuits.shape[1]).astype(bool)
    return np.asarray(runs.metric(distinct))[place.reshape(-1)]
