"""Steering: push along a direction, with dose-response, side effects and the usable range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from residuum.core import SILENT, Address, OptionError, Progress, ShapeError, track
from residuum.directions.conditional import Pushing, Targets, When, check_order, single
from residuum.directions.side_effects import Neutral, SideEffects, neutral_texts, repetition_share
from residuum.directions.steered_text import generate_steered
from residuum.directions.steering_off_target import off_target_doses
from residuum.directions.steering_response import Answering, Dose
from residuum.directions.steering_result import Said, Steering
from residuum.runs import Model, Task, need_model, refuse_unknown, shown, whole_number

SCALES = (-2.0, -1.5, -1.0, -0.7, -0.5, -0.35, -0.2, 0.0, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Strengths where none are given, in typical norms."""


def steer(
    model: Model,
    direction: Pushing,
    prompts: Task | Sequence[str] | str,
    *,
    scales: Sequence[float] | None = None,
    positions: Any = None,
    when: When | None = None,
    neutral: Sequence[str] | None = None,
    off_target: Sequence[Task] = (),
    max_new_tokens: int = 0,
    n_random: int = 4,
    metric: str = "",
    seed: int = 0,
    progress: Progress = SILENT,
    **unknown: Any,
) -> Steering:
    """Push along a direction at several strengths; see what flips and what else changes.

    Strengths are in typical norms of the site (``direction.typical_norm``): at 0.5 the push is half
    as long as an ordinary activation there. On a task, positive strengths push the corrupt prompts
    towards clean answers and negative ones the clean prompts towards corrupt answers: pairs must
    be turned so that every clean prompt has the concept (``oriented``).

    Args:
        model: a loaded model.
        direction: found with ``rz.direction``, or ``Given``.
        prompts: a task, or texts (then there is no dose-response, only side effects and what the
            model says).
        scales: strengths; 0 is always among them.
        positions: which tokens are pushed: None for the direction's own position or, without
            one, every token; a number; the name of a task's position; a number for each prompt.
        when: push only where this condition holds; see :class:`When`.
        neutral: texts that are not about the direction; microworld brings its own.
        off_target: tasks that should stay as they are. Where single tokens are pushed, their last
            token is.
        max_new_tokens: more than 0 continues the prompts (a task's first 8 clean and corrupt ones)
            at every strength, and measures repetition.
        n_random: random directions of the same length to compare with.
        metric: by default the task's own.
        seed: of what is drawn.
        progress: who is told.

    Returns:
        Doses, side effects, the usable range and continuations.

    Raises:
        LoadError, OptionError: a direction of another model, strengths that are no numbers,
            positions that are not there, no neutral text.
        ShapeError: a subspace of several dimensions; a model that says NaN.

    Shows, Does not show: as :class:`Steering`.
    Source: Turner et al. 2023, "Activation Addition"; Rimsky et al. 2023, "Steering Llama 2 via
    Contrastive Activation Addition".

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> task = rz.oriented(rz.task("refusal", model, n=40), model, ["Sorry"])
    >>> found = rz.direction(model, task.head(20), at="L1.resid_post@-1", prove=False)
    >>> steering = rz.steer(model, found, task.subset(range(20, 40)), scales=[0.35, 0.5])
    >>> steering.best().flipped
    1.0
    """
    refuse_unknown(
        unknown,
        "steer",
        "scales, positions, when, neutral, off_target, max_new_tokens, n_random, metric, seed",
    )
    need_model(model, "steer")
    whole_number(max_new_tokens, "max_new_tokens", 0)
    whole_number(n_random, "n_random", 0)
    whole_number(seed, "seed", 0)
    _check_fits(direction, model)
    check_order(model, direction, when)
    task = prompts if isinstance(prompts, Task) else None
    strengths = _strengths(scales)
    own = Address.parse(direction.at).pos if positions is None else positions
    targets = Targets(own, when)
    name = "" if task is None else task.name
    texts = Neutral.of(model, neutral_texts(model, neutral, name, seed))
    asked = _texts(model, prompts)
    doses: tuple[Dose, ...] = ()
    if task is not None:
        task.check_fits(model)
        answering = Answering(model, task, direction, targets, metric or task.metric)
        doses = answering.doses(strengths, n_random, seed)
    effects = tuple(
        texts.effects(model, direction, scale, targets, seed)
        for scale in track(strengths, progress, "side effects", len(strengths))
    )
    _need_numbers(effects)
    others = off_target_doses(model, direction, off_target, targets, strengths)
    said = _said(model, asked, direction, targets, strengths, max_new_tokens)
    return Steering(
        at=replace(Address.parse(direction.at), pos=None),
        tokens=targets.shown,
        scales=strengths,
        doses=doses,
        side_effects=effects,
        off_target=others,
        said=said,
        repetition=_repetition(said),
        typical_norm=float(direction.typical_norm),
        metric="" if task is None else metric or task.metric,
        unit="" if task is None else _unit(metric or task.metric),
        neutral_n=len(texts.ids),
        provenance=model.provenance(
            task_hash="" if task is None else task.task_hash,
            strategy=f"steer({direction.at}, {targets.shown}, scales={list(strengths)})",
            seed=seed,
        ),
    )


