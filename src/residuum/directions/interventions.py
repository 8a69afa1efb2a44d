"""What a subspace does to a task's answers: add along it, erase it, swap it within each pair.

Pure functions of a model, an address, a subspace and a task; every prompt of the task is edited at
once, the clean prompts and the corrupt ones in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from residuum.core import Address, AddressError, Patch, TaskError
from residuum.models import Batch
from residuum.runs import Metric, Model, Task, metric_named

Kind = Literal["add", "erase", "swap"]
KINDS: tuple[Kind, ...] = ("add", "erase", "swap")
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Pairs:
    """Both sides of a task at one site, and the metric without edits.

    Attributes:
        at: the site, without position.
        task: whose pairs these are.
        metric: the task's, larger made better.
        values: ``[2 pair pos d]``, clean side first.
        written: ``[pair pos]``, positions that an edit writes to.
        read: ``[pair]``, the position that a probe reads.
        base: ``[2 pair]``, the metric without edits, signed so that more is better.
    """

    at: Address
    task: Task
    metric: Metric
    values: Float[Tensor, "2 pair pos d"]
    written: Bool[Tensor, "pair pos"]
    read: Int[Tensor, " pair"]
    base: Float[Tensor, "2 pair"]

    def __len__(self) -> int:
        return self.values.shape[1]

    @property
    def at_read(self) -> Float[Tensor, "2 pair d"]:
        """What the probe reads."""
        return self.values[:, torch.arange(len(self)), self.read]

    @property
    def gap(self) -> float:
        """Mean metric on clean prompts minus that on corrupt ones."""
        return float((self.base[0] - self.base[1]).mean())

    @property
    def centre(self) -> Float[Tensor, " d"]:
        """Mean activation over the positions written to, of both sides."""
        return self.values[:, self.written].flatten(0, 1).mean(dim=0)


def read_pairs(model: Model, at: Address, task: Task) -> Pairs:
    """Run a task's prompts and keep a site.

    Args:
        model: a loaded model.
        at: the site. With a position, edits write there and probes read there; without, edits write
            at every token and probes read the last.
        task: contrast pairs.

    Raises:
        AddressError: no single site, or a position that some prompt does not have.
        TaskError: a metric that compares with another run; prompts on which clean and corrupt
            answers do not differ.
    """
    metric = metric_named(task.metric)
    if metric.needs_reference:
        raise TaskError(
            f"{task.metric} compares with another run and says nothing about clean and corrupt",
            mend="use a task with logit_diff, prob, prob_diff, accuracy or loss_nats",
        )
    written, read = places_of(at, task)
    site = replace(at, pos=None)
    both = model.run(_both(task), capture=[site], batch_size=_ROWS_AT_ONCE)
    values = both[site].detach().unflatten(0, (2, len(task)))
    if values.ndim != 4:
        raise AddressError(
            f"{site} does not hold one vector for each token", mend="name a head, such as L1.z[H2]"
        )
    return Pairs(site, task, metric, values, written, read, _signed(both.last, task, metric))


def places_of(at: Address, task: Task) -> tuple[Tensor, Tensor]:
    """Positions that are written to ``[pair pos]`` and the one that is read ``[pair]``.

    Raises:
        AddressError: several positions, or one that some prompt does not have.
    """
    columns = torch.arange(task.clean.shape[1])
    if at.pos is None:
        return columns[None] < task.lengths[:, None], task.last
    if not isinstance(at.pos, int):
        raise AddressError(f"{at} has several positions", mend="give one position, or none")
    read = at.pos + (task.lengths if at.pos < 0 else torch.zeros_like(task.lengths))
    if bool((read < 0).any()) or bool((read >= task.lengths).any()):
        raise AddressError(
            f"{at} lies outside the shortest prompt, of {int(task.lengths.min())} tokens",
            mend="give a position that every prompt has",
        )
    return columns[None] == read[:, None], read


def _both(task: Task, times: int = 1) -> Batch:
    ids = torch.cat([task.clean, task.corrupt]).repeat(times, 1)
    mask = task.attention_mask
    return Batch(ids, None if mask is None else mask.repeat(2 * times, 1))


def _signed(last: Tensor, task: Task, metric: Metric) -> Tensor:
    """The metric of stacked clean and corrupt rows, ``[... 2 pair]``, more is better."""
    rows = torch.arange(len(task)).repeat(len(last) // len(task))
    values = metric(last, task, rows).detach().double().cpu()
    return (values if metric.larger_is_better else -values).unflatten(0, (-1, len(task)))


def edited(
    pairs: Pairs, kind: Kind, basis: Float[Tensor, "k d"], shift: Float[Tensor, " d"]
) -> Float[Tensor, "2 pair pos d"]:
    """The site's values after an edit of the subspace.

    Args:
        pairs: both sides as they are.
        kind: ``add`` moves corrupt prompts by ``shift`` and clean ones by ``-shift``; ``erase``
            sets the subspace to its mean (a projection about the mean); ``swap`` gives each prompt
            its partner's component in the subspace.
        basis: orthonormal rows.
        shift: towards clean; only ``add`` reads it.
    """
    x = pairs.values
    if kind == "add":
        change = torch.stack([-shift, shift])[:, None, None].expand_as(x)
    elif kind == "erase":
        change = -((x - pairs.centre) @ basis.T) @ basis
    else:
        change = ((x.flip(0) - x) @ basis.T) @ basis
    return torch.where(pairs.written[None, :, :, None], x + change, x)


def answers_after(
    model: Model, pairs: Pairs, values: Sequence[Float[Tensor, "2 pair pos d"]]
) -> Float[Tensor, "draw 2 pair"]:
    """The metric, more is better, with the site's values replaced, once for each tensor given."""
    n, found = len(pairs), []
    at_once = max(1, _ROWS_AT_ONCE // (2 * n))
    for start in range(0, len(values), at_once):
        part = values[start : start + at_once]
        stacked = torch.stack(list(part)).flatten(0, 2)
        run = model.run(_both(pairs.task, len(part)), edits=[Patch(pairs.at, stacked)])
        sides = _signed(run.last, pairs.task, pairs.metric)
        found.append(sides.unflatten(0, (-1, 2)))
    return torch.cat(found)


def effects(
    model: Model,
    pairs: Pairs,
    kind: Kind,
    bases: Sequence[Float[Tensor, "k d"]],
    shifts: Sequence[Float[Tensor, " d"]],
) -> Float[Tensor, "draw pair"]:
    """How far an edit of each subspace closes the gap between clean and corrupt answers.

    Returns:
        In the metric's unit, for each pair. ``add`` and ``swap``: the mean of what clean prompts
        lose and corrupt ones gain; the whole gap means that the answers have changed places.
        ``erase``: the sum of the two; the whole gap means that no difference is left.
    """
    values = [edited(pairs, kind, *each) for each in zip(bases, shifts, strict=True)]
    after = answers_after(model, pairs, values)
    closed = (pairs.base[0] - after[:, 0]) + (after[:, 1] - pairs.base[1])
    return closed if kind == "erase" else closed / 2


def gap_along(pairs: Pairs, basis: Float[Tensor, "k d"]) -> Float[Tensor, " d"]:
    """Mean clean minus mean corrupt activation, within the subspace, at the position read."""
    clean, corrupt = pairs.at_read.mean(dim=1)
    return ((clean - corrupt) @ basis.T) @ basis
