"""A direction without what other tasks' answers follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import Address, OptionError, ShapeError
from residuum.directions.answers import parts_of
from residuum.directions.harvesting import SiteValues
from residuum.directions.methods.difference_of_means import DifferenceOfMeans
from residuum.directions.methods.found_vectors import FindingMethod, FoundVectors
from residuum.runs import Model, Task, metric_named, need_task, whole_number

SPARED = "spared"
"""Key of :attr:`FoundVectors.notes` with the rows that were taken out."""
_ALIKE = 0.1


@dataclass(frozen=True, repr=False)
class Sparing:
    """Another method's vectors, less the directions along which other tasks' answers move.

    For each task the gradients of its metric at the site are taken, on both sides of its pairs, and
    their largest ``each`` principal directions removed. To first order no edit along what is left
    moves those answers, whatever it adds, erases or swaps.

    Attributes:
        tasks: what is to be spared; not those that specificity is judged on.
        each: directions that are taken out for each task.
        method: how the vectors are found before.

    Shows: nothing by itself; a proof on other templates says what is spared. Does not show: that
    the concept has a direction of its own: what it shares with the tasks is gone.
    Source: gradients as the linear effect of an edit: Nanda 2023, "Attribution patching".
    """

    tasks: Sequence[Task]
    each: int = 1
    method: FindingMethod = field(default_factory=DifferenceOfMeans)

    def __post_init__(self) -> None:
        whole_number(self.each, "each", 1)
        tasks = [self.tasks] if isinstance(self.tasks, Task) else list(self.tasks)
        if not tasks:
            raise OptionError("no tasks to spare", mend="give tasks=[rz.task(...)]")
        for task in tasks:
            need_task(task, "Sparing")
        object.__setattr__(self, "tasks", tuple(tasks))

    def __repr__(self) -> str:
        names = ", ".join(f"{task.name} {task.task_hash[:8]}" for task in self.tasks)
        return f"Sparing([{names}], each={self.each}, method={self.method!r})"

    @property
    def needs_labels(self) -> bool:
        """As its method."""
        return self.method.needs_labels

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`.

        Raises:
            ShapeError: nothing is left of the vectors.
        """
        found = self.method.find(model, at, values, seed)
        rows = torch.cat([sensitive(model, at, task, self.each) for task in self.tasks]).double()
        _, sizes, axes = torch.linalg.svd(rows, full_matrices=False)
        basis = axes[sizes > _ALIKE]
        vectors = found.vectors.double()
        left = vectors - vectors @ basis.T @ basis
        if float(left.norm()) < 1e-6 * float(vectors.norm()):
            raise ShapeError(
                f"nothing is left of the direction without the {len(basis)} spared ones",
                mend="spare fewer tasks, or fewer directions of each",
                where=str(at),
            )
        notes = {**found.notes, SPARED: basis.tolist()}
        return FoundVectors(left, notes=notes)


def sensitive(model: Model, at: Address, task: Task, k: int) -> Float[Tensor, "k d"]:
    """The ``k`` principal directions of the gradients of a task's metric at a site.

    Args:
        at: a site of one layer; without a position gradients are added over all tokens.
    """
    site, metric, found = replace(at, pos=None), metric_named(task.metric), []
    for part in parts_of(model, at, task, forked=False):
        rows = torch.arange(len(part.rows)).repeat(2)

        def total(logits: Tensor, mine: Task = part.task, rows: Tensor = rows) -> Tensor:
            return metric(logits[:, -1], mine, rows).sum()

        ids = torch.cat([part.task.clean, part.task.corrupt])
        gradients = model.run(ids, capture=[site], grad_of=total).grad[site]
        found.append(gradients[:, part.columns].sum(dim=1).detach())
    rows = torch.cat(found)
    return torch.linalg.svd(rows, full_matrices=False).Vh[:k]
