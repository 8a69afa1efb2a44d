"""Kinds of ablation: what is written in a component's place so that it says nothing of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from residuum.core import SITES, Address, OptionError, ShapeError, TaskError, content_hash
from residuum.models import Batch
from residuum.runs import Capture, Model, Task, shown, whole_number
from residuum.runs.arguments import yes_or_no
from residuum.runs.sweeping.grid import Grid
from residuum.runs.sweeping.writing import Constant, FromPrompts, Without, Writing

_AT_ONCE = 64


class Ablation(Protocol):
    """A kind of ablation."""

    def writing(self, model: Model, task: Task, grid: Grid) -> Writing:
        """What is written in the clean prompts of the task.

        Raises:
            TaskError, OptionError, ShapeError: it does not fit the task or the site.
        """
        ...

    def identity(self, model: Model) -> dict[str, Any]:
        """Plain data that says what is written."""
        ...

    def said(self, model: Model, task: Task) -> str:
        """What is written, in words."""
        ...


@dataclass(frozen=True)
class ZeroAblation:
    """Write zeros.

    Shows: what is lost with the component. Does not show: what it does by itself: zero is a value
    that the model may never have seen there, so the rest may break for another reason.
    """

    def writing(self, model: Model, task: Task, grid: Grid) -> Writing:
        """Zeros."""
        return Constant("zero", {})

    def identity(self, model: Model) -> dict[str, Any]:
        """The kind alone."""
        return {"kind": "zero"}

    def said(self, model: Model, task: Task) -> str:
        """What is written, in words."""
        return "zero"


@dataclass(frozen=True, eq=False)
class MeanAblation:
    """Write the mean over reference prompts.

    Attributes:
        reference: a task (clean and corrupt prompts), texts, or ids ``[row pos]``; by default the
            swept task's own clean and corrupt prompts.
        by_position: True takes one mean for each position, over prompts as long as the task's;
            False pools all real tokens; by default by position where all prompts have one length,
            and the sweep's strategy says which it was.

    Shows: what is lost when the component says the same in every prompt. Does not show: what its
    mean itself does; and what all reference prompts share is kept.
    Source: Wang et al. 2022, "Interpretability in the Wild", §2.1 (mean over a reference
    distribution, by position of the template).
    """

    reference: Any = None
    by_position: bool | None = None

    def __post_init__(self) -> None:
        if self.by_position is not None:
            yes_or_no(self.by_position, "by_position")

    def writing(self, model: Model, task: Task, grid: Grid) -> Writing:
        """The means of the grid's layers."""
        batch, pooled = self._pooled(model, task)
        if pooled and grid.site in ("pattern", "scores"):
            raise OptionError(
                f"{grid.site} has no mean over positions",
                mend="use prompts of one length, and by_position=True",
            )
        reduce = "mean" if pooled else "mean_by_pos"
        asked = [Capture(Address(grid.site, layer), reduce=reduce) for layer in grid.layers]
        run = model.run(batch, capture=asked, logits=False, batch_size=_AT_ONCE)
        return Constant("mean", {layer: run[grid.site, layer] for layer in grid.layers})

    def identity(self, model: Model) -> dict[str, Any]:
        """The reference, by its tokens."""
        return {
            "kind": "mean",
            "by_position": self.by_position,
            "reference": _reference_hash(model, self.reference),
        }

    def said(self, model: Model, task: Task) -> str:
        """What is written, in words."""
        over = "the task's prompts" if self.reference is None else "reference prompts"
        return f"mean over {over}, {'pooled' if self._pooled(model, task)[1] else 'by position'}"

    def _pooled(self, model: Model, task: Task) -> tuple[Batch, bool]:
        """The reference prompts, and whether the mean is over their positions too."""
        batch = _reference(model, task, self.reference, sides=("clean", "corrupt"))
        lengths = torch.cat([task.lengths, batch.lengths])
        one = int(lengths.min()) == int(lengths.max())
        if self.by_position and not one:
            raise TaskError(
                f"the prompts have {int(lengths.min())} to {int(lengths.max())} tokens, so a mean "
                "by position mixes different places",
                mend="use MeanAblation(by_position=False), or prompts of one length",
            )
        return batch, not one if self.by_position is None else not self.by_position


