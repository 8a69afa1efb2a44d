"""What a subspace's edits do beside those of random subspaces: the four causal tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from residuum.directions.causal_test import CausalTest
from residuum.directions.chance import beaten_by_chance
from residuum.directions.decodability import folds_of
from residuum.directions.interventions import KINDS, Pairs, effects, gap_along
from residuum.directions.random_directions import (
    covariance_directions,
    isotropic_directions,
    levelled,
    orthonormal,
)
from residuum.runs import Model, bootstrap_mean_interval

FEWEST = 19
"""Random directions that p = .05 takes."""
DECISIVE = ("add", "erase", "swap")


@dataclass(frozen=True, eq=False)
class Subspace:
    """Orthonormal rows ``[k d]`` and the vector ``[d]`` that adding adds."""

    basis: Float[Tensor, "k d"]
    shift: Float[Tensor, " d"]


@dataclass(frozen=True, eq=False)
class Draws:
    """Random directions of the found one's norm.

    Attributes:
        alike: with the covariance of the activations, the variance between the sides levelled.
        whole: with their whole covariance.
        flat: isotropic.
    """

    alike: Sequence[Subspace]
    whole: Sequence[Subspace]
    flat: Sequence[Subspace]


def random_draws(
    pairs: Pairs, found: Subspace, n: int, spared: Sequence[Sequence[float]] | None, seed: int
) -> Draws:
    """The random directions that a found one is compared with.

    Args:
        found: the direction, whose norm and dimensions they get.
        n: how many are drawn for the null.
        spared: rows that are taken out of them; see :func:`covariance_directions`.
        seed: of the draws.
    """
    norm, (k, d) = float(found.shift.norm()), found.basis.shape
    alike = covariance_directions(levelled(*pairs.at_read), n, k, seed, spared)
    whole = covariance_directions(pairs.at_read.flatten(0, 1), FEWEST, k, seed, spared)
    flat = isotropic_directions(d, FEWEST, k, seed + 1, pairs.values.dtype)
    three = ([with_norm(pairs, each, norm) for each in some] for some in (alike, whole, flat))
    return Draws(*three)


def as_given(pairs: Pairs, vector: Tensor) -> Subspace:
    """The subspace of a direction; a single vector keeps its sign, several take the data's."""
    rows = vector.detach().to(pairs.values)
    single = rows.ndim == 1
    basis = orthonormal(rows[None] if single else rows)
    shift = gap_along(pairs, basis)
    return Subspace(basis, basis[0] * shift.norm() if len(basis) == 1 else shift)


def with_norm(pairs: Pairs, basis: Float[Tensor, "k d"], norm: float) -> Subspace:
    """A random subspace with a vector of this norm that points from corrupt to clean."""
    basis = basis.to(pairs.values)
    shift = gap_along(pairs, basis)
    shift = shift if bool(shift.norm() > 0) else basis[0]
    return Subspace(basis, shift * (norm / shift.norm()))


def causal_tests(
    model: Model,
    pairs: Pairs,
    found: Subspace,
    draws: Draws,
    seed: int = 0,
) -> tuple[CausalTest, ...]:
    """The four edits, each against random directions; p is corrected over the decisive three.

    Args:
        found: the direction.
        draws: random directions; p-values are against ``draws.alike``.
        seed: of the bootstrap.
    """
    every = [found, *draws.alike, *draws.whole, *draws.flat]
    bases, shifts = [each.basis for each in every], [each.shift for each in every]
    table = [effects(model, pairs, kind, bases, shifts).numpy() for kind in KINDS]
    means = np.stack([each.mean(axis=1) for each in table], axis=1)
    ends = np.cumsum([1, len(draws.alike), len(draws.whole)])
    alike, whole, anywhere = np.split(means, ends)[1:]
    chance = beaten_by_chance(means[0], alike)
    apart = beaten_by_chance(means[0], anywhere)
    tested = [at for at, kind in enumerate(KINDS) if kind in DECISIVE]
    adjusted = chance.p.copy()
    adjusted[tested] = beaten_by_chance(means[0, tested], alike[:, tested]).adjusted
    clusters = folds_of(pairs.task.templates, len(pairs))[1]
    return tuple(
        CausalTest(
            kind,
            float(means[0, at]),
            float(means[0, at]) / pairs.gap,
            bootstrap_mean_interval(table[at][0].tolist(), clusters=clusters, seed=seed),
            float(chance.p[at]),
            float(adjusted[at]),
            float(alike[:, at].mean()),
            float(np.quantile(alike[:, at], 0.95)),
            float(np.quantile(anywhere[:, at], 0.95)),
            float(apart.p[at]),
            at in tested,
            float(np.quantile(whole[:, at], 0.95)),
        )
        for at, kind in enumerate(KINDS)
    )
