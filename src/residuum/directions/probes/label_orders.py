"""How often labels in another order are told as well: the p-value of a probe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from residuum.runs.clusters import cluster_numbers

PERMUTATIONS = 1999


def chance_p(
    said: Tensor, labels: Tensor, seed: int, clusters: Sequence[str] | None = None
) -> float:
    """Share of orders of the labels, this one counted among them, at least as well told.

    A permutation test with +1: on labels without meaning it is at most 0.05 in 5 % of cases. Labels
    of one template are not independent: where a template has several classes they change places
    within it, and templates of one class exchange theirs as wholes. So few templates of one class
    each can show nothing, however many examples they hold.

    Args:
        said: the probe's answers ``[n]``.
        labels: the true ones.
        seed: of the orders.
        clusters: template of each; None takes every example for itself.
    """
    rng = np.random.default_rng([seed, 3])
    answers, truth = said.numpy(), labels.numpy()
    units = cluster_numbers(None if clusters is None else list(clusters), len(truth))
    own = int((answers == truth).sum())
    as_good = sum(
        int((answers == another_order(truth, units, rng)).sum()) >= own for _ in range(PERMUTATIONS)
    )
    return (1 + as_good) / (1 + PERMUTATIONS)


def another_order(truth: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels in another order: within units of several classes, between units of one class.

    Args:
        truth: labels ``[n]``.
        units: unit of each, numbered from 0.
        rng: draws it.

    >>> truth, units = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 0, 1, 1, 2, 2])
    >>> order = another_order(truth, units, np.random.default_rng(0))
    >>> bool(order[0] == order[1] != order[2] == order[3]), sorted(order[4:].tolist())
    (True, [0, 1])
    """
    first = np.full(units.max() + 1, len(truth))
    np.minimum.at(first, units, np.arange(len(truth)))
    kind = truth[first]
    mixed = np.zeros(len(kind), dtype=bool)
    np.logical_or.at(mixed, units, truth != kind[units])
    kind[~mixed] = rng.permutation(kind[~mixed])
    inside = np.argsort(units, kind="stable")
    within = truth.copy()
    within[inside] = truth[np.lexsort((rng.random(len(truth)), units))]
    return np.where(mixed[units], within, kind[units])
