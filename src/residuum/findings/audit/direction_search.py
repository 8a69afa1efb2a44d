"""A direction found on one half of a task's templates and proven on the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from residuum.core import Address, Progress, ResiduumError, ShapeError, TaskError
from residuum.directions import Dedicated, DifferenceOfMeans, Direction, by_template, prove
from residuum.directions.alignment import template_halves
from residuum.directions.causal_effects import as_given, random_draws
from residuum.directions.finding import direction as find_direction
from residuum.directions.interventions import answers_edited, effects, read_pairs
from residuum.directions.methods.found_vectors import FindingMethod
from residuum.directions.proof import Proof
from residuum.findings.audit.evidence import DirectionEvidence, EditEvidence
from residuum.findings.audit.shares import share_of
from residuum.findings.chain.joining import prompts
from residuum.findings.record.evidence import Estimate
from residuum.runs import Model, Task

FEWEST_DRAWS = 20
"""Random directions at least: p = 1/21 is the smallest there can be."""
EARLY_FRAC = 0.8
"""Share of the layers in which a direction is looked for."""
_KINDS = ("add", "erase", "swap")
_SAID = {True: "yes", False: "no", None: "not decided"}


@dataclass(frozen=True, eq=False)
class Halves:
    """A task's pairs to find a direction on, and pairs of other templates to prove it on."""

    fit: Task
    held: Task

    @staticmethod
    def of(task: Task, seed: int) -> Halves:
        """By template.

        Raises:
            TaskError: fewer than four templates.
        """
        if len(set(task.templates)) < 4:
            raise TaskError(
                f"{len(set(task.templates))} templates are too few to choose a place on some and "
                "prove a direction on others",
                mend="give pairs of at least four templates",
                where=task.name,
            )
        fit, held = template_halves(task, seed)
        return Halves(fit, held)


def places_tried(model: Model, sites: Sequence[str]) -> tuple[Address, ...]:
    """The last token of the stream sites that this model has, the last fifth of layers left out.

    There a direction may be nothing but the answer's own word. Source: Arditi et al. 2024,
    "Refusal in language models is mediated by a single direction", appendix C (layers below .8 L).
    """
    there = set(model.sites)
    layers = range(max(1, int(EARLY_FRAC * model.n_layers)))
    found = [Address(site, layer, pos=-1) for layer in layers for site in sites]
    return tuple(at for at in found if replace(at, pos=None) in there)


def chosen_place(
    model: Model, fit: Task, tried: Sequence[Address], seed: int, progress: Progress
) -> Address:
    """Where the difference of means of some templates moves the others' answers most.

    What counts is the weakest of adding, erasing and swapping, in the worse of the two parts.
    """
    names = sorted(set(fit.templates))
    parts = by_template(fit, names[1::2])
    best: tuple[float, Address] | None = None
    progress.start("choosing a place", len(tried))
    try:
        for at in tried:
            closed = min(
                _weakest(model, fitted, test, at, seed) for fitted, test in (parts, parts[::-1])
            )
            if best is None or closed > best[0]:
                best = closed, at
            progress.advance()
    finally:
        progress.finish()
    assert best is not None
    return best[1]


def _weakest(model: Model, fit: Task, test: Task, at: Address, seed: int) -> float:
    """Share of the gap that the weakest edit closes; below all others where nothing varies."""
    with suppress(ShapeError):
        found = found_at(model, fit, at, DifferenceOfMeans(), seed)
        pairs = read_pairs(model, at, test)
        own = as_given(pairs, found.vector)
        moved = [effects(model, pairs, kind, [own.basis], [own.shift]).mean() for kind in _KINDS]
        return float(min(moved)) / pairs.gap if pairs.gap > 0 else -torch.inf
    return -torch.inf


def found_at(model: Model, fit: Task, at: Address, method: FindingMethod, seed: int) -> Direction:
    """The direction of these pairs, written at the token where it was read."""
    found = find_direction(model, fit, at=at, method=method, prove=False, seed=seed)
    return replace(found, at=at)


