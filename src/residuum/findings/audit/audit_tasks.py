"""Tasks that a suite names: a model's own by name, or chat prompts that this package writes."""

from __future__ import annotations

from residuum.core import TaskError
from residuum.findings.audit.chat_tasks import chat_task
from residuum.runs import Model, Task, make_task, task_names

CHAT = "chat/"
"""What names of chat tasks begin with."""
FEWEST = 8


def audit_task(name: str, model: Model, n: int, seed: int) -> Task:
    """The task of this name with ``n`` pairs, or with as many as there are.

    Raises:
        TaskError: no such task for this model, or fewer than 8 pairs.
    """
    if name.startswith(CHAT):
        return chat_task(name.removeprefix(CHAT), model, n, seed)
    if name not in task_names(model):
        there = ", ".join(task_names(model)) or "none, without a tokenizer"
        raise TaskError(f"no task {name!r} for this model", mend=f"it has: {there}")
    while True:
        try:
            return make_task(name, model, n=n, seed=seed)
        except TaskError:
            if n < 2 * FEWEST:
                raise
            n //= 2
