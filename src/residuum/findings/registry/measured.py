"""What a finding measured on single parts, so that two findings can be held against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from residuum.findings.finding import Finding
from residuum.findings.record.evidence import GridEvidence
from residuum.findings.record.parts_rules import idle_parts


@dataclass(frozen=True)
class Measured:
    """What patching one part alone recovers.

    Attributes:
        at: its address.
        low, high: 95 % interval, as a share of the distance from corrupt to clean.
    """

    at: str
    low: float
    high: float


def shown_parts(finding: Finding) -> tuple[Measured, ...]:
    """Named parts that are shown by themselves."""
    named = finding.parts.named if finding.parts else ()
    return tuple(
        Measured(part.at, part.recovered.low, part.recovered.high)
        for part in named
        if part.verdict == "shown"
    )


def idle_ones(finding: Finding) -> tuple[Measured, ...]:
    """Parts of the sweeps that are not shown, and named ones that do nothing."""
    swept = {} if finding.where is None else {
        each.at: each
        for grid in (finding.where.heads, finding.where.parts)
        for each in _not_shown(grid, finding.behaviour.contrast.value)
    }  # fmt: skip
    named = finding.parts.named if finding.parts else ()
    idle = idle_parts(named)
    swept |= {
        part.at: Measured(part.at, part.recovered.low, part.recovered.high)
        for part in named
        if part.at in idle
    }
    return tuple(swept.values())


def _not_shown(grid: GridEvidence, distance: float) -> Iterator[Measured]:
    """Heads and MLPs of a sweep that its joint test does not show, as shares of the distance."""
    if not distance > 0:
        return
    for layer, verdicts in enumerate(grid.verdict):
        for column, verdict in enumerate(verdicts):
            at = _address(grid, layer, column)
            if at and verdict == "not shown":
                ends = (grid.low[layer][column], grid.high[layer][column])
                yield Measured(at, ends[0] / distance, ends[1] / distance)


def _address(grid: GridEvidence, layer: int, column: int) -> str:
    """Of a head or an MLP; empty for a layer's whole attention, which no finding names."""
    if grid.site == "z":
        return f"L{layer}.z[H{column}]"
    return f"L{layer}.mlp_out" if grid.cols[column] == "mlp_out" else ""
