"""What steering does to tasks that it is not meant for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from residuum.directions.conditional import Pushing, Targets
from residuum.directions.steering_response import Answering
from residuum.runs import Model, Task, bootstrap_mean_interval
from residuum.runs.metrics import accuracy

Interval = tuple[float, float]


@dataclass(frozen=True)
class OffTarget:
    """Accuracy on the clean prompts of another task at one strength, with its 95 % interval."""

    task: str
    scale: float
    accuracy: float
    accuracy_interval: Interval


def off_target_doses(
    model: Model,
    direction: Pushing,
    tasks: Sequence[Task],
    targets: Targets,
    scales: Sequence[float],
) -> tuple[OffTarget, ...]:
    """One for each task and strength; single tokens mean the last one here."""
    own = targets if targets.positions is None else replace(targets, positions=-1)
    found = []
    for task in tasks:
        task.check_fits(model)
        asked = Answering(model, task, direction, own, task.metric)
        tokens = asked.tokens("clean")
        labels = list(task.templates) if len(set(task.templates)) > 1 else None
        for scale in scales:
            right = accuracy(asked.logits("clean", scale, tokens), task.answers)
            found.append(
                OffTarget(
                    task.name,
                    scale,
                    float(right.mean()),
                    bootstrap_mean_interval(right.tolist(), clusters=labels),
                )
            )
    return tuple(found)
