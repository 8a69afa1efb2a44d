"""How sure a sweep is: an interval and a joint p for every cell, and what the pairs can decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
import xarray as xr

from residuum.core import OptionError
from residuum.runs import (
    Task,
    bootstrap_mean_interval,
    bootstrap_mean_intervals,
    sign_flip_max_t,
)
from residuum.runs.arguments import shown

ClusterBy = Literal["template", "example"]

_FEW = 20
_SMALL = 0.05
_HARDLY = "clean and corrupt hardly differ under this metric: recovered_frac is unreliable"


@dataclass(frozen=True, eq=False)
class SweepStatistics:
    """How sure each cell of a sweep is.

    Shows: which effects stand out from the spread over clusters, all cells judged together. Does
    not show: that an effect is large or useful, nor anything beyond the clusters that were drawn.

    Attributes:
        low, high: ends of the bootstrap interval of each cell's mean effect, each by itself.
        p: joint sign-flip p of each cell, see :func:`residuum.runs.sign_flip_max_t`.
        verdict: ``"shown"``, ``"not shown"`` or ``"undecided"`` (too few clusters to call it
            absent); empty where the cell is impossible.
        floor: smallest p that these clusters can give.
        clusters: how many units were flipped and drawn.
        needed: clusters from which a cell can be called ``"not shown"``.
        cells: cells judged together, the impossible left out.
        cluster: what a unit is, ``"template"`` or ``"example"``.
        exact: whether every sign pattern was tried.
        level: of each interval.
        alpha: family-wise error of ``"shown"``.
        flips, resamples, seed: of the test and of the intervals.
        noise: cells that stay at or below this in every example count as zero.
        warnings: what a reader must know before quoting a verdict.
    """

    low: xr.DataArray
    high: xr.DataArray
    p: xr.DataArray
    verdict: xr.DataArray
    floor: float
    clusters: int
    needed: int
    cells: int
    cluster: str
    exact: bool
    level: float
    alpha: float
    flips: int
    resamples: int
    seed: int
    noise: float
    warnings: tuple[str, ...]

    def count(self, verdict: str) -> int:
        """How many cells have this verdict."""
        return int((self.verdict.values == verdict).sum())

    def __str__(self) -> str:
        counts = {each: self.count(each) for each in ("shown", "not shown", "undecided")}
        absent = "not shown" if self.clusters >= self.needed else "without any effect"
        names = {"shown": "shown", "not shown": absent, "undecided": "undecided"}
        found = [f"{n} {names[each]}" for each, n in counts.items() if n or each == "shown"]
        return (
            f"of {counted(self.cells, 'cell')} {', '.join(found)} at {100 * self.alpha:g} % over "
            f"all together; sign flips of {counted(self.clusters, self.cluster)}, smallest "
            f"possible p {self.floor:.2g}"
        )

    def __repr__(self) -> str:
        return f"SweepStatistics({self})"

    def to_json(self) -> dict[str, Any]:
        """Plain data, NaN as None."""
        return {
            "low": plain(self.low.values),
            "high": plain(self.high.values),
            "p": plain(self.p.values),
            "verdict": self.verdict.values.tolist(),
            "floor": self.floor,
            "clusters": self.clusters,
            "needed": self.needed,
            "cells": self.cells,
            "cluster": self.cluster,
            "exact": self.exact,
            "level": self.level,
            "alpha": self.alpha,
            "flips": self.flips,
            "resamples": self.resamples,
            "seed": self.seed,
            "noise": self.noise,
            "warnings": list(self.warnings),
        }


def statistics_of(
    per_example: xr.DataArray,
    clusters: Sequence[str] = (),
    *,
    cluster: ClusterBy = "template",
    level: float = 0.95,
    alpha: float = 0.05,
    flips: int = 10_000,
    resamples: int = 2000,
    seed: int = 0,
    noise: float = 0.0,
) -> SweepStatistics:
    """Intervals, joint p-values and verdicts of effects.

    Args:
        per_example: effects ``[... example]``, the last dim named so; NaN in impossible cells.
        clusters: the template of each example; none where there are no templates.
        cluster: ``"template"`` takes all pairs of a template as one unit, ``"example"`` each pair
            by itself. With one template or none each pair is a unit anyway, and a warning says so.
        level: of each interval.
        alpha: bound on the probability of showing any cell that is truly zero.
        flips: sign patterns to draw where all of them would be more.
        resamples: of the bootstrap.
        seed: of both.
        noise: what lies at or below this in every example of a cell is rounding: the cell is taken
            as zero by the test, p 1.

    Raises:
        OptionError: another last dim, other labels than examples, or an option out of range.

    Source: intervals :func:`residuum.runs.bootstrap_mean_intervals`, p
    :func:`residuum.runs.sign_flip_max_t`.

    >>> effects = xr.DataArray([[1.0] * 8, [1.0, -1.0] * 4], dims=("layer", "example"))
    >>> statistics_of(effects).p.values.tolist()
    [0.015625, 1.0]
    """
    if not per_example.dims or per_example.dims[-1] != "example":
        raise OptionError(
            f"the effects have dims {per_example.dims}", mend="their last dim is 'example'"
        )
    _checked_cluster(cluster)
    values = per_example.values.astype(np.float64)
    unit, labels, warnings = _units(clusters, values.shape[-1], cluster)
    low, high = bootstrap_mean_intervals(values, level, resamples, seed, labels)
    cells = values.reshape(-1, values.shape[-1])
    judged = np.where((np.abs(cells) <= noise).all(axis=1, keepdims=True), 0.0, cells)
    test = sign_flip_max_t(judged.T, labels, flips=flips, alpha=alpha, seed=seed)
    frame = per_example.isel(example=0, drop=True)
    shape = frame.shape
    return SweepStatistics(
        low=frame.copy(data=low),
        high=frame.copy(data=high),
        p=frame.copy(data=test.p.reshape(shape)),
        verdict=frame.copy(data=test.verdicts.reshape(shape)),
        floor=test.floor,
        clusters=test.clusters,
        needed=test.needed,
        cells=test.cells,
        cluster=unit,
        exact=test.exact,
        level=level,
        alpha=alpha,
        flips=test.flips,
        resamples=resamples,
        seed=seed,
        noise=noise,
        warnings=(*warnings, *_too_few(test, unit)),
    )


def arguments_key(cluster: Any, **numbers: Any) -> tuple[Any, ...]:
    """The arguments of ``statistics``, as a key to keep its result under.

    Raises:
        OptionError: an unknown cluster, or what should be a number and is none.
    """
    _checked_cluster(cluster)
    for name, value in numbers.items():
        if not isinstance(value, Real):
            raise OptionError(f"{name}={shown(value)} is no number", mend="give one number")
    return (cluster, *numbers.values())


def _checked_cluster(cluster: Any) -> None:
    if not isinstance(cluster, str) or cluster not in ("template", "example"):
        raise OptionError(
            f"unknown cluster {shown(cluster)}", mend="use 'template' or 'example'", where="cluster"
        )


def _units(
    clusters: Sequence[str], examples: int, cluster: str
) -> tuple[str, Sequence[str] | None, list[str]]:
    """What a unit is, the labels to cluster by (None: each example), and what to say about it."""
    if len(clusters) not in (0, examples):
        raise OptionError(
            f"{len(clusters)} cluster labels for {examples} examples",
            mend="give one label for each example, or none",
            where="clusters",
        )
    several = len(set(clusters))
    if several < 2:
        which = "carry no template labels" if not any(clusters) else "are all of one template"
        return "example", None, [f"the pairs {which}: generality over templates is not tested"]
    if cluster == "example":
        return (
            "example",
            None,
            [
                f"each pair counts by itself though pairs of the {several} templates are alike: "
                "generality over templates is not tested"
            ],
        )
    return "template", clusters, []


def _too_few(test: Any, unit: str) -> list[str]:
    have = counted(test.clusters, unit)
    if test.floor > test.alpha:
        return [f"{have}: no p lies below {test.floor:.2g}, so nothing can be shown"]
    found = []
    if test.clusters < test.needed:
        found.append(
            f"{have}, {test.needed} needed to call one of {counted(test.cells, 'cell')} absent: "
            "what is not shown is undecided"
        )
    if test.clusters < _FEW:
        found.append(f"intervals from {have} are too narrow (below {_FEW})")
    return found


def sample_warnings(task: Task) -> tuple[str, ...]:
    """What is wrong with the pairs as a sample: only one, or one given more than once."""
    if len(task) == 1:
        return ("one pair is no sample: no effect has an interval, and nothing can be shown",)
    columns = (task.clean, task.corrupt, task.answers, task.wrong, task.lengths)
    rows = zip(*(each.tolist() for each in columns), strict=True)
    repeated = [n for n in Counter(map(repr, rows)).values() if n > 1]
    if not repeated:
        return ()
    same = "are the same pair" if len(repeated) == 1 else "stand in the task more than once"
    return (f"{sum(repeated)} of {len(task)} pairs {same}: they are no independent examples",)


def denominator_warnings(
    clean: np.ndarray, corrupt: np.ndarray, clusters: Sequence[str] = ()
) -> tuple[str, ...]:
    """What is wrong with clean minus corrupt as the denominator of ``recovered_frac``.

    Args:
        clean, corrupt: the metric on the unpatched prompts, ``[example]``.
        clusters: the template of each example, or none.

    Returns:
        Texts: the mean distance is below 5 % of the largest metric; or its 95 % bootstrap interval
        holds zero; or some pairs lie the other way round than the mean.

    >>> denominator_warnings(np.array([3.0, 2.5, 2.8, 2.6]), np.array([-1.0, 0.0, 0.0, 2.7]))
    ('1 of 4 pairs has clean and corrupt the other way round: its own fraction misleads',)
    """
    distance = np.asarray(clean, dtype=np.float64) - np.asarray(corrupt, dtype=np.float64)
    mean = float(distance.mean())
    if abs(mean) < _SMALL * max(1e-9, float(np.abs(np.r_[clean, corrupt]).max())):
        return (_HARDLY,)
    found = []
    labels = list(clusters) if len(set(clusters)) > 1 else None
    ends = bootstrap_mean_interval(distance.tolist(), clusters=labels)
    if ends[0] <= 0 <= ends[1]:
        found.append(
            "the distance from corrupt to clean is not clearly different from zero "
            f"({mean:.3g}, 95 % interval {ends[0]:.3g} to {ends[1]:.3g}): recovered_frac is "
            "unreliable"
        )
    turned = int((distance * np.sign(mean) < 0).sum())
    if turned:
        have, own = ("has", "its own fraction misleads")
        if turned > 1:
            have, own = ("have", "their own fractions mislead")
        found.append(
            f"{turned} of {len(distance)} pairs {have} clean and corrupt the other way round: {own}"
        )
    return tuple(found)


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "cell"), counted(8, "template")
    ('1 cell', '8 templates')
    """
    return f"{number} {noun}" + ("" if number == 1 else "s")


def plain(values: np.ndarray) -> Any:
    """Nested lists of numbers, NaN and infinities as None."""
    found = values.astype(object)
    found[~np.isfinite(values)] = None
    return found.tolist()
