"""Microworld's ten behaviours in two parts: templates to find latents on, and held-out ones."""

from __future__ import annotations

from contextlib import suppress

from residuum.core import TaskError
from residuum.directions.alignment import template_halves
from residuum.directions.orientation import oriented
from residuum.runs import Model, Task, make_task
from residuum.worlds import MICROWORLD_TASKS

PAIRS, SEED = 64, 1


def behaviour_halves(model: Model, name: str) -> tuple[Task, Task]:
    """The pairs of a behaviour on training templates, and on held-out ones.

    Pairs are turned so that the clean side is one concept, where answers fall into two sets. A
    behaviour with one template (``induction``) is split by pair: the held-out ones are other draws.

    Args:
        name: one of ``MICROWORLD_TASKS``.

    Raises:
        TaskError: no such behaviour.
    """
    task = make_task(name, model, n=PAIRS, seed=SEED)
    with suppress(TaskError):  # else the clean side is one concept already, or names none
        task = oriented(task)
    if len(set(task.templates)) > 1:
        return template_halves(task, SEED)
    other = make_task(name, model, n=PAIRS, seed=SEED + 1)
    seen = {tuple(row) for row in task.to_json()["clean"]}
    fresh = [i for i, row in enumerate(other.to_json()["clean"]) if tuple(row) not in seen]
    return task, other.subset(fresh)


def all_halves(model: Model) -> dict[str, tuple[Task, Task]]:
    """Every behaviour's two parts, by name."""
    return {name: behaviour_halves(model, name) for name in MICROWORLD_TASKS}
