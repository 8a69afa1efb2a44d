"""A circuit without the edges that it does not need: as a verb, and as a method of discovery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from residuum.circuits.controls.elimination import (
    PART,
    TOLERANCE,
    Eliminated,
    Elimination,
    check_options,
)
from residuum.circuits.controls.stability import check_circuit, check_found_on
from residuum.circuits.discovery.acdc import masked_runs
from residuum.circuits.discovery.discovering import Discovery
from residuum.circuits.discovery.path_search import own_circuit
from residuum.circuits.discovery.problem import DiscoveryProblem, metric_for
from residuum.circuits.engine.references import check_reference
from residuum.circuits.graph.choosing import circuit_of
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.scores import EdgeScores
from residuum.circuits.graph.seen_prompts import SeenPrompts
from residuum.core import SILENT, OptionError, Progress
from residuum.runs import Model, Task, memory_in_bytes, need_model, need_task, shown, whole_number

UNDER = ("counterfactual", "mean")


def prune_circuit(
    circuit: Circuit,
    model: Model,
    task: Task,
    *,
    references: str | Sequence[str] = UNDER,
    tolerance: float = TOLERANCE,
    part: float = PART,
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
) -> Circuit:
    """Take out the edges that a circuit does not need, under several references at once.

    Backward elimination. In each round every edge is removed from the circuit alone, which is
    measured exactly; its cost is the change of faithfulness, the largest over the references. The
    cheapest go, as many of ``part`` of the edges as leave faithfulness within ``tolerance`` of 1
    under every reference; where not even the cheapest can, the next one that can. It ends when no
    edge can.

    Args:
        circuit: of this model.
        model, task: those that it was found on; judge what is left on others.
        references: what removed edges carry.
        tolerance: how far faithfulness may be from 1; where the circuit itself is further away
            under some reference, no further than that.
        part: share of the edges that may go in a round; a smaller one is slower and looks again
            more often.
        seed: of resampling.
        max_memory, progress: as of ``rz.discover``.

    Returns:
        The circuit that is left, with its old scores and the prompts of the discovery.
        ``selection["rounds"]`` tells the number of edges and the faithfulness after each round.

    Raises:
        OptionError: no circuit or an empty one, an unknown reference, an option out of range.
        LoadError: a circuit of another model.
        TaskError: another task than the circuit was found on; the model says the same with and
            without the graph's edges.

    Shows: a circuit none of whose edges can go alone within the tolerance, on these prompts. Does
    not show: that none smaller exists (two edges that stand in for one another), or that it is
    faithful on other prompts: pruning fits the prompts at hand.
    Source: backward elimination as in regression; Conmy et al. 2023, §3, whose order is fixed.

    >>> import residuum as rz
    >>> from residuum.circuits import EAP, discover
    >>> model = rz.load("handmade_induction")
    >>> task = rz.Task.from_pairs(clean=[[0, 3, 5, 7, 2, 3]], corrupt=[[0, 7, 5, 3, 2, 3]],
    ...                           answers=[5], wrong=[2])
    >>> circuit = discover(model, task, EAP(), n_edges=30)
    >>> left = prune_circuit(circuit, model, task, references="counterfactual")
    >>> circuit.n_edges, left.n_edges
    (30, 3)
    """
    need_model(model, "prune_circuit")
    need_task(task, "prune_circuit")
    check_circuit(circuit, model, "prune_circuit")
    check_found_on(circuit, task)
    check_options(tolerance, part)
    kinds = _kinds(references)
    problem = DiscoveryProblem(
        model,
        task,
        circuit.graph,
        metric_for(task, circuit.scores.metric if circuit.scores else ""),
        circuit.reference,
        whole_number(seed, "seed", 0),
        memory_in_bytes(max_memory),
    )
    left = _left(problem, circuit.kept, kinds, tolerance, part, progress)
    selection = {
        "how": "pruned",
        "by": "method",
        "n_edges": int(left.kept.sum()),
        "of": circuit.hash,
        "tolerance": float(tolerance),
        "part": float(part),
        "rounds": list(left.rounds),
    }
    record = model.provenance(
        task_hash=task.task_hash,
        strategy=f"prune_circuit({', '.join(kinds)}; tolerance={tolerance:g}, part={part:g}; "
        f"circuit {circuit.hash[:12]})",
        seed=seed,
    )
    scores = circuit.scores
    if scores is not None and scores.seen is None:
        scores = replace(scores, seen=SeenPrompts.of(task))
    return replace(circuit, kept=left.kept, scores=scores, selection=selection, provenance=record)


@dataclass(frozen=True)
class Pruned:
    """Another method's circuit, pruned on the same prompts as of :func:`prune_circuit`.

    For what needs a method: ``rz.discover``, ``circuit_stability``, ``permuted_control``, rivals by
    seeds.

    Attributes:
        method: that finds the circuit to begin with.
        n_edges, share: its size, for methods that choose none themselves.
        references, tolerance, part: as of :func:`prune_circuit`.

    Raises:
        OptionError: no method, or an option out of range.

    >>> from residuum.circuits import EAPIG
    >>> Pruned(EAPIG(), share=0.08).record["method"]["name"]
    'EAPIG'
    """

    method: Discovery
    n_edges: int | None = None
    share: float | None = None
    references: tuple[str, ...] = UNDER
    tolerance: float = TOLERANCE
    part: float = PART

    def __post_init__(self) -> None:
        if isinstance(self.method, type) or not hasattr(self.method, "score"):
            raise OptionError(
                f"method={shown(self.method)} is no method of discovery",
                mend="give one, such as Pruned(EAPIG(), share=0.08)",
            )
        sizes = (self.n_edges is not None) + (self.share is not None)
        if sizes > 1 or (not sizes and not hasattr(self.method, "chosen")):
            raise OptionError(
                "n_edges and share: no size, or two", mend="give one of them, such as share=0.08"
            )
        check_options(self.tolerance, self.part)
        object.__setattr__(self, "references", _kinds(self.references))

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        own: dict[str, Any] = {"name": "Pruned", "method": self.method.record}
        sizes = {"n_edges": self.n_edges, "share": self.share}
        own |= {name: value for name, value in sizes.items() if value is not None}
        return own | {
            "references": list(self.references),
            "tolerance": self.tolerance,
            "part": self.part,
        }

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """The method's scores, with the edges that are left."""
        scores = self.method.score(problem, progress)
        given = self._begun(scores)
        left = _left(problem, given.kept, self.references, self.tolerance, self.part, progress)
        method = {
            **self.record,
            "kept": np.flatnonzero(left.kept).tolist(),
            "rounds": list(left.rounds),
        }
        return replace(scores, method=method, passes=problem.passes)

    def chosen(self, scores: EdgeScores) -> Circuit:
        """The circuit that is left."""
        kept = scores.method["kept"]
        return own_circuit(scores, kept, {"n_edges": len(kept)})

    def _begun(self, scores: EdgeScores) -> Circuit:
        own = getattr(self.method, "chosen", None)
        if own is not None and self.n_edges is None and self.share is None:
            return own(scores)
        return circuit_of(scores, self.n_edges, self.share)


def _kinds(references: Any) -> tuple[str, ...]:
    asked = (references,) if isinstance(references, str) else tuple(references)
    if not asked:
        raise OptionError("references=(): none", mend="give some, such as ('mean',)")
    return tuple(dict.fromkeys(map(check_reference, asked)))


def _left(
    problem: DiscoveryProblem,
    kept: np.ndarray,
    references: tuple[str, ...],
    tolerance: float,
    part: float,
    progress: Progress,
) -> Eliminated:
    """What is left of ``[edge]``; the work is added to the problem's."""
    runs = {each: masked_runs(replace(problem, reference=each)) for each in references}
    left = Elimination(problem.graph, runs, tolerance, part).of(kept, progress)
    problem.passes += sum(each.work.passes for each in runs.values())
    return left
