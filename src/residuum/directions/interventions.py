"""What a subspace does to a task's answers: add along it, erase it, swap it within each pair.

Pure functions of a model, an address, a subspace and a task; the clean prompts and the corrupt ones
are edited in one batch, with many subspaces at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from residuum.core import Address, AddressError, TaskError
from residuum.directions.answers import Part, answers_of, parts_of
from residuum.models import Batch
from residuum.runs import Metric, Model, Task, metric_named

Kind = Literal["add", "erase", "leace", "swap"]
KINDS: tuple[Kind, ...] = ("add", "erase", "leace", "swap")
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
        parts: the pairs by length, with what their answers are computed from.
    """

    at: Address
    task: Task
    metric: Metric
    values: Float[Tensor, "2 pair pos d"]
    written: Bool[Tensor, "pair pos"]
    read: Int[Tensor, " pair"]
    base: Float[Tensor, "2 pair"]
    parts: tuple[Part, ...]

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

    @cached_property
    def centre(self) -> Float[Tensor, " d"]:
        """Mean activation over the positions written to, of both sides."""
        return self.values[:, self.written].flatten(0, 1).mean(dim=0)

    @cached_property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Over the positions written to, of both sides; float64."""
        rows = self.values[:, self.written].flatten(0, 1).double().cpu()
        away = rows - rows.mean(dim=0)
        return away.T @ away / len(rows)


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
    base = _signed(both.last, task, metric)
    return Pairs(site, task, metric, values, written, read, base, parts_of(model, at, task))


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
            sets the subspace to its mean (a projection about the mean); ``leace`` takes with it
            everything that goes with it linearly, see :func:`leace_rows`; ``swap`` gives each
            prompt its partner's component in the subspace.
        basis: orthonormal rows.
        shift: towards clean; only ``add`` reads it.
    """
    x = pairs.values
    rows = leace_rows(pairs, basis[None]) if kind == "leace" else basis[None]
    change = _changes(pairs, x, kind, basis[None], shift[None], rows)[0]
    return torch.where(pairs.written[None, :, :, None], x + change, x)


def _changes(
    pairs: Pairs,
    x: Float[Tensor, "2 row pos d"],
    kind: Kind,
    basis: Float[Tensor, "draw k d"],
    shift: Float[Tensor, "draw d"],
    rows: Float[Tensor, "draw k d"],
) -> Float[Tensor, "draw 2 row pos d"]:
    """What an edit adds to some of the values, for each subspace."""
    if kind == "add":
        sides = torch.stack([-shift, shift], dim=1)
        return sides[:, :, None, None].expand(len(shift), *x.shape)
    away = x.flip(0) - x if kind == "swap" else pairs.centre - x
    along = away @ basis.mT[:, None, None]
    return along @ rows[:, None, None]


def leace_rows(pairs: Pairs, basis: Float[Tensor, "draw k d"]) -> Float[Tensor, "draw k d"]:
    """What LEACE takes from a vector for each unit of its coordinates in a subspace.

    The eraser of the coordinates ``V x`` is ``x - Rᵀ V (x - mean)`` with ``R = (V Σ Vᵀ)⁻¹ V Σ``:
    of all affine maps after which no linear reader can tell the coordinates, the one that changes
    the vectors least. It is Belrose et al. 2023, theorem 4.2, for a concept that is the
    coordinates themselves; for ``V = Σ⁺ (difference of class means)``, the class's.
    """
    rows = basis.double().cpu()
    along = rows @ pairs.covariance
    return (torch.linalg.pinv(along @ rows.mT, hermitian=True) @ along).to(basis)


def answers_after(
    model: Model, pairs: Pairs, values: Sequence[Float[Tensor, "2 pair pos d"]]
) -> Float[Tensor, "draw 2 pair"]:
    """The metric, more is better, with the site's values replaced, once for each tensor given."""

    def given(part: Part, some: slice) -> Tensor:
        return torch.stack([each[:, part.rows, part.columns] for each in values[some]])

    return answers_of(model, pairs.at, pairs.parts, given, len(values))


def answers_edited(
    model: Model,
    pairs: Pairs,
    kind: Kind,
    bases: Sequence[Float[Tensor, "k d"]],
    shifts: Sequence[Float[Tensor, " d"]],
    fitted: Pairs | None = None,
) -> Float[Tensor, "draw 2 pair"]:
    """The metric, more is better, after an edit of each subspace.

    Args:
        fitted: pairs that LEACE's matrix is fitted on; these by default. The mean is always that
            of these pairs.
    """
    k = max(len(basis) for basis in bases)
    padded = [torch.nn.functional.pad(basis, (0, 0, 0, k - len(basis))) for basis in bases]
    basis, shift = torch.stack(padded), torch.stack(list(shifts))
    rows = leace_rows(fitted or pairs, basis) if kind == "leace" else basis

    def made(part: Part, some: slice) -> Tensor:
        x = pairs.values[:, part.rows, part.columns]
        return x + _changes(pairs, x, kind, basis[some], shift[some], rows[some])

    return answers_of(model, pairs.at, pairs.parts, made, len(bases))


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
        ``erase`` and ``leace``: the sum of the two; the whole gap means that no difference is left.
    """
    after = answers_edited(model, pairs, kind, bases, shifts)
    closed = (pairs.base[0] - after[:, 0]) + (after[:, 1] - pairs.base[1])
    return closed if kind in ("erase", "leace") else closed / 2


def gap_along(pairs: Pairs, basis: Float[Tensor, "k d"]) -> Float[Tensor, " d"]:
    """Mean clean minus mean corrupt activation, within the subspace, at the position read."""
    clean, corrupt = pairs.at_read.mean(dim=1)
    return ((clean - corrupt) @ basis.T) @ basis
