"""What a reader must know before quoting a circuit."""

from __future__ import annotations

import math

import numpy as np

from residuum.circuits.graph.fitting import partial_graph
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.scores import EdgeScores

_NOTHING = 1e-6
"""Of the metric or the largest score: what is below is rounding."""


def circuit_warnings(graph: Graph, kept: np.ndarray, scores: EdgeScores | None) -> tuple[str, ...]:
    """Edges that the graph leaves out, and edges that were kept for want of others."""
    return (*partial_graph(graph), *([] if scores is None else _idle(kept, scores)))


def _idle(kept: np.ndarray, scores: EdgeScores) -> list[str]:
    sizes = np.abs(scores.values)
    ends = [abs(each) for each in (scores.full, scores.empty) if math.isfinite(each)]
    least = _NOTHING * max([*ends, float(sizes.max(initial=0.0))])
    idle, n = int((kept & (sizes <= least)).sum()), int(kept.sum())
    if not idle:
        return []
    if not (sizes > least).any():
        return [
            f"every score is 0: nothing was found, and its {n} edges are the first of the graph "
            "(are clean and reference prompts the same?)"
        ]
    return [f"{idle} of its {n} edges score 0 by this method: it gives no reason to keep them"]
