"""The five tests, from what was measured under one reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from residuum.circuits.trial.independence import (
    EXPLAINED_FRAC,
    POWER_FRAC,
    hsic,
    hsic_p,
    power_of,
)
from residuum.circuits.trial.measured import Measured
from residuum.circuits.trial.non_inferiority import non_inferiority
from residuum.circuits.trial.significance import at_least, benjamini_hochberg, holm, p_value
from residuum.circuits.trial.verdict import REJECTING, Verdict
from residuum.runs import bootstrap_mean_interval

_NONE = (math.nan, math.nan)
_QUESTIONS = {
    "equivalence": "Does the circuit alone do as well as the whole model?",
    "independence": "Does what is left without the circuit know nothing of what the model says?",
    "minimality": "Do the circuit's edges matter more than edges added at random?",
    "sufficiency": "Is the circuit nearer to the model than random circuits of its size?",
    "necessity": "Does removing the circuit do more harm than removing random ones of its size?",
}


@dataclass(frozen=True)
class Rules:
    """What a trial asks for.

    Attributes:
        margin: share of full - empty that counts as a difference.
        alpha: bound on the probability that any null is rejected that is true.
        matter_frac: share of the edges that must matter.
        unit: of the metric.
        units: label of each example's independent unit; None: each its own.
        outside: whether removed random circuits shared no edge with the circuit.
        seed: of permutations and bootstraps.
    """

    margin: float
    alpha: float
    matter_frac: float
    unit: str
    units: Sequence[str] | None
    outside: bool
    seed: int


def equivalence(found: Measured, rules: Rules) -> Verdict:
    """Non-inferiority, both ways; see :func:`non_inferiority`."""
    test = non_inferiority(
        found.full,
        found.circuit,
        found.empty,
        margin=rules.margin,
        alpha=rules.alpha,
        units=rules.units,
        seed=rules.seed,
    )
    why = (
        f"full - circuit = {test.difference:.3g} {rules.unit}, must be within "
        f"±{abs(test.bound):.3g} ({rules.margin:g} of full - empty)"
    )
    p = test.p
    if found.gap <= found.noise:
        p = 1.0
        why = f"full - empty is {found.gap:.3g} {rules.unit}: there is nothing to be equal in"
    return Verdict(
        "equivalence",
        found.reference,
        _QUESTIONS["equivalence"],
        test.difference,
        rules.unit,
        test.interval,
        f"|mean(full - circuit)| >= {rules.margin:g} x mean(full - empty)",
        p,
        math.nan,
        None,
        why,
    )


def independence(found: Measured, rules: Rules) -> Verdict:
    """HSIC of the model's output and of what the rest says beyond the empty run."""
    beyond = found.rest - found.empty
    same = float(np.ptp(beyond)) <= found.noise
    blind = float(np.ptp(found.full)) <= found.noise
    p = math.nan if blind else 1.0 if same else hsic_p(found.full, beyond, seed=rules.seed)
    power = 0.0 if blind or same else power_of(found.full, rules.alpha, rules.seed)
    sees = f"{power:.0%} of leaks that explain {EXPLAINED_FRAC:.0%} of the variance would be seen"
    if blind:
        holds, why = None, "the model says the same on every prompt, so nothing can depend on it"
    elif same:
        holds, why = True, "the rest adds the same to the empty run on every prompt"
    elif p <= rules.alpha:
        holds, why = False, "what the rest adds to the empty run depends on the model's output"
    elif power < POWER_FRAC:
        holds = None
        why = f"no dependence seen, but only {sees}, it takes {POWER_FRAC:.0%}: give more pairs"
    else:
        holds, why = True, f"no dependence seen; {sees}"
    return Verdict(
        "independence",
        found.reference,
        _QUESTIONS["independence"],
        0.0 if same or blind else hsic(found.full, beyond),
        "HSIC",
        _NONE,
        "the rest's output, less the empty run's, is independent of the model's",
        p,
        p,
        holds,
        why,
    )


@dataclass(frozen=True, eq=False)
class EdgeEffects:
    """How much each edge of the circuit matters to it.

    Attributes:
        effects: ``[edge]`` metric of the circuit - metric without the edge, in its unit.
        p: ``[edge]`` against edges added at random, by absolute effect.
        p_adjusted: ``[edge]`` Benjamini and Hochberg's.
    """

    effects: np.ndarray
    p: np.ndarray
    p_adjusted: np.ndarray


