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
_MATERIAL = 0.05
"""Of the summed |effect|: what a method may leave out beyond its own account before it is said."""
_SURE = 0.95


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
        interval: 95 % bootstrap interval of it, over the sampled edges, but never below what is in
            these alone; of no width where all others were measured. The effects are taken as
            measured. Heavy tails can hide from a small sample, so that its upper end is then too
            low: see ``unseen``.
        own_share: the share of the summed |score| that the method itself put in those others.
        missed: sampled edges that are larger than the smallest half of the verified ones.
        unseen: of the edges not measured at all, how many may be larger than any that was drawn
            (95 %): what a small sample cannot exclude.
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
    own_share: float
    missed: int
    unseen: int
    seed: int

    @property
    def short(self) -> bool:
        """Whether the method overlooks what matters: more is open than its own scores say.

        True where the interval's lower end is at least 5 points above ``own_share``.
        """
        return self.interval[0] >= self.own_share + _MATERIAL

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        if self.unseen and not self.sampled:
            return (
                f"{len(self.edges)} edges measured exactly, and none of the {self.unseen} others: "
                "what they hold is not known (sample= draws some)"
            )
        low, high = (f"{100 * end:.0f}" for end in self.interval)
        told = (
            f"{len(self.edges)} edges measured exactly; {100 * self.open_share:.0f} % "
            f"[{low}, {high}] of the summed |effect| is estimated to lie in the others "
            f"(from {len(self.sampled)} of them drawn at random)"
        )
        if self.unseen:
            told += f"; {self.unseen} that were not measured may be larger than any of those drawn"
        return told

    def shortfall(self) -> str:
        """What the method overlooks, and what to do; empty where it does not fall short."""
        if not self.short:
            return ""
        low, high = (f"{100 * end:.0f}" for end in self.interval)
        larger = (
            f", and {self.missed} of the {len(self.sampled)} drawn are larger than half of its best"
        )
        return (
            f"the method falls short here: its scores leave {100 * self.own_share:.0f} % of the "
            f"summed |effect| to the edges that it ranks lower, measured are "
            f"{100 * self.open_share:.0f} % [{low}, {high}]{larger if self.missed else ''}: "
            "measure more (verify=), or every edge (ExactEdges())"
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
        _own_share(scores.values, best),
        _missed(exact[: len(best)], exact[len(best) :]),
        _unseen(len(drawn), len(rest)),
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
        warnings=tuple(filter(None, (*scores.warnings, str(record), record.shortfall()))),
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
    >>> share, interval = open_share(np.array([3.0]), np.array([0.0, 1.0]), 2, draw)
    >>> share == interval[0] == interval[1] == 0.25  # all were measured
    True
    """
    if not others:
        return 0.0, (0.0, 0.0)
    if not len(sample):
        return float("nan"), (0.0, 1.0)
    known, sizes = float(np.abs(best).sum()), np.abs(sample)
    means = np.r_[
        sizes.mean(), sizes[draw.integers(len(sizes), size=(_RESAMPLES, len(sizes)))].mean(axis=1)
    ]
    if len(sizes) == others:
        means[:] = sizes.mean()
    total = known + others * means
    shares = np.divide(others * means, total, out=np.zeros_like(total), where=total > 0)
    low, high = np.quantile(shares[1:], [0.025, 0.975])
    there = float(sizes.sum())  # is among the others for certain
    low = max(low, there / (known + there)) if there else low
    return float(shares[0]), (float(low), float(max(low, high)))


def _missed(best: np.ndarray, sample: np.ndarray) -> int:
    if not len(best):
        return 0
    return int((np.abs(sample) > np.median(np.abs(best))).sum())


def _own_share(values: np.ndarray, best: np.ndarray) -> float:
    """Share of the summed |score| that the method left to the edges that are not its best."""
    sizes = np.abs(values)
    total = float(sizes.sum())
    return max(0.0, 1 - float(sizes[best].sum()) / total) if total > 0 else 0.0


def _unseen(drawn: int, others: int) -> int:
    """How many of the edges not drawn may, with 95 % confidence, be larger than all drawn ones.

    Were a share p of the others larger, a sample of n would miss them all with (1 - p)^n at most.
    """
    if not drawn:
        return others
    return min(others - drawn, int(others * (1 - (1 - _SURE) ** (1 / drawn))))
