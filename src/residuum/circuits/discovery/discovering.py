"""``discover``: which edges of a model carry a behaviour, by the method asked for."""

from __future__ import annotations

from typing import Any, Protocol

from residuum.circuits.discovery.eap import EAPIG
from residuum.circuits.discovery.problem import DiscoveryProblem, metric_for
from residuum.circuits.discovery.verifying import verified
from residuum.circuits.graph.building import graph_of
from residuum.circuits.graph.choosing import circuit_of
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.scores import REFERENCES, EdgeScores
from residuum.circuits.graph.selection import BY, HOW
from residuum.core import SILENT, OptionError, Progress
from residuum.runs import (
    Model,
    Task,
    memory_in_bytes,
    need_model,
    need_task,
    refuse_unknown,
    shown,
    whole_number,
)
from residuum.runs.arguments import need_progress

SHARE = 0.1
"""Of the graph's edges, where no size is given and the method chooses none itself."""

_OPTIONS = (
    "method, n_edges, share, how, by, prune, reference, graph, metric, verify, sample, seed, "
    "max_memory, progress"
)


class Discovery(Protocol):
    """A method of discovery."""

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        ...

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """A score for every edge of the problem's graph."""
        ...


def discover(
    model: Model,
    task: Task,
    method: Discovery | None = None,
    *,
    n_edges: int | None = None,
    share: float | None = None,
    how: str = "greedy",
    by: str = "absolute",
    prune: str = "none",
    reference: str = "counterfactual",
    graph: Graph | None = None,
    metric: str = "",
    verify: int = 0,
    sample: int | None = None,
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
    **unknown: Any,
) -> Circuit:
    """Find the edges of a model that carry a behaviour.

    Args:
        model: a loaded model.
        task: contrast pairs; the circuit is of the clean prompts.
        method: ``EAP()``, ``EAPIG(steps=5)`` (the default), ``ExactEdges()``, ``AtPStar()``,
            ``ACDC(threshold)``, ``LearnedMask(...)``, ``InformationFlow()``, ``PathSearch(...)``.
        n_edges, share: how many edges, or which share of the graph's; by default a tenth, or what
            a method chooses itself (ACDC, LearnedMask, PathSearch).
        how, by, prune: as of :func:`residuum.circuits.keep`.
        reference: what an edge outside the circuit carries, one of ``REFERENCES``.
        graph: the graph to search; the model's own by default
            (``graph_of(model, task, by_position=True)`` for one by named position). Edges of the
            model that it leaves out are always kept, and the circuit says so.
        metric: name of a metric; the task's own by default.
        verify: so many edges, the best by the method, are then measured exactly.
        sample: so many of the others too, drawn at random, to say what is left open; by default a
            quarter of ``verify``, at least 16.
        seed: of every random choice.
        max_memory: bytes beyond the model itself, or a text such as ``"2 GB"``; by default half of
            what is free.
        progress: who is told.

    Returns:
        A circuit with its scores: metric(clean) - metric(the edge at its reference value),
        averaged over pairs, in the metric's unit; positive supports the clean behaviour.

    Raises:
        OptionError: no model, an option of another kind, another model's graph, a metric without a
            gradient for a method that needs one, too little memory.
        TaskError: no task, ids of another tokenizer, a metric whose gradient is zero.
        SiteRefused: the model has no graph.

    Shows: which edges the method holds for the largest, one at a time. Does not show: that they
    carry the behaviour together (``rz.evaluate``), or better than others would (``rz.trial``).

    >>> import residuum as rz
    >>> from residuum.circuits import EAP, discover
    >>> model = rz.load("microworld")
    >>> circuit = discover(model, rz.task("ioi", model, n=8), EAP(), n_edges=40)
    >>> circuit.n_edges, circuit.scores.method["name"]
    (40, 'EAP')
    """
    refuse_unknown(unknown, "discover", _OPTIONS)
    need_model(model, "discover")
    need_task(task, "discover")
    need_progress(progress)
    method = EAPIG() if method is None else method
    _check(method, n_edges, share, how, by, reference)
    whole_number(verify, "verify", 0)
    whole_number(seed, "seed", 0)
    task.check_fits(model)
    problem = DiscoveryProblem(
        model,
        task,
        graph_of(model) if graph is None else graph,
        metric_for(task, metric),
        reference,
        seed,
        memory_in_bytes(max_memory),
    )
    scores = method.score(problem, progress)
    if verify:
        drawn = max(16, verify // 4) if sample is None else whole_number(sample, "sample", 0)
        scores = verified(problem, scores, verify, drawn, by, progress)
    own = getattr(method, "chosen", None)
    if n_edges is None and share is None:
        if own is not None:
            return own(scores)
        share = SHARE
    return circuit_of(scores, n_edges, share, how=how, by=by, prune=prune)


def _check(method: Any, n_edges: Any, share: Any, how: Any, by: Any, reference: Any) -> None:
    """Refuse before anything is computed what cannot be."""
    if isinstance(method, type) or not hasattr(method, "score"):
        raise OptionError(
            f"method={shown(method)} is no method of discovery",
            mend="use EAP(), EAPIG(steps=5), ExactEdges(), AtPStar(), ACDC(threshold), "
            "LearnedMask(...), JointMask(...), InformationFlow(), PathSearch(...) or "
            "Pruned(method, ...)",
        )
    for name, given, known in (
        ("how", how, HOW),
        ("by", by, BY),
        ("reference", reference, REFERENCES),
    ):
        if given not in known:
            raise OptionError(f"{name}={shown(given)} is unknown", mend=f"use {', '.join(known)}")
    if n_edges is not None and share is not None:
        raise OptionError("n_edges and share are both given", mend="give one of them")
    if n_edges is not None:
        whole_number(n_edges, "n_edges", 0)
