"""Whether a circuit is asked of other prompts than those it was found on."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.seen_prompts import SeenPrompts, SharedPrompts
from residuum.runs import Task


@dataclass(frozen=True)
class HeldOut:
    """What is known of the prompts.

    Attributes:
        holds: whether the circuit was found on others; None where that is not known.
        why: how that is known.
    """

    holds: bool | None
    why: str


def held_out_of(circuit: Circuit, task: Task, found_on: Task | None = None) -> HeldOut:
    """Compare a task's prompts, one by one, with those of the discovery.

    Args:
        circuit: with a record of the prompts that it was found on, or of their hash.
        task: whose clean prompts are looked for, among clean and corrupt ones of the discovery.
        found_on: the task of the discovery, for a circuit without a record.
    """
    seen = SeenPrompts.of(found_on) if found_on is not None else circuit.seen
    if circuit.task_hash == task.task_hash:
        return HeldOut(False, _told(len(task), len(task)))
    if seen is None:
        return HeldOut(None, _not_known(circuit))
    shared = seen.shared_with(task)
    if shared.either.any():
        turned = int((shared.either & ~shared.clean).sum())
        as_corrupt = f", {turned} of them as corrupt ones" if turned else ""
        return HeldOut(False, _told(int(shared.either.sum()), len(task)) + as_corrupt)
    return HeldOut(True, _apart(seen, shared, task))


def _told(shared: int, of: int) -> str:
    return f"{shared} of {of} prompts are those that the circuit was found on"


def _apart(seen: SeenPrompts, shared: SharedPrompts, task: Task) -> str:
    """How the prompts are other ones."""
    other = f", of task {seen.task}" if seen.task != task.name else ""
    labels = {*seen.templates, *task.templates}
    if not (seen.templates and task.templates) or "" in labels:
        return f"found on other prompts{other}"
    if shared.templates.any():
        return f"found on other prompts of the same templates{other}"
    return f"found on other templates{other}"


def _not_known(circuit: Circuit) -> str:
    if not circuit.task_hash:
        return "it is not recorded what the circuit was found on"
    return (
        "found on another set of prompts, which may share some with this one: its file does not "
        "tell which"
    )
