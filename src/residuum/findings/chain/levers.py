"""The lever of a mechanism."""

from __future__ import annotations

from residuum.circuits import Circuit
from residuum.directions import Direction
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.circuit_lever import CircuitLever
from residuum.findings.chain.direction_lever import DirectionLever
from residuum.findings.chain.lever import Lever
from residuum.findings.chain.part_lever import PartLever
from residuum.findings.record.mechanism import Mechanism


def lever_of(mechanism: Mechanism, bench: Bench) -> Lever:
    """What can be moved and removed.

    Args:
        mechanism: what the claim names.
        bench: the measuring half, whose pairs random directions are drawn like.
    """
    if mechanism.kind == "components":
        return PartLever(mechanism.components)
    assert mechanism.data is not None
    if mechanism.kind == "circuit":
        return CircuitLever(Circuit.from_json(mechanism.data), mechanism.components)
    return DirectionLever(Direction.from_json(mechanism.data), bench)
