"""The verb: what does the chain of discovery and judgement say of a model without a mechanism?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from residuum.circuits.controls.permuted_result import ChainScores, PermutedControl
from residuum.circuits.controls.permuting import permuted_weights
from residuum.circuits.controls.stability import check_circuit, found_again
from residuum.circuits.discovery.discovering import Discovery
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.engine.references import check_reference
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.judging.ratios import Draws
from residuum.core import SILENT, OptionError, Progress
from residuum.core.progress import track
from residuum.runs import Model, Task, metric_named, need_model, need_task, whole_number


def permuted_control(
    circuit: Circuit,
    model: Model,
    task: Task,
    method: Discovery,
    *,
    n: int = 3,
    found_on: Task | None = None,
    references: str | Sequence[str] = (),
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
) -> PermutedControl:
    """Run the chain that found a circuit on models whose weights are permuted.

    Args:
        circuit: of the model.
        model, task: circuits are judged on these pairs.
        method: the method that found it.
        n: permuted models, see :func:`permuted_weights`.
        found_on: pairs on which the method is run; ``task`` by default.
        references: under which circuits are judged; by default the circuit's own.
        seed: of the first permutation (the next ones follow), the method and the intervals.
        max_memory, progress: as of ``rz.discover``.

    Returns:
        Full, empty and circuit metric of the model and of each permuted one, with faithfulness.

    Raises:
        OptionError: no circuit, method or references; a permuted model whose seam is not proven.
        LoadError: a circuit of another model.
        TaskError: no task.

    Shows: what the same chain "finds" where there is nothing to find. Does not show: that the
    circuit is right.

    >>> import residuum as rz
    >>> from residuum.circuits import EAP, discover
    >>> model = rz.load("microworld")
    >>> task = rz.task("ioi", model, n=8)
    >>> circuit = discover(model, task, EAP(), n_edges=60)
    >>> control = permuted_control(circuit, model, task, EAP(), n=1)
    >>> abs(control.permuted[0].gap.value) < abs(control.own[0].gap.value) / 5
    True
    """
    need_model(model, "permuted_control")
    need_task(task, "permuted_control")
    check_circuit(circuit, model, "permuted_control")
    if isinstance(method, type) or not hasattr(method, "score"):
        raise OptionError(
            "method is no method of discovery", mend="give the one that found the circuit"
        )
    whole_number(n, "n", 1)
    whole_number(seed, "seed", 0)
    asked = (references,) if isinstance(references, str) else tuple(references)
    kinds = tuple(dict.fromkeys(map(check_reference, asked))) or (circuit.reference,)
    own = [_scores(circuit, model, task, kind, seed, max_memory) for kind in kinds]
    found: list[ChainScores] = []
    for each in track(range(seed, seed + n), progress, "permuted weights", n):
        shuffled = permuted_weights(model, each)
        other = found_again(circuit, shuffled, found_on or task, method, seed, max_memory)
        found += [_scores(other, shuffled, task, kind, seed, max_memory) for kind in kinds]
    measure = metric_named(circuit.scores.metric if circuit.scores else task.metric)
    return PermutedControl(
        circuit=circuit,
        own=tuple(own),
        permuted=tuple(found),
        task=task.name,
        metric=measure.name,
        unit=measure.unit,
        examples=len(task),
        provenance=model.provenance(
            task_hash=task.task_hash,
            strategy=f"permuted_control({n} models; {', '.join(kinds)}; "
            f"circuit {circuit.hash[:12]})",
            seed=seed,
        ),
    )


def _scores(
    circuit: Circuit, model: Model, task: Task, reference: str, seed: int, max_memory: Any
) -> ChainScores:
    """Metric of all edges, none and the circuit's."""
    metric = circuit.scores.metric if circuit.scores else task.metric
    sign = 1.0 if metric_named(metric).larger_is_better else -1.0
    runs = MaskedRuns(
        model, circuit.graph, task, reference, metric=metric, seed=seed, max_memory=max_memory
    )
    whole = np.ones_like(circuit.kept)
    full, empty, kept = sign * runs.metric(np.stack([whole, ~whole, circuit.kept]))
    draws = Draws(tuple(task.templates) or ("",) * len(task), seed)
    return ChainScores(
        model.name,
        reference,
        circuit.n_edges,
        draws.mean(full),
        draws.mean(full - empty),
        draws.mean(kept - empty),
        draws.ratio(kept - empty, full - empty),
    )
