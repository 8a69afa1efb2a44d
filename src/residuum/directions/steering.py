"""Steering: push along a direction, with dose-response, side effects and the usable range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import SILENT, Address, OptionError, Progress, Provenance, track
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.conditional import (
    Pushing,
    Targets,
    When,
    check_order,
    generate_steered,
    single,
)
from residuum.directions.side_effects import Neutral, SideEffects, neutral_texts, repetition_share
from residuum.directions.steering_off_target import OffTarget, off_target_doses
from residuum.directions.steering_response import Answering, Dose
from residuum.runs import Model, Task, need_model, refuse_unknown, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Panel

SCALES = (-2.0, -1.5, -1.0, -0.7, -0.5, -0.35, -0.2, 0.0, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Strengths where none are given, in typical norms."""

USABLE_UP_FRAC = 0.1
"""A strength is usable while perplexity on neutral text rises by less than this."""


@dataclass(frozen=True)
class Said:
    """Continuations of one prompt at one strength."""

    prompt: str
    scale: float
    text: str


@dataclass(frozen=True, repr=False)
class Steering:
    """What pushing along a direction does, strength by strength.

    Shows: how many answers flip at which strength, and what it costs elsewhere. Does not show: that
    the model uses the direction by itself (``rz.prove``), or what steering does to text unlike the
    neutral texts.

    Attributes:
        at: the site.
        tokens: which tokens are pushed, in words.
        scales: strengths in typical norms of the site, ascending.
        doses: the answers at each strength; empty without a task.
        side_effects: at each strength, on neutral text.
        off_target: accuracy on other tasks at each strength.
        said: continuations, prompt by prompt and strength by strength; empty unless asked for.
        repetition: strength -> share of repeated word pairs in the continuations.
        typical_norm: mean norm of the site's activations.
    """

    at: Address
    tokens: str
    scales: tuple[float, ...]
    doses: tuple[Dose, ...]
    side_effects: tuple[SideEffects, ...]
    off_target: tuple[OffTarget, ...]
    said: tuple[Said, ...]
    repetition: dict[float, float]
    typical_norm: float
    metric: str
    unit: str
    neutral_n: int
    provenance: Provenance

    @property
    def usable(self) -> tuple[float, float]:
        """Weakest and strongest of the measured strengths around 0 that keep neutral text.

        Between them, perplexity on neutral text rises by less than 10 % everywhere.
        """
        ends = []
        for sign in (-1, 1):
            end = 0.0
            for effect in sorted(self.side_effects, key=lambda each: abs(each.scale)):
                if effect.scale * sign <= 0:
                    continue
                if not effect.perplexity_up_frac < USABLE_UP_FRAC:
                    break
                end = effect.scale
            ends.append(end)
        return (ends[0], ends[1])

    def best(self, sign: int = 1) -> Dose:
        """The usable dose that flips most; of equals the middle one, which has room on both sides.

        Args:
            sign: 1 along the direction, -1 against it.

        Raises:
            OptionError: no task was given, or no usable strength of this sign was measured.
        """
        low, high = self.usable
        found = [each for each in self.doses if each.scale * sign > 0 and low <= each.scale <= high]
        if not found:
            raise OptionError(
                "no measured strength of this sign is usable"
                if self.doses
                else "no task was given",
                mend="measure weaker strengths with scales=" if self.doses else "steer on a task",
            )
        most = max(each.flipped for each in found)
        equals = [each for each in found if each.flipped == most]
        return sorted(equals, key=lambda each: abs(each.scale))[len(equals) // 2]

    def side_effect(self, scale: float) -> SideEffects:
        """The side effects at a strength that was measured.

        Raises:
            OptionError: it was not.
        """
        for each in self.side_effects:
            if math.isclose(each.scale, scale, abs_tol=1e-9):
                return each
        raise OptionError(
            f"strength {scale} was not measured",
            mend=f"one of: {', '.join(f'{each:g}' for each in self.scales)}",
        )

    def __repr__(self) -> str:
        low, high = self.usable
        parts = [f"usable {low:g} to {high:g} typical norms"]
        for sign in (1, -1):
            if any(each.scale * sign > 0 and low <= each.scale <= high for each in self.doses):
                dose = self.best(sign)
                up = self.side_effect(dose.scale).perplexity_up_frac
                parts.append(
                    f"at {dose.scale:+g} flips {100 * dose.flipped:.0f} % of {dose.n} "
                    f"(perplexity {100 * up:+.1f} %)"
                )
        return f"Steering({self.at}, {self.tokens}: {'; '.join(parts)})"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each strength."""
        import pandas as pd

        rows = [_flat(asdict(each)) for each in self.side_effects]
        for row, dose in zip(rows, self.doses, strict=False):
            row.update(_flat(asdict(dose)))
        for each in self.off_target:
            row = next(row for row in rows if row["scale"] == each.scale)
            row[f"accuracy_{each.task}"] = each.accuracy
        for row in rows:
            if row["scale"] in self.repetition:
                row["repetition_share"] = self.repetition[row["scale"]]
        return pd.DataFrame(rows)

    def figure(self, title: str = "") -> Panel:
        """Dose-response beside side effects, strength by strength."""
        from residuum.directions.steering_figure import steering_figure

        return steering_figure(self, title)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "at": str(self.at),
            "tokens": self.tokens,
            "typical_norm": self.typical_norm,
            "scales": list(self.scales),
            "usable": list(self.usable),
            "metric": self.metric,
            "unit": self.unit,
            "doses": [asdict(each) for each in self.doses],
            "side_effects": [asdict(each) for each in self.side_effects],
            "off_target": [asdict(each) for each in self.off_target],
            "repetition": {f"{scale:g}": share for scale, share in self.repetition.items()},
            "said": [asdict(each) for each in self.said],
            "neutral_n": self.neutral_n,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, its table as CSV, or its figure as HTML, SVG or PNG.

        Raises:
            OptionError, StoreError: another suffix; a place that cannot be written to.
        """
        save_result(self, path, "a steering")


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
        OptionError, ShapeError: a direction of another model or width, strengths that are no
            numbers, positions that are not there, no neutral text.

    Shows, Does not show: as :class:`Steering`.
    Source: Turner et al. 2023, "Activation Addition"; Rimsky et al. 2023, "Steering Llama 2 via
    Contrastive Activation Addition".

    >>> import residuum as rz
    >>> from residuum.directions.steering import steer
    >>> from residuum.directions.steering_sides import oriented
    >>> model = rz.load("microworld", check=False)
    >>> task = oriented(rz.task("refusal", model, n=40), model, ["Sorry"])
    >>> found = rz.direction(model, task.head(20), at="L1.resid_post@-1", prove=False)
    >>> steering = steer(model, found, task.subset(range(20, 40)), scales=[0.35, 0.5])
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
            f"steer needs a direction, got {direction!r:.40}",
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


def _strengths(scales: Sequence[float] | None) -> tuple[float, ...]:
    if scales is None:
        return SCALES
    try:
        given = {float(scale) for scale in scales}
    except (TypeError, ValueError):
        given = set()
    if not given or not all(math.isfinite(scale) for scale in given):
        raise OptionError(
            f"scales={scales!r:.40} are no strengths", mend="give finite numbers: scales=[0.2, 0.5]"
        )
    return tuple(sorted(given | {0.0}))


def _texts(model: Model, prompts: Any) -> tuple[str, ...]:
    """The prompts to continue, as texts."""
    if isinstance(prompts, str):
        return (prompts,)
    if not isinstance(prompts, Task):
        if not prompts or not all(isinstance(each, str) for each in prompts):
            raise OptionError(
                f"steer needs a task or texts, got {prompts!r:.40}",
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


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Intervals as two columns."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key.endswith("_interval"):
            stem = key.removesuffix("_interval")
            flat |= {f"{stem}_low": value[0], f"{stem}_high": value[1]}
        else:
            flat[key] = value
    return flat
