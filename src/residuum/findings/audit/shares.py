"""Shares of prompts, with intervals that know that prompts of one template are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from residuum.findings.record.evidence import Estimate

BY_TEMPLATE = "interval by prompt or, where it reaches further, by template"
"""What :func:`share_of` counts, in a check's words."""


def share_of(hits: Sequence[float], clusters: Sequence[str]) -> Estimate:
    """Share of ones; each end of the interval is the outer one of two.

    The first is Wilson's, as if every prompt were drawn by itself; the second draws whole clusters.
    Of one cluster, and where all clusters agree, the second says nothing.

    Args:
        hits: 0 or 1 for each prompt.
        clusters: a label for each prompt, such as its template; none at all counts prompts alone.

    >>> hits = [1.0] * 12 + [0.0] * 4
    >>> alone = share_of(hits, ["one"] * 16)
    >>> apart = share_of(hits, ["a"] * 4 + ["b"] * 4 + ["c"] * 4 + ["d"] * 4)
    >>> round(alone.low, 2), round(apart.low, 2)
    (0.51, 0.0)
    """
    counted = Estimate.of_share(hits)
    if len(set(clusters)) < 2:
        return counted
    drawn = Estimate.of_mean(hits, clusters=clusters)
    low, high = min(counted.low, drawn.low), max(counted.high, drawn.high)
    return replace(counted, low=max(0.0, low), high=min(1.0, high))
