"""The smallest circuit that does on some pairs what the model does there."""

from __future__ import annotations

import numpy as np

from residuum.circuits import EAPIG, Circuit, MaskedRuns, discover
from residuum.core import Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.record.budget import Budget
from residuum.findings.record.circuit_evidence import AIM, CircuitSize

STEPS = 5
SIZES = tuple(float(size) for size in np.geomspace(0.002, 0.3, 24))
"""Shares of the edges among which the size is chosen."""
FEW_EDGES = 12
"""Sizes up to this are all among them, in however small a graph."""


def search_circuit(
    choose: Bench, spend: Budget, progress: Progress
) -> tuple[Circuit, tuple[CircuitSize, ...], bool]:
    """The circuit, faithfulness at every size on the choosing half, and whether one reached it.

    Edges are scored by EAP-IG, the best of them and a random sample of the rest measured exactly;
    of a ladder of sizes the smallest whose circuit reaches :data:`AIM` is taken, else the nearest.
    """
    scored = discover(
        choose.model, choose.task, EAPIG(steps=STEPS), share=SIZES[-1], verify=spend.n,
        seed=choose.seed, progress=progress,
    )  # fmt: skip
    total = scored.graph.n_edges
    few = range(1, min(FEW_EDGES, total) + 1)
    ladder = [scored.resized(n) for n in sorted({*few, *(round(s * total) for s in SIZES)} - {0})]
    ends = [np.ones(total, dtype=bool), np.zeros(total, dtype=bool)]
    runs = MaskedRuns(choose.model, scored.graph, choose.task, seed=choose.seed)
    kept = np.stack([*ends, *(each.kept for each in ladder)])
    full, empty, *values = runs.metric(kept, progress=progress).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.nan_to_num([(value - empty) / (full - empty) for value in values])
    curve = tuple(
        CircuitSize(each.n_edges, float(share)) for each, share in zip(ladder, shares, strict=True)
    )
    reached = [i for i, share in enumerate(shares) if AIM <= share <= 2 - AIM]
    best = reached[0] if reached else int(np.argmin(np.abs(1 - shares)))
    return ladder[best], curve, bool(reached)
