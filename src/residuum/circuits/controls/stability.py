"""The verb: would the circuit be found again, on other prompts and with other seeds?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from residuum.circuits.controls.overlap import parts_of_masks
from residuum.circuits.controls.resamples import resampled_rows
from residuum.circuits.controls.stability_result import CircuitStability, Refound
from residuum.circuits.discovery.discovering import Discovery, discover
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.selection import keep
from residuum.circuits.trial.random_circuits import random_circuits
from residuum.core import SILENT, OptionError, Progress, TaskError
from residuum.core.progress import track
from residuum.runs import Model, Task, need_model, need_task, shown, whole_number

_RANDOM = 50
"""Random circuits that say what overlap chance gives."""


def circuit_stability(
    circuit: Circuit,
    model: Model,
    task: Task,
    *,
    method: Discovery | None = None,
    n_boot: int = 100,
    seeds: Sequence[int] = (),
    unit: str = "pair",
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
) -> CircuitStability:
    """Find a circuit again on prompts drawn with replacement, and with other seeds.

    Args:
        circuit: as found by ``rz.discover``.
        model, task: those that it was found on.
        method: the method that found it. Without it the circuit's scores of each example are
            drawn again and its edges chosen as they were: that needs no pass, but scores that
            have examples (EAP and its kin; not those read from a file). With it every sample is a
            discovery of its own.
        n_boot: samples; the bar asks for 100.
        seeds: of discoveries on all pairs, for a ``method`` with random choices.
        unit: what is drawn, ``"pair"``, or ``"template"`` with all its pairs.
        seed: of the draws; with ``method`` also of each discovery.
        max_memory, progress: as of ``rz.discover``.

    Returns:
        Mean Jaccard's index over all pairs of circuits found again, for edges and for parts
        (without embedding and logits), beside what random circuits of the size give.

    Raises:
        OptionError: no circuit or an empty one; seeds without a method; neither a method nor scores
            per example; edges that were not chosen from scores; fewer than two samples.
        LoadError: a circuit of another model.
        TaskError: another task than the circuit was found on; too few units to draw.

    Shows: how far the edges hang on the prompts at hand and on chance. Does not show: that they
    carry the behaviour: a method can find the same wrong circuit again and again.
    Source: B. Efron, Ann. Stat. 7 (1979), the bootstrap; the bar as of
    :class:`CircuitStability`.

    >>> import residuum as rz
    >>> from residuum.circuits import EAP, discover
    >>> model = rz.load("microworld")
    >>> task = rz.task("ioi", model, n=8)
    >>> found = circuit_stability(discover(model, task, EAP(), n_edges=20), model, task)
    >>> found.prompts.n, found.passes
    (100, 0.0)
    """
    need_model(model, "circuit_stability")
    need_task(task, "circuit_stability")
    check_circuit(circuit, model, "circuit_stability")
    check_found_on(circuit, task)
    whole_number(n_boot, "n_boot", 2)
    whole_number(seed, "seed", 0)
    seeds = [whole_number(each, "seeds", 0) for each in seeds]
    if method is None and seeds:
        raise OptionError("seeds without a method", mend="give the method that found the circuit")
    if len(seeds) == 1:
        raise OptionError("one seed has nothing to compare with", mend="give two seeds or more")
    rows = resampled_rows(len(task), n_boot, unit, task.templates, seed)
    passes = 0.0
    if method is None:
        masks = _chosen_again(circuit, rows, len(task))
    else:
        found = [
            found_again(circuit, model, task.subset(each.tolist()), method, seed, max_memory)
            for each in track(rows, progress, "found again", len(rows))
        ]
        masks = np.stack([each.kept for each in found])
        passes += sum(each.scores.passes for each in found if each.scores)
    by_seed = None
    if method is not None and seeds:
        others = [found_again(circuit, model, task, method, each, max_memory) for each in seeds]
        passes += sum(each.scores.passes for each in others if each.scores)
        by_seed = compared(circuit, np.stack([each.kept for each in others]))
    how = "scores drawn again" if method is None else "discovery on each sample"
    return CircuitStability(
        circuit=circuit,
        prompts=compared(circuit, masks),
        seeds=by_seed,
        chance=_by_chance(circuit, seed),
        how=how,
        unit=unit,
        task=task.name,
        passes=passes,
        provenance=model.provenance(
            task_hash=task.task_hash,
            strategy=f"circuit_stability({how}; {n_boot} samples of {unit}s; seeds {seeds}; "
            f"circuit {circuit.hash[:12]})",
            seed=seed,
        ),
    )


def check_circuit(circuit: Any, model: Model, verb: str) -> None:
    """Refuse what is no circuit of this model, or an empty one."""
    if not isinstance(circuit, Circuit):
        raise OptionError(
            f"{verb} asks of a circuit, got {shown(circuit)}",
            mend="give one: circuit = rz.discover(model, task), or load_circuit(file)",
        )
    circuit.need_edges()
    circuit.check_fits(model)


def check_found_on(circuit: Circuit, task: Task) -> None:
    """Refuse another task than the circuit's."""
    if circuit.task_hash and circuit.task_hash != task.task_hash:
        raise TaskError(
            f"the circuit was found on task {circuit.task_hash[:8]}, this is {task.task_hash[:8]}",
            mend="give the task that was handed to rz.discover",
            where=task.name,
        )


