"""Clusters of examples: labels to numbers, and the label that each example goes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from residuum.core import OptionError


def cluster_numbers(clusters: Sequence[Any] | np.ndarray | None, examples: int) -> np.ndarray:
    """The cluster of each example, ``[example]``, counted from 0.

    Args:
        clusters: a label for each example; None or none makes every example its own cluster.
        examples: how many examples there are.

    Raises:
        OptionError: another number of labels than examples.

    >>> cluster_numbers(["b", "a", "b"], 3).tolist()
    [1, 0, 1]
    >>> cluster_numbers(None, 3).tolist()
    [0, 1, 2]
    """
    if clusters is None or len(clusters) == 0:
        return np.arange(examples)
    if len(clusters) != examples:
        raise OptionError(
            f"{len(clusters)} cluster labels for {examples} examples",
            mend="give one label for each example, or none",
            where="clusters",
        )
    return np.unique([str(label) for label in clusters], return_inverse=True)[1]


def cluster_sums(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Values summed within clusters: ``[cell example]`` to ``[cell cluster]``.

    A NaN stays within its cell.
    """
    count = int(numbers.max()) + 1 if len(numbers) else 0
    if count == len(numbers):  # every example is a cluster
        return values[:, np.argsort(numbers, kind="stable")]
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(count))
    return np.add.reduceat(values[:, order], starts, axis=1)
