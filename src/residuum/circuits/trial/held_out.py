"""Prompts that a trial does not take: those that its circuit was found on."""

from __future__ import annotations

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.judging.held_out import HeldOut, held_out_of
from residuum.core import OptionError, TaskError
from residuum.runs import Task, need_task

_MEND = (
    "find it on one half and try it on the other, first, second = rz.template_halves(task); "
    "or give same_prompts=True, and the verdict says that it was not held out"
)


def held_out(
    circuit: Circuit, task: Task, found_on: Task | None, *, same_prompts: bool = False
) -> HeldOut:
    """Compare the prompts of a trial with those of the discovery.

    Args:
        circuit: with a record of the prompts that it was found on, or of their hash.
        task: of the trial.
        found_on: the task of the discovery, for a circuit without a record.
        same_prompts: do not refuse the same prompts.

    Raises:
        TaskError: prompts of the discovery, unless they are asked for; ``found_on`` is no task, not
            the one that the circuit was found on, or one of another name than ``task``.
    """
    if found_on is not None:
        need_task(found_on, "trial(found_on=...)")
        _check_found_on(circuit, task, found_on)
    known = held_out_of(circuit, task, found_on)
    if known.holds is False and not same_prompts:
        raise TaskError(known.why, mend=_MEND, where=task.name)
    if known.holds is None and circuit.task_hash:
        return HeldOut(None, f"{known.why}; give found_on= to compare them")
    return known


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
