"""Which active features become nodes where there are more than are wanted."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from residuum.circuits.attribution.rows import feature_rows, logit_rows
from residuum.circuits.attribution.sources import Sources
from residuum.circuits.attribution.targets import LogitTargets
from residuum.core import Progress

_ROUNDS = 4


def strongest(
    sources: Sources, targets: LogitTargets, most: int, memory: int, progress: Progress
) -> Int[np.ndarray, " feature"]:
    """Numbers of the features with the most influence, in order of their columns.

    Influence is taken over the rows that are known so far: the targets' first, then, round by
    round, those of the most influential features.

    Source: as in Ameisen et al. 2025, "Circuit Tracing", where the strongest nodes are expanded
    first.
    """
    n_features = len(sources.features)
    rows = logit_rows(sources, targets.gradients)
    chosen = np.zeros(0, int)
    while len(chosen) < most:
        found = known_influence(rows, chosen, targets.shares)[:n_features]
        found[chosen] = -1.0
        wanted = min(most // _ROUNDS + 1, most - len(chosen))
        some = np.argsort(-found, kind="stable")[:wanted]
        own = feature_rows(sources, sources.features.some(some), memory, progress)
        rows, chosen = np.concatenate([rows, own]), np.concatenate([chosen, some])
    return np.sort(chosen)


def known_influence(
    rows: Float[np.ndarray, "row source"],
    columns: Int[np.ndarray, " feature"],
    shares: Float[np.ndarray, " target"],
) -> Float[np.ndarray, " source"]:
    """Influence of every source over the rows that are known.

    Args:
        rows: of the targets, then of some features.
        columns: numbers of these features.
        shares: of the targets.
    """
    size = np.abs(rows)
    total = size.sum(1, keepdims=True)
    size = np.divide(size, total, out=size, where=total > 0)
    now = shares @ size[: len(shares)]
    found = now.copy()
    for _ in range(len(columns)):
        if not now[columns].any():
            break
        now = now[columns] @ size[len(shares) :]
        found += now
    return found
