"""Which edges carry the behaviour: a circuit found on one half, judged on the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from residuum.findings.record.evidence import Estimate

AIM = 0.9
"""Faithfulness on the choosing half from which a circuit is taken; the smallest that reaches it,
and does not do as much more than the model does."""
FAITHFUL = 0.8
"""Faithfulness, and completeness, that is asked of it on the measuring half, interval and all; a
circuit that does as much more than the model is not the model's either."""
MOST_EDGES = 400
"""Edges that a record lists, the strongest first."""


@dataclass(frozen=True)
class CircuitSize:
    """Faithfulness of the circuit of one size, found by the same scores."""

    edges: int
    faithfulness: float


@dataclass(frozen=True)
class CircuitEdge:
    """One edge.

    Attributes:
        sender: the part that writes, as an address of the graph: ``embed``, ``L0.head_out[H1]``.
        receiver: the input that reads: ``L1.k_in[H0]``, ``L1.mlp_in``, ``logits``.
        score: metric(clean) - metric(with the edge at its corrupt value), on the choosing half.
        exact: whether that was measured; else the method's estimate.
    """

    sender: str
    receiver: str
    score: float
    exact: bool


@dataclass(frozen=True)
class Checked:
    """How far the method's scores can be trusted: some edges measured exactly.

    Attributes:
        best: how many of its best edges were measured.
        sampled: how many of the others, drawn at random.
        agreement: correlation of estimate and measurement over all of these.
        open_share: estimated share of the summed effect that lies in edges not measured.
        low, high: ends of its interval.
        falls_short: what the method overlooks, in words; empty where it does not.
    """

    best: int
    sampled: int
    agreement: float
    open_share: float
    low: float
    high: float
    falls_short: str


@dataclass(frozen=True)
class Judged:
    """The circuit on the measuring half, all other edges carrying one kind of value.

    Attributes:
        reference: ``counterfactual`` (the corrupt prompt's), ``mean``, ``template_mean``,
            ``resample`` (another prompt's) or ``zero``.
        faithfulness: what the circuit alone does of the behaviour; 1 is the model.
        faithfulness_by_example: the same as the mean of each example's own ratio.
        completeness: what is lost with the circuit's edges taken out; 1 where nothing is left.
        incompleteness: the largest gap between circuit and model when both lose the same parts,
            over random sets of parts.
        lost: what the circuit loses without each of its parts, in the order of ``parts``.
    """

    reference: str
    faithfulness: Estimate
    faithfulness_by_example: Estimate
    completeness: Estimate
    incompleteness: float
    lost: tuple[Estimate, ...]


@dataclass(frozen=True)
class CircuitEvidence:
    """The circuit and its judgement; without edges, why there is none.

    Attributes:
        method: how edges were scored.
        total: edges of the model's graph.
        n_edges: of the circuit.
        group: heads that share a key/value head.
        curve: faithfulness by size on the choosing half, by which the size was chosen.
        reached: whether a size reached :data:`AIM` there.
        edges: the strongest, at most :data:`MOST_EDGES`.
        parts: every part that sends along an edge, in forward order.
        named_in: named parts that send along an edge of it.
        named_out: named parts that do not.
        checked: measured edges; None where none was.
        judged: under each reference, ``counterfactual`` first.
        random_faithfulness: of random connected circuits of its size, ``counterfactual``.
        random_completeness: what the model loses without each of these.
        left_out: what was not done, and why.
        warnings: what a reader must know before quoting a number.
    """

    method: str
    total: int
    n_edges: int
    group: int
    curve: tuple[CircuitSize, ...]
    reached: bool
    edges: tuple[CircuitEdge, ...]
    parts: tuple[str, ...]
    named_in: tuple[str, ...]
    named_out: tuple[str, ...]
    checked: Checked | None
    judged: tuple[Judged, ...]
    random_faithfulness: tuple[float, ...]
    random_completeness: tuple[float, ...]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def main(self) -> Judged | None:
        """Under the corrupt prompt's values, as the other stages intervene; None without."""
        return self.judged[0] if self.judged else None

    @property
    def idle(self) -> tuple[str, ...]:
        """Parts whose loss is not told from nothing, under the main reference."""
        main = self.main
        if main is None:
            return ()
        pairs = zip(self.parts, main.lost, strict=True)
        return tuple(at for at, lost in pairs if not (lost.low > 0 or lost.high < 0))

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest faithfulness over references and ways to average."""
        values = [
            each.value
            for one in self.judged
            for each in (one.faithfulness, one.faithfulness_by_example)
        ]
        return (min(values), max(values)) if values else (math.nan, math.nan)