def measured(
    model: Model,
    halves: Halves,
    sites: Sequence[str],
    off_target: Sequence[Task],
    spared: Sequence[Task],
    draws: int,
    seed: int,
    progress: Progress,
) -> tuple[DirectionEvidence, Proof]:
    """Choose a place, find the direction there, and prove it on the other templates.

    Args:
        spared: tasks that it is learned to leave alone; none takes the difference of means.
        off_target: tasks that side effects are judged on.
        draws: random directions.

    Raises:
        TaskError: the model does not tell clean from corrupt prompts.
    """
    tried = places_tried(model, sites)
    at = chosen_place(model, halves.fit, tried, seed, progress)
    method = Dedicated(spared, 3.0, 0.05, steps=50) if spared else DifferenceOfMeans()
    found = found_at(model, halves.fit, at, method, seed)
    many = max(draws, FEWEST_DRAWS)
    proof = prove(
        found, model, halves.held, off_target=off_target, n_random=many, seed=seed,
        progress=progress,
    )  # fmt: skip
    flipped, chance = flips(model, halves.held, found, many, seed)
    return _evidence(proof, tried, flipped, chance), proof


def flips(
    model: Model, held: Task, found: Direction, draws: int, seed: int
) -> tuple[Estimate, tuple[float, ...]]:
    """Share of clean prompts that change sides when the direction is taken away from them.

    "Taken away" is what a proof calls adding: clean prompts are moved by the mean distance between
    the two sides. Random directions are of the same length. The interval is the wider one of
    drawing prompts and of drawing templates.
    """
    pairs = read_pairs(model, found.at, held)
    own = as_given(pairs, found.vector)
    random = random_draws(pairs, own, draws, None, seed).alike
    every = [own, *random]
    after = answers_edited(
        model, pairs, "add", [each.basis for each in every], [each.shift for each in every]
    )
    before = pairs.base[0] > 0
    gone = (after[:, 0] <= 0)[:, before].double()
    if not bool(before.any()):
        raise TaskError(
            "no held-out clean prompt prefers its answer", mend="check task.evaluate(model)",
            where=held.name,
        )  # fmt: skip
    templates = [held.templates[row] for row in torch.where(before)[0].tolist()]
    return share_of(gone[0].tolist(), templates), tuple(gone[1:].mean(1).tolist())


def _evidence(
    proof: Proof, tried: Sequence[Address], flipped: Estimate, chance: tuple[float, ...]
) -> DirectionEvidence:
    gap = proof.clean - proof.corrupt
    worst = max(proof.off_target, key=lambda each: each.ratio, default=None)
    return DirectionEvidence(
        at=proof.at,
        method=proof.method.split("(")[0],
        tried=tuple(map(str, tried)),
        pairs=proof.n_pairs,
        templates=proof.n_templates,
        edits=tuple(
            EditEvidence(test.kind, test.recovered_frac, test.interval[0] / gap,
                         test.interval[1] / gap, test.random_high / gap, test.p_adjusted)
            for test in proof.tests
        ),
        flipped=flipped,
        flipped_random=chance,
        **{name: _SAID[value] for name, value in proof.verdict.items()},
        rules=tuple(f"{name}: {text}" for name, text in proof.rules.items()),
        moved_most="" if worst is None else worst.task,
        moved_share=float("nan") if worst is None else worst.ratio,
        perplexity_up_frac=(
            float("nan") if proof.neutral is None else proof.neutral.perplexity_up_frac
        ),
    )  # fmt: skip


def apart(tasks: Sequence[Task], judged: Sequence[Task]) -> list[Task]:
    """The tasks without pairs that share a prompt with those judged on; empty ones are left out."""
    taken = {prompt for task in judged for pair in prompts(task) for prompt in pair}
    found = []
    for task in tasks:
        free = [row for row, pair in enumerate(prompts(task)) if not taken & set(pair)]
        if free:
            found.append(task.subset(free))
    return found


def tasks_to_spare(
    model: Model, names: Sequence[str], n: int, seed: int, make: object
) -> tuple[list[Task], list[str]]:
    """Tasks of these names that the model has, and why others are left out."""
    found, left = [], []
    for name in names:
        try:
            found.append(make(name, model, n, seed))  # type: ignore[operator]
        except ResiduumError as error:
            left.append(f"{name}: {error.what}")
    return found, left
