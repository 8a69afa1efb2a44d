"""Labels to cluster numbers, and sums within clusters."""

from __future__ import annotations

import numpy as np
import pytest

from residuum.core import OptionError
from residuum.runs.clusters import cluster_numbers, cluster_sums


def test_sums_by_hand() -> None:
    values = np.array([[1.0, 2.0, 4.0, 8.0], [1.0, np.nan, 0.0, 1.0]])
    numbers = cluster_numbers(["b", "a", "b", "c"], 4)
    assert numbers.tolist() == [1, 0, 1, 2]
    sums = cluster_sums(values, numbers)
    assert sums[0].tolist() == [2.0, 5.0, 8.0]
    assert np.isnan(sums[1]).tolist() == [True, False, False]
    assert sums[1, 1:].tolist() == [1.0, 1.0]


def test_no_labels_are_labels_of_their_own() -> None:
    values = np.array([[1.0, 2.0, 3.0]])
    for labels in (None, (), ["x", "y", "z"]):
        assert cluster_sums(values, cluster_numbers(labels, 3)).tolist() == values.tolist()
    turned = cluster_sums(values, cluster_numbers(["z", "y", "x"], 3))
    assert turned.tolist() == [[3.0, 2.0, 1.0]]
    with pytest.raises(OptionError, match="2 cluster labels for 3 examples"):
        cluster_numbers(["a", "b"], 3)
