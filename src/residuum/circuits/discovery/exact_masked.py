"""Exact effects of edges by masked runs: all edges kept but one.

What reads after that edge runs anew and everything before it is the clean run, as with a fork.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residuum.circuits.discovery.problem import DiscoveryProblem
from residuum.circuits.engine.masked import MaskedRuns
from residuum.core import OptionError, Progress
from residuum.core.progress import track

_AT_ONCE = 256


@dataclass
class Exact:
    """Exact effects of some edges.

    Attributes:
        examples: float64 ``[example edge]``, of the edges asked for, in that order.
        full: the clean metric by example, more being better.
        empty: the metric on the reference's prompts; None where it is no run.
    """

    examples: np.ndarray
    full: np.ndarray
    empty: np.ndarray | None


def by_masks(
    problem: DiscoveryProblem, edges: np.ndarray, engine: str, progress: Progress
) -> Exact:
    """Metric(clean) - metric(all edges kept but one), for some edges.

    Args:
        edges: their numbers.
        engine: as of ``ExactEdges``.

    Raises:
        OptionError: an engine is asked for that knows no neurons and latents.
    """
    if engine != "auto":
        raise OptionError(
            f"engine={engine!r} measures no edges of neurons or latents", mend="use engine='auto'"
        )
    runs = masked_runs(problem)
    full = problem.sign * runs.whole
    examples = np.zeros((len(full), len(edges)))
    parts = range(0, len(edges), _AT_ONCE)
    for low in track(parts, progress, "exact edges", len(parts)):
        some = edges[low : low + _AT_ONCE]
        kept = np.ones((len(some), problem.graph.n_edges), dtype=bool)
        kept[np.arange(len(some)), some] = False
        lost = full - problem.sign * runs.metric(kept)
        examples[:, low : low + len(some)] = lost.T
    empty = problem.sign * runs.empty if runs.references.run_like else None
    problem.passes += runs.work.passes
    return Exact(examples, full, empty)


def masked_runs(problem: DiscoveryProblem) -> MaskedRuns:
    """Runs of the problem's prompts with some edges kept."""
    return MaskedRuns(
        problem.model,
        problem.graph,
        problem.task,
        problem.reference,
        metric=problem.metric.name,
        seed=problem.seed,
        max_memory=problem.max_memory,
    )