def edge_effects(found: Measured) -> EdgeEffects | None:
    """Each edge's knock-out against those of random edges; None where none could be added."""
    if not len(found.inflated):
        return None
    effects = (found.circuit - found.without).mean(axis=1)
    chance = np.abs((found.inflated - found.deflated).mean(axis=1))
    p = np.array([p_value(abs(each), chance, found.noise) for each in effects])
    return EdgeEffects(effects, p, benjamini_hochberg(p))


def minimality(found: Measured, edges: EdgeEffects | None, rules: Rules) -> Verdict:
    """Whether enough edges matter more than edges added at random."""
    least = max(1, math.ceil(rules.matter_frac * len(found.edges)))
    verdict = Verdict(
        "minimality",
        found.reference,
        _QUESTIONS["minimality"],
        math.nan,
        "share of edges",
        _NONE,
        f"fewer than {least} of {len(found.edges)} edges matter more than random ones",
        math.nan,
        math.nan,
        None,
        "the circuit holds every edge that could be added to it",
    )
    if edges is None:
        return verdict
    matter = int((edges.p_adjusted <= rules.alpha).sum())
    why = (
        f"taken one by one {matter} of {len(edges.p)} edges matter (Benjamini-Hochberg at "
        f"{rules.alpha:g}); p is of fewer than {least}, all tests together"
    )
    p = at_least(edges.p, least)
    return replace(verdict, statistic=matter / len(edges.p), p=p, why=why)


def sufficiency(found: Measured, rules: Rules) -> Verdict:
    """Mean distance to the model, prompt by prompt, against random circuits."""
    away = np.abs(found.full - found.circuit)
    chance = np.abs(found.full - found.random).mean(axis=1)
    p = p_value(-float(away.mean()), -chance, found.noise)
    best = float(chance.min())
    return Verdict(
        "sufficiency",
        found.reference,
        _QUESTIONS["sufficiency"],
        float(away.mean()),
        rules.unit,
        _interval(away, rules),
        "the circuit is one of the random circuits of its size",
        p,
        math.nan,
        None,
        f"{away.mean():.3g} {rules.unit} from the model, prompt by prompt; the best of "
        f"{len(chance)} random circuits {best:.3g}",
    )


def necessity(found: Measured, kept: np.ndarray, removed: np.ndarray, rules: Rules) -> Verdict:
    """Harm of removing the circuit, against random circuits.

    Args:
        kept: bool ``[edge]``.
        removed: bool ``[draw edge]``, the random circuits.
    """
    harm = found.full - found.rest
    chance = (found.full - found.random_rest).mean(axis=1)
    apart = np.flatnonzero(~(removed & kept).any(axis=1))
    worst = float(chance.max())
    times = f" ({harm.mean() / worst:.3g} times)" if worst > found.noise else ""
    why = (
        f"removing it costs {harm.mean():.3g} {rules.unit}, the worst of {len(chance)} random "
        f"ones {worst:.3g}{times}"
    )
    if not rules.outside and 0 < len(apart) < len(removed):
        why += f"; of the {len(apart)} that share no edge with it {chance[apart].max():.3g}"
    drawn = "of its size" + " outside it" * rules.outside
    return Verdict(
        "necessity",
        found.reference,
        _QUESTIONS["necessity"],
        float(harm.mean()),
        rules.unit,
        _interval(harm, rules),
        f"removing it does no more harm than removing random circuits {drawn}",
        p_value(float(harm.mean()), chance, found.noise),
        math.nan,
        None,
        why,
    )


def judged(verdicts: Sequence[Verdict], alpha: float) -> tuple[Verdict, ...]:
    """The verdicts with Holm's p over those that pass by rejecting, and what holds."""
    tested = [each.p if each.test in REJECTING else math.nan for each in verdicts]
    found = []
    for each, adjusted in zip(verdicts, holm(tested).tolist(), strict=True):
        if each.test in REJECTING:
            holds = None if math.isnan(adjusted) else adjusted <= alpha
            each = replace(each, p_adjusted=adjusted, holds=holds)
        found.append(each)
    return tuple(found)


def _interval(values: np.ndarray, rules: Rules) -> tuple[float, float]:
    return bootstrap_mean_interval(values.tolist(), seed=rules.seed, clusters=rules.units)
