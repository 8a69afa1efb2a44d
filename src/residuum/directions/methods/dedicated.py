"""A direction learned to carry one task's answers and to leave other tasks' alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from residuum.core import Address, OptionError, ShapeError
from residuum.directions.answers import Part
from residuum.directions.fork_gradients import answers_with_gradients
from residuum.directions.harvesting import SiteValues
from residuum.directions.interventions import Pairs, gap_along, read_pairs
from residuum.directions.methods.difference_of_means import DifferenceOfMeans
from residuum.directions.methods.found_vectors import FindingMethod, FoundVectors
from residuum.directions.said_pairs import said_pairs
from residuum.directions.specificity import flipping_dose
from residuum.runs import Model, Task, need_task, whole_number

AIM = 0.05
"""Below this share of its own task's movement, another task's is not punished."""
_DOSE_EVERY = 10
_KINDS = ("add", "erase", "leace", "swap")


@dataclass(frozen=True, repr=False)
class Dedicated:
    """Start from another method's direction and learn to spare other tasks.

    On the pairs it is fitted on, erasing and swapping are to close the gap between the sides; on
    the other tasks' pairs, no edit (adding at the dose that flips nine in ten answers, erasing,
    LEACE, swapping) is to move an answer by more than a twentieth of what it moves its own task.

    Attributes:
        tasks: what is to be spared; not the prompts that specificity is judged on.
        weight: of the other tasks' movement against the task's own.
        pull: towards the direction it starts from, times one minus the cosine.
        method: how that is found; the difference of means by default.
        steps, rate, batch: of Adam; pairs of each task in a step.

    Shows: nothing by itself; a proof on other templates says what is spared. Does not show: that
    the concept has a direction of its own: what is learned may fit these templates alone.
    Source: interchange as a training loss: Geiger et al. 2023 (alignment search). The other tasks'
    movement under the same edits as a second term is ours.
    """

    tasks: Sequence[Task]
    weight: float = 1.0
    pull: float = 0.1
    method: FindingMethod = field(default_factory=DifferenceOfMeans)
    steps: int = 40
    rate: float = 0.02
    batch: int = 8

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            whole_number(getattr(self, name), name, 1)
        for name in ("weight", "pull", "rate"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise OptionError(f"{name}={value!r}", mend="give a number that is not negative")
        tasks = [self.tasks] if isinstance(self.tasks, Task) else list(self.tasks)
        if not tasks:
            raise OptionError("no tasks to spare", mend="give tasks=[rz.task(...)]")
        for task in tasks:
            need_task(task, "Dedicated")
        object.__setattr__(self, "tasks", tuple(tasks))

    def __repr__(self) -> str:
        names = ", ".join(f"{task.name} {task.task_hash[:8]}" for task in self.tasks)
        return (
            f"Dedicated([{names}], weight={self.weight:g}, pull={self.pull:g}, "
            f"method={self.method!r}, steps={self.steps}, rate={self.rate:g}, batch={self.batch})"
        )

    @property
    def needs_labels(self) -> bool:
        """It is fitted on contrast pairs."""
        return True

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`.

        Raises:
            TaskError: examples without pairs, or pairs whose two sides the model answers alike.
            ShapeError: a method that finds several vectors.
            AddressError: a site that is not in the stream.
        """
        start = self.method.find(model, at, values, seed).vectors
        if start.ndim != 1:
            raise ShapeError(
                f"{self.method!r} finds {len(start)} vectors, and one is learned",
                mend="give a method that finds one direction",
                where=str(at),
            )
        pairs = read_pairs(model, at, said_pairs(model, values.whole_pairs()))
        others = [read_pairs(model, at, task) for task in self.tasks]
        found = _Learning(model, self, pairs, others, seed).learn(start.to(pairs.values))
        along = pairs.at_read @ found
        return FoundVectors(found * along.mean(dim=1).diff().neg().sign(), float(along.mean()))


@dataclass(frozen=True, eq=False)
class _Learning:
    """The training of one direction."""

    model: Model
    method: Dedicated
    pairs: Pairs
    others: Sequence[Pairs]
    seed: int

    def learn(self, start: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """The unit vector after all steps."""
        generator = torch.Generator().manual_seed(self.seed)
        first = start / start.norm()
        raw = torch.nn.Parameter(first.clone())
        optimiser = torch.optim.Adam([raw], lr=self.method.rate)
        dose = 1.0
        for step in range(self.method.steps):
            unit = raw / raw.norm()
            if step % _DOSE_EVERY == 0:
                basis = unit.detach()[None]
                dose = flipping_dose(self.model, self.pairs, basis, gap_along(self.pairs, basis))
            loss = self._loss(unit, dose, generator) + self.method.pull * (1 - unit @ first)
            optimiser.zero_grad()
            raw.grad = torch.autograd.grad(loss, raw)[0]
            optimiser.step()
        return raw.detach() / raw.detach().norm()

    def _loss(self, unit: Tensor, dose: float, generator: torch.Generator) -> Tensor:
        shift = dose * gap_along(self.pairs, unit[None])
        covaries = unit.double() @ self.pairs.covariance.to(unit.device)
        takes = (covaries / (covaries @ unit.double())).to(unit)
        own = self._moved(self.pairs, unit, shift, takes, generator)
        closed = torch.stack([own[0][_KINDS.index(kind)] for kind in ("erase", "swap")])
        loss = (1 - closed).square().mean().float()
        for other in self.others:
            moved = self._moved(other, unit, shift, takes, generator)[1]
            beyond = (moved / own[1] - AIM).clamp(min=0)
            loss = loss + self.method.weight * beyond.square().sum().float()
        return loss

    def _moved(
        self, pairs: Pairs, unit: Tensor, shift: Tensor, takes: Tensor, generator: torch.Generator
    ) -> tuple[Float[Tensor, " kind"], Float[Tensor, " kind"]]:
        """For each edit the share of the gap closed, and the mean absolute change as a share."""
        part, some = _drawn(pairs, self.method.batch, generator)
        rows = part.rows[some]
        x = pairs.values[:, rows, part.columns]
        to_mean = ((pairs.centre - x) @ unit)[..., None]
        add = torch.stack([-shift, shift])[:, None, None].expand_as(x)
        changes = [add, to_mean * unit, to_mean * takes, ((x.flip(0) - x) @ unit)[..., None] * unit]
        after = answers_with_gradients(pairs.at, part, some, x + torch.stack(changes))
        base = pairs.base[:, rows]
        gained = after - base
        closed = (gained[:, 1] - gained[:, 0]).mean(dim=1)
        whole = closed.new_tensor([0.5, 1.0, 1.0, 0.5]) / pairs.gap
        scale = (pairs.base[0] - pairs.base[1]).abs().mean()
        return closed * whole, gained.abs().mean(dim=(1, 2)) / scale


def _drawn(
    pairs: Pairs, batch: int, generator: torch.Generator
) -> tuple[Part, Int[Tensor, " row"]]:
    """Some pairs of one length, lengths as often as they occur."""
    sizes = torch.tensor([float(len(part.rows)) for part in pairs.parts])
    part = pairs.parts[int(torch.multinomial(sizes, 1, generator=generator))]
    return part, torch.randperm(len(part.rows), generator=generator)[:batch].sort().values