def found_again(
    circuit: Circuit, model: Model, task: Task, method: Discovery, seed: int, max_memory: Any = None
) -> Circuit:
    """The same discovery on other prompts or with another seed, for a circuit of the same size."""
    chosen = {} if circuit.selection.get("by") == "method" else _options(circuit)
    metric = circuit.scores.metric if circuit.scores else ""
    return discover(
        model,
        task,
        method,
        **chosen,
        reference=circuit.reference,
        graph=circuit.graph,
        metric=metric,
        seed=seed,
        max_memory=max_memory,
    )


def _options(circuit: Circuit) -> dict[str, Any]:
    """Size and selection of a circuit that was chosen from scores."""
    how = circuit.selection
    if not {"how", "by"} <= set(how) or how["by"] not in ("signed", "absolute"):
        raise OptionError(
            "the circuit's edges were not chosen from scores",
            mend="give a circuit that rz.discover found",
        )
    return {
        "n_edges": int(how.get("asked", circuit.n_edges)),
        "how": how["how"],
        "by": how["by"],
        "prune": how.get("prune", "none"),
    }


def _by_chance(circuit: Circuit, seed: int) -> Refound | None:
    """Random connected circuits of the size, where there are any."""
    try:
        drawn = random_circuits(circuit.graph, circuit.n_edges, _RANDOM, seed=seed)
    except OptionError:  # fewer edges than one path needs, or more than lie on paths
        return None
    return compared(circuit, drawn)


def _chosen_again(circuit: Circuit, rows: list[np.ndarray], pairs: int) -> np.ndarray:
    """Edges chosen from the mean scores of each sample, bool ``[sample edge]``."""
    examples = None if circuit.scores is None else circuit.scores.examples
    if examples is None or len(examples) != pairs:
        raise OptionError(
            f"the circuit has no scores of each of the {pairs} examples to draw again",
            mend="give method=, the one that found it: each sample is then a discovery of its own",
        )
    options = _options(circuit)
    n = options.pop("n_edges")
    return np.stack([keep(circuit.graph, examples[row].mean(axis=0), n, **options) for row in rows])


def compared(circuit: Circuit, masks: np.ndarray) -> Refound:
    """A circuit beside those of bool ``[found edge]``."""
    names, parts = parts_of_masks(circuit.graph, np.concatenate([circuit.kept[None], masks]))
    return Refound(masks, circuit.kept, names, parts[1:], parts[0])
