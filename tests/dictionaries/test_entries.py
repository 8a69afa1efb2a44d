"""Largest entries in two stages, and the three products with a matrix's entries."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, strategies as st

from residuum.dictionaries.coding import entries as entries_file
from residuum.dictionaries.coding.entries import AllEntries, Entries, entries_of_mask
from residuum.dictionaries.coding.sparse_products import WeightGradient
from residuum.dictionaries.record.top_entries import top_entries


@given(
    st.sampled_from([(64, 3), (512, 4), (1024, 8), (1024, 7), (96, 96), (2048, 1)]),
    st.integers(0, 1000),
    st.booleans(),
)
def test_the_largest_entries_are_the_largest(shape, seed, ties):
    m, k = shape
    rows = torch.randn(5, 2, m, generator=torch.Generator().manual_seed(seed))
    rows = rows.round() if ties else rows
    values, indices = top_entries(rows, k)
    wanted = rows.topk(k, dim=-1).values
    torch.testing.assert_close(values.sort(-1, descending=True).values, wanted, rtol=0, atol=0)
    assert torch.equal(rows.gather(-1, indices), values)
    assert all(len(set(each.tolist())) == k for each in indices.reshape(-1, k))


def test_two_stages_are_taken_and_hold_with_infinities():
    rows = torch.full((2, 1024), -torch.inf)
    rows[0, 5], rows[1, 1000] = 1.0, torch.inf
    values, indices = top_entries(rows, 8)
    assert values.max(1).values.tolist() == [1.0, torch.inf]
    assert {5, 1000} <= set(indices.flatten().tolist())
    assert top_entries(rows, 2000)[0].shape == (2, 1024)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_products_equal_the_dense_ones(share):
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(30, 70, generator=generator, dtype=torch.float64)
    dense *= torch.rand(30, 70, generator=generator) < share
    left = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    right = torch.randn(70, 6, generator=generator, dtype=torch.float64)
    own = entries_of_mask(dense != 0)
    assert isinstance(own, AllEntries) == (share > 1 / entries_file.DENSE)
    values = own.of(dense)
    torch.testing.assert_close(own.times(values, right), dense @ right)
    torch.testing.assert_close(own.dots(left, right), own.of(left @ right.T))
    torch.testing.assert_close(own.column_sums(values), dense.sum(0))
    assert torch.equal(own.columns(values != 0), (dense != 0).any(0))
    out = torch.full((70, 6), torch.nan, dtype=torch.float64)  # what was there must not matter
    own.add_transposed(out, values, left, False)
    torch.testing.assert_close(out, dense.T @ left)
    own.add_transposed(out, values, left, True)
    torch.testing.assert_close(out, 2 * (dense.T @ left))
    edges = [0, 10, 11, 70]
    parts = [own.take(values, *pair) for pair in pairwise(edges)]
    torch.testing.assert_close(own.join(parts, edges), values)
    middle = own.within(10, 40)
    torch.testing.assert_close(
        middle.times(own.take(values, 10, 40), right[10:40]), dense[:, 10:40] @ right[10:40]
    )


def test_parts_of_a_gradient_are_written_once_and_then_added_to():
    weight = torch.zeros(9, 2, dtype=torch.float64)
    gradient = WeightGradient(weight)
    ones = torch.ones(1, 2, dtype=torch.float64)

    def add(first, last):
        which = torch.arange(last - first)
        own = Entries(torch.zeros_like(which), which, (1, last - first))
        gradient.add(own, torch.ones(last - first, dtype=torch.float64), ones, first)

    gradient.begin()
    for pair in ((2, 4), (0, 6), (3, 4), (5, 7)):
        add(*pair)
    gradient.finish()
    assert weight.grad is not None
    assert weight.grad[:, 0].tolist() == [1, 1, 2, 3, 1, 2, 1, 0, 0]
    gradient.begin()  # not set to None in between: the sum of both
    add(8, 9)
    gradient.finish()
    assert weight.grad[:, 0].tolist() == [1, 1, 2, 3, 1, 2, 1, 0, 1]
    weight.grad = torch.full((9, 2), 10.0, dtype=torch.float64)  # someone else's
    gradient.begin()
    add(0, 1)
    gradient.finish()
    assert weight.grad[:, 0].tolist() == [11, *[10] * 8]