def _unit(metric: str) -> str:
    from residuum.runs import metric_named

    return metric_named(metric).unit


def _check_fits(direction: Any, model: Model) -> None:
    if not hasattr(direction, "vector") or not hasattr(direction, "typical_norm"):
        raise OptionError(
            f"steer needs a direction, got {shown(direction)}",
            mend="find one: direction = rz.direction(model, data)",
        )
    if hasattr(direction, "check_fits"):
        direction.check_fits(model)
    single(direction)
    if not float(direction.typical_norm) > 0:
        raise OptionError(
            "the direction has no typical norm, so strengths have no unit",
            mend="find it with rz.direction, which measures the norm",
        )


def _need_numbers(effects: Sequence[SideEffects]) -> None:
    plain = next(each for each in effects if each.scale == 0)
    if not math.isfinite(plain.perplexity):
        raise ShapeError(
            f"without a push, the perplexity of neutral text is {plain.perplexity}: the model says "
            "NaN or infinite numbers",
            mend="look at the model's weights: rz.load(...) without check=False names the place",
        )


def _strengths(scales: Sequence[float] | None) -> tuple[float, ...]:
    if scales is None:
        return SCALES
    try:
        given = {float(scale) for scale in scales}
    except (TypeError, ValueError):
        given = set()
    if not given or not all(math.isfinite(scale) for scale in given):
        raise OptionError(
            f"scales={shown(scales)} are no strengths",
            mend="give finite numbers: scales=[0.2, 0.5]",
        )
    return tuple(sorted(given | {0.0}))


def _texts(model: Model, prompts: Any) -> tuple[str, ...]:
    """The prompts to continue, as texts."""
    if isinstance(prompts, str):
        return (prompts,)
    if not isinstance(prompts, Task):
        listed = isinstance(prompts, (list, tuple)) and len(prompts) > 0
        if not listed or not all(isinstance(each, str) for each in prompts):
            raise OptionError(
                f"steer needs a task or texts, got {shown(prompts)}",
                mend="give rz.task(name, model), or a list of texts",
            )
        return tuple(prompts)
    rows = range(min(len(prompts), 4))
    skip = 1 if model.prepends_bos else 0
    return tuple(
        model.to_string(ids[row, skip : int(prompts.lengths[row])].tolist())
        for row in rows
        for ids in (prompts.clean, prompts.corrupt)
    )


def _said(
    model: Model,
    texts: Sequence[str],
    direction: Pushing,
    targets: Targets,
    scales: Sequence[float],
    max_new_tokens: int,
) -> tuple[Said, ...]:
    if not max_new_tokens:
        return ()
    if isinstance(targets.positions, str):
        raise OptionError(
            f"continuations have no position {targets.positions!r}",
            mend="give positions as numbers, or leave max_new_tokens out",
        )
    found = []
    for scale in scales:
        made = generate_steered(model, texts, direction, scale, targets, max_new_tokens)
        found += [Said(text, scale, more) for text, more in zip(texts, made, strict=True)]
    return tuple(sorted(found, key=lambda each: (texts.index(each.prompt), each.scale)))


def _repetition(said: Sequence[Said]) -> dict[float, float]:
    scales = dict.fromkeys(each.scale for each in said)
    return {
        scale: repetition_share([each.text for each in said if each.scale == scale])
        for scale in scales
    }
