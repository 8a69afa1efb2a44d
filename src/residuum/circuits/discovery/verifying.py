"""Approximate first, then measure: the best edges exactly, and a sample of the rest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from residuum.circuits.discovery.exact import measure_edges
from residuum.circuits.discovery.problem import DiscoveryProblem
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, Progress

_RESAMPLES = 2000


@dataclass(frozen=True)
class Verification:
    """How much of the truth is among the edges that were measured.

    Attributes:
        edges: numbers of the edges measured because they scored best, best first.
        approximate, exact: their scores before, and as measured.
        sampled: numbers of the others that were drawn at random and measured too.
        sampled_approximate, sampled_exact: the same of these.
        open_share: estimated share (0 to 1) of Σ |exact effect| over all edges that lies in those
            not measured for their score: their number times the sample's mean.
        interval: 95 % bootstrap interval of it, over the sampled edges; the effects are taken as
            measured. Heavy tails can hide from a small sample.
        missed: sampled edges that are larger than the smallest half of the verified ones.
        seed: of the draw.
    """

    edges: tuple[int, ...]
    approximate: tuple[float, ...]
    exact: tuple[float, ...]
    sampled: tuple[int, ...]
    sampled_approximate: tuple[float, ...]
    sampled_exact: tuple[float, ...]
    open_share: float
    interval: tuple[float, float]
    missed: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        low, high = (f"{100 * end:.0f}" for end in self.interval)
        return (
            f"{len(self.edges)} edges measured exactly; {100 * self.open_share:.0f} % "
            f"[{low}, {high}] of the summed |effect| is estimated to lie in the others "
            f"(from {len(self.sampled)} of them drawn at random)"
        )


def verified(
    problem: DiscoveryProblem,
    scores: EdgeScores,
    n: int,
    sample: int,
    by: str = "absolute",
    progress: Progress = SILENT,
) -> EdgeScores:
    """The scores with the best ``n`` edges, and ``sample`` others at random, measured exactly.

    Args:
        by: best by ``"absolute"`` or ``"signed"`` score.

    Returns:
        Scores of which the measured ones are exact; ``method["verification"]`` says which, and
        ``warnings`` in words what they leave open.
    """
    key = np.abs(scores.values) if by == "absolute" else scores.values
    order = np.argsort(-key, kind="stable")
    best, rest = order[:n], order[n:]
    draw = np.random.default_rng(problem.seed)
    drawn = np.sort(draw.choice(rest, min(sample, len(rest)), replace=False))
    found = measure_edges(problem, np.concatenate([best, drawn]), "auto", progress)
    exact = found.examples.mean(axis=0)
    share, interval = open_share(exact[: len(best)], exact[len(best) :], len(rest), draw)
    record = Verification(
        tuple(best.tolist()),
        tuple(scores.values[best].tolist()),
        tuple(exact[: len(best)].tolist()),
        tuple(drawn.tolist()),
        tuple(scores.values[drawn].tolist()),
        tuple(exact[len(best) :].tolist()),
        share,
        interval,
        _missed(exact[: len(best)], exact[len(best) :]),
        problem.seed,
    )
    values = scores.values.copy()
    examples = None if scores.examples is None else scores.examples.copy()
    measured = np.concatenate([best, drawn])
    values[measured] = exact
    if examples is not None:
        examples[:, measured] = found.examples
    return replace(
        scores,
        values=values,
        examples=examples,
        method={**scores.method, "verification": record.to_json()},
        passes=problem.passes,
        warnings=(*scores.warnings, str(record)),
    )


def open_share(
    best: np.ndarray, sample: np.ndarray, others: int, draw: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """Estimated share of Σ |effect| that lies in edges not measured for their score.

    Args:
        best, sample: exact effects of the verified edges, and of some of the others.
        others: how many others there are.

    >>> draw = np.random.default_rng(0)
    >>> open_share(np.array([3.0]), np.array([-0.5, 0.5]), 6, draw)
    (0.5, (0.5, 0.5))
    """
    if not others:
        return 0.0, (0.0, 0.0)
    if not len(sample):
        return float("nan"), (0.0, 1.0)
    known, sizes = float(np.abs(best).sum()), np.abs(sample)
    means = np.r_[
        sizes.mean(), sizes[draw.integers(len(sizes), size=(_RESAMPLES, len(sizes)))].mean(axis=1)
    ]
    total = known + others * means
    shares = np.divide(others * means, total, out=np.zeros_like(total), where=total > 0)
    low, high = np.quantile(shares[1:], [0.025, 0.975])
    return float(shares[0]), (float(low), float(high))


def _missed(best: np.ndarray, sample: np.ndarray) -> int:
    if not len(best):
        return 0
    return int((np.abs(sample) > np.median(np.abs(best))).sum())
