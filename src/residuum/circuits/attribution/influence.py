"""Influence, scores and pruning, on a plain matrix of weights ``[target source]``.

With ``A`` the absolute weights, each row divided by its sum, ``B = (I - A)^-1 - I`` sums the
strengths of all paths. A node's influence is its share of the paths that end at the targets:
``shares @ B``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class GraphScores:
    """How much of a prompt's answer runs through features.

    Attributes:
        replacement: share of end-to-end paths, by strength, that start at tokens and run through
            features only; the others start at errors.
        completeness: share of the input of features and targets, weighted by their influence, that
            comes from features or tokens and not from errors.
        error_share: share of end-to-end paths that start at errors, which the graph does not
            explain; with nothing pruned, 1 - replacement.

    Source: Ameisen et al. 2025, "Circuit Tracing" (graph completeness and replacement scores).
    """

    replacement: float
    completeness: float
    error_share: float


def normalised(weights: Float[np.ndarray, "node node"]) -> Float[np.ndarray, "node node"]:
    """Absolute weights, each target's row divided by its sum (rows of zeros stay)."""
    size = np.abs(weights)
    total = size.sum(1, keepdims=True)
    return np.divide(size, total, out=np.zeros_like(size), where=total > 0)


def influence_of(
    strengths: Float[np.ndarray, "node node"], shares: Float[np.ndarray, " node"]
) -> Float[np.ndarray, " node"]:
    """``shares @ ((I - A)^-1 - I)``, summed path length by path length: no path is endless."""
    now = shares @ strengths
    total = now.copy()
    for _ in range(len(strengths)):
        if not now.any():
            break
        now = now @ strengths
        total += now
    return total


def scores_of(
    strengths: Float[np.ndarray, "node node"],
    shares: Float[np.ndarray, " node"],
    tokens: Bool[np.ndarray, " node"],
    errors: Bool[np.ndarray, " node"],
) -> GraphScores:
    """GraphScores of a graph, or of what is left of it.

    Args:
        strengths: normalised weights; where edges were taken out, of the graph before that, so
            that what was taken out is missing from every share.
        shares: of the targets, summing to 1.
        tokens, errors: which nodes they are.
    """
    influence = influence_of(strengths, shares)
    reading = strengths.any(1) | (shares > 0)
    weight = np.where(reading, influence + shares, 0.0)
    explained = strengths[:, ~errors].sum(1)
    total = weight.sum()
    return GraphScores(
        replacement=float(influence[tokens].sum()),
        completeness=float((weight * explained).sum() / total) if total > 0 else 0.0,
        error_share=float(influence[errors].sum()),
    )


def pruned(
    weights: Float[np.ndarray, "node node"],
    shares: Float[np.ndarray, " node"],
    fixed: Bool[np.ndarray, " node"],
    reads: Bool[np.ndarray, " node"],
    node_threshold: float,
    edge_threshold: float,
) -> tuple[Bool[np.ndarray, " node"], Bool[np.ndarray, "node node"]]:
    """Which nodes and edges to keep.

    First the fewest nodes that hold a share of all influence, then, on what is left, the fewest
    edges that hold a share of theirs; then features without an input or an output and errors
    without an output go, until none is left.

    Args:
        fixed: tokens and targets, which always stay.
        reads: nodes that must have an input (features).
    """
    influence = influence_of(normalised(weights), shares)
    kept = covering(influence, node_threshold) | fixed
    left = weights * kept[:, None] * kept[None]
    strengths = normalised(left)
    flow = strengths * (influence_of(strengths, shares) + shares)[:, None]
    edges = covering(flow.ravel(), edge_threshold).reshape(flow.shape)
    while True:
        alive = edges.any(0) & (edges.any(1) | ~reads)
        now = kept & (alive | fixed)
        edges &= now[:, None] & now[None]
        if (now == kept).all():
            return kept, edges
        kept = now


def covering(values: Float[np.ndarray, " item"], share: float) -> Bool[np.ndarray, " item"]:
    """The fewest items, largest first, whose sum reaches a share of the whole; zeros never."""
    order = np.argsort(-values, kind="stable")
    reached = np.cumsum(values[order])
    whole = reached[-1] if len(reached) else 0.0
    enough = int(np.searchsorted(reached, share * whole * (1 - 1e-12))) + 1
    found = np.zeros(len(values), bool)
    found[order[:enough] if share > 0 else []] = True
    return found & (values > 0)


def cumulative(values: Float[np.ndarray, " item"]) -> Float[np.ndarray, " item"]:
    """For each item, the share that it and all larger ones hold together."""
    order = np.argsort(-values, kind="stable")
    found = np.zeros(len(values))
    total = values.sum()
    found[order] = np.cumsum(values[order]) / total if total > 0 else 1.0
    return found
