"""Sentences follow from the pairs and the numbers."""

from __future__ import annotations

import pytest
import torch

from residuum.findings.chain.scope import limits


@pytest.mark.parametrize(
    ("corrupt", "said"),
    [
        ([[1, 9, 3, 0], [4, 9, 6, 7]], "differ in 1 token position."),
        ([[1, 9, 9, 0], [4, 9, 9, 7]], "differ in 2 token positions."),
        ([[1, 9, 3, 0], [9, 9, 9, 7]], "differ in 1 to 3 token positions."),
        ([[1, 9, 3, 5], [4, 9, 6, 7]], "differ in 1 token position."),
    ],
    ids=["one", "two", "several", "padding does not count"],
)
def test_limits_count_where_the_pairs_differ(corrupt: list[list[int]], said: str) -> None:
    clean = torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]])
    first = limits(clean, torch.tensor(corrupt), torch.tensor([3, 4]))[0]
    assert said in first and "name" not in first