@dataclass(frozen=True, eq=False)
class ResampleAblation:
    """Write the values of another prompt, drawn at random for each prompt.

    Attributes:
        reference: a task (its clean prompts), texts, or ids ``[row pos]`` to draw from; by default
            the other clean prompts of the swept task. A prompt is never drawn for itself.
        seed: of the draw.
        other_answer: draw only prompts whose right answers are others: the value on a prompt with
            the same answer may be as good, so that nothing is taken out. The reference must then
            be a task, or the swept task itself.

    Shows: what is lost when the component speaks of another prompt, at values that the model
    knows. Does not show: what both prompts share.
    Source: Chan et al. 2022, "Causal scrubbing", on resampling ablations.
    """

    reference: Any = None
    seed: int = 0
    other_answer: bool = False

    def __post_init__(self) -> None:
        yes_or_no(self.other_answer, "other_answer")
        if self.other_answer and not (self.reference is None or isinstance(self.reference, Task)):
            raise OptionError(
                "reference prompts that are no task have no answers to tell apart",
                mend="give a task as reference, or leave other_answer out",
            )

    def donors(self, model: Model, task: Task) -> Tensor:
        """For each prompt the row of the reference prompt whose value it takes, ``[prompt]``.

        Raises:
            TaskError: a prompt has no other one of its length, or none with another answer.
        """
        whole_number(self.seed, "seed", 0)
        pool = _reference(model, task, self.reference, sides=("clean",))
        given = task if self.reference is None else self.reference
        barred = same_answers(task, given) if self.other_answer else None
        return _drawn(task, pool, self.seed, barred)

    def writing(self, model: Model, task: Task, grid: Grid) -> Writing:
        """One prompt of the reference for each prompt of the task, as long as it."""
        order = self.donors(model, task)
        pool = _reference(model, task, self.reference, sides=("clean",))
        width = task.clean.shape[1]
        ids = torch.zeros_like(task.clean)
        shared = min(width, pool.ids.shape[1])
        ids[:, :shared] = pool.ids[order, :shared]
        return FromPrompts(Batch(ids, task.attention_mask), "resample")

    def identity(self, model: Model) -> dict[str, Any]:
        """The reference and the seed; that answers must differ only where they must."""
        return {
            "kind": "resample",
            "seed": self.seed,
            "reference": _reference_hash(model, self.reference),
        } | ({"other_answer": True} if self.other_answer else {})

    def said(self, model: Model, task: Task) -> str:
        """What is written, in words."""
        over = "the task's prompts" if self.reference is None else "reference prompts"
        other = " with other answers" if self.other_answer else ""
        return f"resampled from {over}{other}, seed {self.seed}"


@dataclass(frozen=True)
class SwapAblation:
    """Write the component's value on the corrupt prompt of the pair.

    As a sweep this is :func:`patch` with ``direction="noise"``; in :func:`knock_out` several
    components are swapped together.

    Shows: what is lost when the component speaks of the other prompt of its own pair. Does not
    show: what both prompts share.
    Source: Vig et al. 2020, §4 (interchange intervention).
    """

    def writing(self, model: Model, task: Task, grid: Grid) -> Writing:
        """The corrupt prompts' values."""
        return FromPrompts(Batch(task.corrupt, task.attention_mask), "noise")

    def identity(self, model: Model) -> dict[str, Any]:
        """The kind alone: the pairs are known."""
        return {"kind": "noise"}

    def said(self, model: Model, task: Task) -> str:
        """What is written, in words."""
        return "the value on the pair's corrupt prompt"


@dataclass(frozen=True, eq=False)
class DirectionAblation:
    """Take a direction, or the subspace of several, out of every vector.

    Attributes:
        directions: ``[d]`` or ``[k d]``, of the site's last axis; their length does not matter.

    Shows: what depends on the subspace, linearly read. Does not show: that nothing of it is left
    for a reader that is not linear, or that it means what its name says.
    Source: Arditi et al. 2024, "Refusal in language models is mediated by a single direction",
    §2.4 (directional ablation).
    """

    directions: Any

    def writing(self, model: Model, task: Task, grid: Grid) -> Writing:
        """The projection, by an orthonormal basis."""
        last = SITES[grid.site].dims[-1]
        sizes = {"d_model": model.dims.d_model, "d_head": model.dims.d_head}
        sizes["d_mlp"] = model.dims.d_mlp or 0
        rows = _vectors(self.directions)
        if last not in sizes or rows.shape[1] != sizes[last]:
            raise ShapeError(
                f"directions of shape {list(rows.shape)} for {grid.site}, whose vectors are {last}",
                mend=f"give [{sizes.get(last, 'd')}], or several rows of that",
            )
        if {"neuron", "expert"} & set(grid.by):
            raise OptionError(
                "a direction is taken out of whole vectors, not of single neurons",
                mend="leave neuron out of by",
            )
        _, lengths, basis = torch.linalg.svd(rows, full_matrices=False)
        kept = lengths > lengths.max() * max(rows.shape) * torch.finfo(rows.dtype).eps
        return Without(basis[kept])

    def identity(self, model: Model) -> dict[str, Any]:
        """The directions themselves, by hash."""
        return {"kind": "direction", "directions": content_hash(_vectors(self.directions).tolist())}

    def said(self, model: Model, task: Task) -> str:
        """What is written, in words."""
        return f"without {len(_vectors(self.directions))} direction(s)"


