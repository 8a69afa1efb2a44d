"""Whether a circuit is tried on other prompts than those it was found on."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.circuits.graph.circuit import Circuit
from residuum.core import OptionError, TaskError
from residuum.runs import Task, need_task

_MEND = (
    "find it on one half and try it on the other, first, second = rz.template_halves(task); "
    "or give same_prompts=True, and the verdict says that it was not held out"
)


@dataclass(frozen=True)
class HeldOut:
    """What is known of the prompts.

    Attributes:
        holds: whether the circuit was found on others; None where that is not known.
        why: how that is known.
    """

    holds: bool | None
    why: str


def held_out(
    circuit: Circuit, task: Task, found_on: Task | None, *, same_prompts: bool = False
) -> HeldOut:
    """Compare the prompts of a trial with those of the discovery.

    Args:
        circuit: with the hash of the task that it was found on, and the templates if it has scores.
        task: of the trial.
        found_on: the task of the discovery; with it, prompts are compared one by one.
        same_prompts: do not refuse the same prompts.

    Raises:
        TaskError: the same prompts, unless they are asked for; ``found_on`` is no task, not the one
            that the circuit was found on, or one of another name than ``task``.
    """
    if found_on is not None:
        need_task(found_on, "trial(found_on=...)")
        _check_found_on(circuit, task, found_on)
    shared = _shared_prompts(task, found_on) if found_on is not None else 0
    if circuit.task_hash == task.task_hash:
        shared = len(task)
    if shared:
        what = f"{shared} of {len(task)} prompts are those that the circuit was found on"
        if not same_prompts:
            raise TaskError(what, mend=_MEND, where=task.name)
        return HeldOut(False, what)
    return _apart(circuit, task, found_on)


def _apart(circuit: Circuit, task: Task, found_on: Task | None) -> HeldOut:
    templates = set(found_on.templates) if found_on is not None else _templates(circuit)
    if templates and "" not in templates and templates.isdisjoint(task.templates):
        return HeldOut(True, "found on other templates")
    if found_on is not None:
        return HeldOut(True, "found on other prompts of the same templates")
    if not circuit.task_hash:
        return HeldOut(None, "it is not recorded what the circuit was found on")
    return HeldOut(
        None,
        "found on another set of prompts, which may share some with this one: give found_on= to "
        "compare them",
    )


def _templates(circuit: Circuit) -> set[str]:
    return set() if circuit.scores is None else set(circuit.scores.clusters)


def _check_found_on(circuit: Circuit, task: Task, found_on: Task) -> None:
    if circuit.task_hash and circuit.task_hash != found_on.task_hash:
        raise TaskError(
            f"the circuit was found on task {circuit.task_hash[:8]}, found_on is "
            f"{found_on.task_hash[:8]}",
            mend="give the task that was handed to rz.discover",
            where=found_on.name,
        )
    if found_on.name != task.name:
        raise TaskError(
            f"the circuit is one for {found_on.name}, the trial is on {task.name}",
            mend=f"try it on other prompts of {found_on.name}",
            where=task.name,
        )


def _shared_prompts(task: Task, other: Task) -> int:
    """How many clean prompts of a task are also clean prompts of another."""
    seen = set(_prompts(other))
    return sum(each in seen for each in _prompts(task))


def _prompts(task: Task) -> list[tuple[int, ...]]:
    rows = zip(task.clean.tolist(), task.lengths.tolist(), strict=True)
    return [tuple(ids[:length]) for ids, length in rows]


def check_metric(circuit: Circuit, metric: str) -> None:
    """Refuse another metric than the one by which the circuit was found.

    Raises:
        OptionError: it is another.
    """
    if circuit.scores is not None and circuit.scores.metric != metric:
        raise OptionError(
            f"the circuit was found by {circuit.scores.metric}, the trial is by {metric}: it is a "
            "circuit for another behaviour",
            mend=f'give metric="{circuit.scores.metric}"',
        )
