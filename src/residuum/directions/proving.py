"""Prove a direction: decodable, causal, specific, each with its numbers and its rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from residuum.core import SILENT, Address, OptionError, Progress, TaskError
from residuum.directions.causal_effects import (
    FEWEST,
    Subspace,
    as_given,
    causal_tests,
    random_draws,
)
from residuum.directions.decodability import decode
from residuum.directions.identities import identities_anywhere
from residuum.directions.interventions import Pairs, read_pairs
from residuum.directions.methods.sparing import SPARED
from residuum.directions.neutral_effect import NeutralEffect, neutral_effect
from residuum.directions.origin import Origin
from residuum.directions.proof import Proof
from residuum.directions.side_effects import plain_texts
from residuum.directions.specificity import OffTarget, flipping_dose, moved, side_effect
from residuum.runs import Model, Task, need_model, need_task, shown, whole_number

ALPHA = 0.05
_OFF_TARGET_DRAWS = 5


class Provable(Protocol):
    """What a proof needs of a direction."""

    @property
    def at(self) -> Address:
        """Its site."""
        ...

    @property
    def vector(self) -> Tensor:
        """``[d]``, or ``[k d]`` for a subspace."""
        ...

    @property
    def method(self) -> str:
        """How it was found."""
        ...

    @property
    def origin(self) -> Origin:
        """What it was found on."""
        ...

    @property
    def notes(self) -> Mapping[str, Any]:
        """Further numbers of the method."""
        ...

    def check_fits(self, model: Model) -> None:
        """Refuse another model or site."""
        ...


def prove(
    direction: Provable,
    model: Model,
    task: Task,
    *,
    off_target: Sequence[Task] = (),
    neutral: Sequence[str] | None = None,
    n_random: int = 50,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Proof:
    """Ask what a direction does: add it, erase it, swap it, beside random directions.

    * *Adding* moves corrupt prompts along the direction by the mean distance between the two sides,
      and clean prompts back by as much. *Erasing* sets the component to its mean (a projection
      about the mean), and by *LEACE* takes with it all that goes with it linearly. *Swapping* gives
      each prompt its partner's component (an interchange).
    * Each against ``n_random`` directions drawn with the covariance of the activations read, the
      same norm added; p with +1, corrected over adding, erasing and swapping by step-down max-T.
      These draws are the null because a direction found on labels without meaning is distributed
      like them (what a method spares is taken out of them too). The concept's own variance counts
      in them as no more than the largest other, see :func:`random_directions.levelled`; draws of
      the whole covariance and isotropic ones are reported beside. LEACE along a random direction
      takes the concept out with whatever goes with it, so its p stands beside and decides nothing.
    * *Decodable*: held-out accuracy above the majority and above a control task.
      *Causal*: adding, erasing and swapping are beyond the random directions at 5 %, and swapping
      and LEACE close at least a tenth of the gap, their intervals above zero. *Specific*: causal,
      no off-target task moves under any edit by more than a quarter of what the task itself does
      under the same edit, and the perplexity of plain text rises by less than a tenth; adding at
      the dose that flips nine in ten answers.

    Args:
        direction: whose site says where; with a position edits write there, without one at every
            token, and the label is read at the last.
        model: the model that the direction was found in.
        task: contrast pairs on which it was *not* found. Templates that hold a pair it was found on
            are left out, and ``proof.split`` says so.
        off_target: tasks that should stay as they are.
        neutral: plain texts; by default, where there are off-target tasks, those of a model that
            has its own (microworld); ``()`` for none.
        n_random: random directions, at least 19 (fewer cannot reach p = .05).
        seed: of the random directions and the resampling.
        progress: who is told.

    Returns:
        The proof; ``proof.verdict`` has the three answers, ``proof.rules`` why.

    Raises:
        OptionError: too few random directions, off-target tasks that are none.
        TaskError: no template is left that it was not found on; the model does not tell clean from
            corrupt prompts; a metric that compares with another run.
        AddressError, ShapeError: a position that prompts do not have, a zero direction, activations
            that do not vary at the site.

    Shows: that these answers follow this direction more than directions like it. Does not show:
    that the model has no other way to the same answer, or uses one direction for the concept.
    Source: Geiger et al. 2021, "Causal abstractions of neural networks" (interchange); Westfall &
    Young 1993 (max-T); Belrose et al. 2023 (LEACE). Deviation: edits of
    both sides of a pair count, not only of one.
    """
    _check(direction, model, task, off_target, n_random, seed)
    task, split = unseen(direction, task)
    pairs = _told_apart(read_pairs(model, direction.at, task))
    progress.start("directions", n_random + 2 * FEWEST + 1 + len(off_target))
    found = as_given(pairs, direction.vector)
    draws = random_draws(pairs, found, n_random, direction.notes.get(SPARED), seed)
    tests = causal_tests(model, pairs, found, draws, seed)
    progress.advance(n_random + 2 * FEWEST + 1)
    sides = side_effects(model, direction.at, pairs, found, draws.alike, off_target, neutral, seed)
    progress.finish()
    strategy = f"prove({direction.method} at {direction.at}, n_random={n_random})"
    return Proof(
        at=str(direction.at),
        method=str(direction.method),
        task=task.name,
        metric=task.metric,
        unit=pairs.metric.unit,
        clean=float(pairs.base[0].mean()),
        corrupt=float(pairs.base[1].mean()),
        tests=tests,
        decodability=decode(pairs, found.basis, seed),
        off_target=sides.off_target,
        neutral=sides.neutral,
        on_target_frac=sides.on_target_frac,
        dose_frac=sides.dose_frac,
        n_pairs=len(pairs),
        n_templates=len(set(task.templates)) if task.templates else 1,
        n_random=n_random,
        alpha=ALPHA,
        strength_typical=float(found.shift.norm() / pairs.at_read.norm(dim=2).mean()),
        split=split,
        provenance=replace(
            model.provenance(seed=seed), task_hash=task.task_hash, strategy=strategy
        ),
    )


def _told_apart(pairs: Pairs) -> Pairs:
    """Refuse pairs whose two sides the model answers alike, or the wrong way round."""
    if pairs.gap <= 0:
        raise TaskError(
            f"the model does not tell clean from corrupt: mean {pairs.task.metric} differs by "
            f"{pairs.gap:.3g}",
            mend="check the task with task.evaluate(model); exchange sides with task.swap()",
            where=pairs.task.name,
        )
    return pairs


@dataclass(frozen=True)
class Sides:
    """What the edits do beside the task; see :class:`Proof`."""

    off_target: tuple[OffTarget, ...]
    neutral: NeutralEffect | None
    on_target_frac: dict[str, float]
    dose_frac: float


def side_effects(
    model: Model,
    at: Address,
    pairs: Pairs,
    found: Subspace,
    null: Sequence[Subspace],
    off_target: Sequence[Task],
    neutral: Sequence[str] | None,
    seed: int = 0,
) -> Sides:
    """The edits on off-target tasks and on plain text, at the dose that flips answers."""
    dose = flipping_dose(model, pairs, found.basis, found.shift)
    own = found.basis, found.shift * dose
    few = [(each.basis, each.shift * dose) for each in null[:_OFF_TARGET_DRAWS]]
    on_target = {kind: float(each.mean()) for kind, each in moved(model, pairs, *own).items()}
    aside = tuple(
        side_effect(model, read_pairs(model, at, each), own, pairs, on_target, few, seed)
        for each in off_target
    )
    texts = plain_texts(model, pairs.task.name, seed) if neutral is None and aside else neutral
    plain = neutral_effect(model, at, texts, pairs, own, few, seed) if texts else None
    return Sides(aside, plain, on_target, dose)


def _check(
    direction: Any, model: Any, task: Any, off_target: Any, n_random: Any, seed: Any
) -> None:
    """Refuse arguments of another kind, and those that do not fit the model."""
    if isinstance(direction, type) or not hasattr(direction, "check_fits"):
        raise OptionError(
            f"{shown(direction)} is no direction",
            mend="give what rz.direction(...) or rz.Direction.load(...) returns",
            where="prove",
        )
    need_model(model, "prove")
    direction.check_fits(model)
    need_task(task, "prove")
    for each in (off_target,) if isinstance(off_target, Task) else off_target:
        need_task(each, "prove")
        each.check_fits(model)
    if isinstance(off_target, Task):
        raise OptionError("off_target is one task", mend="give a list: off_target=[task]")
    task.check_fits(model)
    whole_number(seed, "seed", 0)
    whole_number(n_random, "n_random", 1)
    if n_random < FEWEST:
        raise OptionError(
            f"with {n_random} random directions no p is below {1 / (n_random + 1):.2g}",
            mend=f"give n_random of {FEWEST} or more",
            where="prove",
        )


def unseen(direction: Provable, task: Task) -> tuple[Task, str]:
    """The pairs of templates that hold nothing the direction was found on, and a sentence about it.

    Raises:
        TaskError: every template holds something it was found on.
    """
    templates = list(task.templates) if any(task.templates) else [""] * len(task)
    seen = _seen(direction, task)
    gone = {template for template, each in zip(templates, seen, strict=True) if each}
    kept = [row for row, template in enumerate(templates) if template not in gone]
    if not kept:
        raise TaskError(
            f"the direction was found on {sum(seen)} of these {len(task)} pairs, and no template "
            "is free of them",
            mend="prove it on pairs of other templates, or let rz.direction split the task itself",
            where=task.name,
        )
    if not gone:
        shared = sorted(set(templates) & set(direction.origin.groups) - {""})
        also = f"; templates seen before, in other pairs: {', '.join(shared)}" if shared else ""
        return task, f"no pair was seen when the direction was found{also}"
    return task.subset(kept), (
        f"left out {len(task) - len(kept)} pairs of templates that it was found on: "
        f"{', '.join(sorted(gone))}"
    )


def _seen(direction: Provable, task: Task) -> list[bool]:
    """Of each pair, whether the direction was found on one of its prompts, at whatever token."""
    fitted = direction.origin.fitted_on
    lengths = task.lengths.tolist()
    return [
        any(fitted & identities_anywhere(ids[:length]) for ids in pair)
        for *pair, length in zip(task.clean.tolist(), task.corrupt.tolist(), lengths, strict=True)
    ]
