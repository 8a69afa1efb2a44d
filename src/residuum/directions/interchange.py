"""Interchange in a learned subspace: how often answers follow it, and how it is learned.

The gradient runs through the model once a step: the run gives the gradient of the loss with respect
to the site, and the chain rule to the subspace is taken here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from residuum.core import Patch, TaskError
from residuum.directions.interventions import Pairs, answers_after, edited
from residuum.directions.random_directions import orthonormal
from residuum.models import Batch
from residuum.runs import Model, Task, metric_named


@dataclass(frozen=True)
class Training:
    """How a subspace is learned.

    Attributes:
        steps: updates.
        rate: of Adam.
        batch: pairs in a step.
    """

    steps: int = 100
    rate: float = 0.02
    batch: int = 32


def follows(model: Model, pairs: Pairs, basis: Float[Tensor, "k d"]) -> Bool[Tensor, "2 pair"]:
    """Whether each prompt, given its partner's component in the subspace, prefers its answer."""
    swapped = edited(pairs, "swap", basis, torch.zeros_like(pairs.centre))
    after = answers_after(model, pairs, [swapped])[0]
    return torch.stack([after[0] < 0, after[1] > 0])


def as_preference(task: Task) -> Task:
    """The task with the difference of logits as its metric.

    Raises:
        TaskError: some pairs have no wrong answers, so that nothing says what the partner answers.
    """
    if bool(((task.wrong >= 0).sum(dim=1) == 0).any()):
        raise TaskError(
            "interchange needs to know what each side answers, and some pairs have no wrong ones",
            mend="give the corrupt side's answers as wrong=",
            where=task.name,
        )
    return replace(task, metric="logit_diff")


def learn(
    model: Model, pairs: Pairs, k: int, training: Training, seed: int = 0
) -> Float[Tensor, "k d"]:
    """Orthonormal rows whose interchange makes prompts answer as their partners do.

    Args:
        model: a loaded model.
        pairs: of a task with ``logit_diff``, see :func:`as_preference`.
        k: dimensions.
        training: how.
        seed: of the start and of the batches.
    """
    generator = torch.Generator().manual_seed(seed)
    d = pairs.values.shape[-1]
    start = torch.randn(k, d, generator=generator).to(pairs.values)
    rows = torch.nn.Parameter(orthonormal(start))
    optimiser = torch.optim.Adam([rows], lr=training.rate)
    for _ in range(training.steps):
        some = torch.randperm(len(pairs), generator=generator)[: training.batch]
        basis = torch.linalg.qr(rows.T).Q.T
        x = pairs.values[:, some]
        moved = ((x.flip(0) - x) @ basis.T) @ basis
        swapped = torch.where(pairs.written[some][None, :, :, None], x + moved, x)
        gradient = _gradient(model, pairs, some, swapped.detach())
        optimiser.zero_grad()
        (swapped * gradient).sum().backward()
        optimiser.step()
    return torch.linalg.qr(rows.detach().T).Q.T.contiguous()


def _gradient(
    model: Model, pairs: Pairs, some: Int[Tensor, " row"], values: Float[Tensor, "2 row pos d"]
) -> Float[Tensor, "2 row pos d"]:
    """Gradient, at the site, of how little each prompt answers as its partner does."""
    task, metric = pairs.task, metric_named("logit_diff")
    both, width = torch.cat([some, some]), task.clean.shape[1]
    ids = torch.cat([task.clean[some], task.corrupt[some]])
    mask = torch.arange(width)[None] < task.lengths[both][:, None]
    sign = torch.ones(len(both)).index_fill(0, torch.arange(len(some), len(both)), -1.0)

    def loss(logits: Tensor) -> Tensor:
        last = logits[torch.arange(len(both)), task.lengths[both] - 1]
        wanted = metric(last, task, both) * sign.to(last)
        return torch.nn.functional.softplus(wanted).mean()

    run = model.run(
        Batch(ids, None if bool(mask.all()) else mask),
        capture=[pairs.at],
        edits=[Patch(pairs.at, values.flatten(0, 1))],
        grad_of=loss,
    )
    return run.grad[pairs.at].unflatten(0, (2, len(some)))