_BY_NAME = {
    "zero": ZeroAblation,
    "mean": MeanAblation,
    "resample": ResampleAblation,
    "swap": SwapAblation,
}


def ablation_named(how: Any) -> Ablation:
    """The ablation asked for, by name or as it is.

    Raises:
        OptionError: it is none.
    """
    if isinstance(how, str) and how in _BY_NAME:
        return _BY_NAME[how]()
    if isinstance(how, (type, str)) or not hasattr(how, "writing"):
        raise OptionError(
            f"{shown(how)} is no ablation",
            mend="use 'zero', 'mean', 'resample' or 'swap', or an ablation such as "
            "rz.MeanAblation(reference=task) or rz.DirectionAblation(direction)",
        )
    return how


def _vectors(directions: Any) -> Tensor:
    """Directions as rows, float64.

    Raises:
        ShapeError: no rows of finite numbers, or one of length zero.
    """
    try:
        given = torch.as_tensor(directions).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(
            f"{shown(directions)} is no direction", mend="give a tensor [d] or [k, d]"
        ) from error
    if given.is_complex():
        raise ShapeError(
            f"a direction of complex numbers ({given.dtype})",
            mend="give its real part, or both parts as two rows",
        )
    rows = given.double().cpu()
    rows = rows[None] if rows.ndim == 1 else rows
    good = rows.ndim == 2 and rows.numel() > 0 and bool(rows.isfinite().all())
    if not good or not bool((rows.norm(dim=1) > 0).all()):
        raise ShapeError(
            f"directions of shape {list(rows.shape)} hold none, or one that is zero or not finite",
            mend="give a tensor [d] or [k, d] of finite numbers, no row of them zero",
        )
    return rows


def _reference(model: Model, task: Task, given: Any, sides: tuple[str, ...]) -> Batch:
    """Reference prompts as one batch."""
    given = task if given is None else given
    if isinstance(given, Task):
        given.check_fits(model)
        mask = given.attention_mask
        ids = torch.cat([getattr(given, side) for side in sides])
        return Batch(ids, None if mask is None else torch.cat([mask] * len(sides)))
    return model.adapted.tokens.batch(given)


def _reference_hash(model: Model, given: Any) -> str:
    if given is None:
        return ""
    return (
        given.task_hash
        if isinstance(given, Task)
        else content_hash(model.adapted.tokens.batch(given).ids.tolist())
    )


def same_answers(task: Task, other: Task) -> Tensor:
    """Whether a prompt of one task has the same right answers as one of another, ``[row row]``."""
    rows = [[frozenset(row) - {-1} for row in each.answers.tolist()] for each in (task, other)]
    return torch.tensor([[first == second for second in rows[1]] for first in rows[0]])


def _drawn(task: Task, pool: Batch, seed: int, barred: Tensor | None = None) -> Tensor:
    """For each prompt the row of a reference prompt of the same length that is not the same."""
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for row, (ids, length) in enumerate(zip(task.clean, task.lengths, strict=True)):
        size = int(length)
        fits = pool.lengths == size
        if size <= pool.ids.shape[1]:
            fits = fits & (pool.ids[:, :size] != ids[:size]).any(dim=1)
        at = (fits & (pool.starts == 0)).nonzero().flatten()
        if len(at) and barred is not None:
            at = at[~barred[row, at]]
            if not len(at):
                raise TaskError(
                    f"no prompt of {size} tokens with another answer to resample from",
                    mend="take pairs with several answers, or leave other_answer out",
                )
        if not len(at):
            raise TaskError(
                f"no other prompt of {size} tokens to resample from",
                mend="take more pairs, or give reference= prompts of this length",
            )
        chosen.append(at[torch.randint(len(at), (1,), generator=generator)])
    return torch.cat(chosen)
