from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from residuum.core import OptionError, ShapeError
from residuum.heads import FactoredMatrix, factored as module


def random_pair(rows, inner, columns, seed=0):
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(rows, inner, generator=generator, dtype=torch.float64)
    right = torch.randn(inner, columns, generator=generator, dtype=torch.float64)
    return FactoredMatrix(left, right), left @ right


sizes = st.integers(1, 7)


@given(sizes, sizes, sizes, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_it_is_the_dense_product(rows, inner, columns, seed):
    thin, dense = random_pair(rows, inner, columns, seed)
    assert thin.shape == dense.shape
    assert torch.allclose(thin.dense(), dense)
    assert torch.allclose(thin.T.dense(), dense.T)
    assert thin.norm() == pytest.approx(float(dense.norm()), rel=1e-12)
    u, s, v = thin.svd()
    assert torch.allclose(u * s @ v.T, dense)
    assert torch.allclose(s, torch.linalg.svdvals(dense)[: len(s)])
    assert torch.allclose(u.T @ u, torch.eye(len(s), dtype=s.dtype))
    assert torch.allclose(thin.rows([0]), dense[:1])
    assert torch.allclose(thin.columns([columns - 1]), dense[:, -1:])


@given(sizes, sizes, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_eigenvalues_and_trace_of_a_square_one(size, inner, seed):
    thin, dense = random_pair(size, inner, size, seed)
    expected = torch.linalg.eigvals(dense)
    expected = expected[expected.abs().argsort(descending=True)][: len(thin.eigenvalues())]
    assert torch.allclose(thin.eigenvalues().abs(), expected.abs(), atol=1e-8)
    total = thin.eigenvalues().sum()
    assert complex(total).real == pytest.approx(float(dense.trace()), abs=1e-9)
    assert thin.trace() == pytest.approx(float(dense.trace()), abs=1e-9)


@pytest.mark.parametrize("inner", [2, 9])
def test_products_stay_factored_and_narrow(inner):
    one, dense_one = random_pair(6, inner, 5)
    two, dense_two = random_pair(5, 3, 7, seed=1)
    both = one @ two
    assert both.inner == min(inner, 3)
    assert torch.allclose(both.dense(), dense_one @ dense_two)
    assert torch.allclose((one @ dense_two).dense(), dense_one @ dense_two)
    assert torch.allclose((dense_one @ two).dense(), dense_one @ dense_two)


@pytest.mark.parametrize("band", [7, 40, 10**6])
def test_top_entries_do_not_depend_on_the_band(band, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_ENTRIES", band)
    thin, dense = random_pair(23, 3, 11)
    assert max(part.numel() for _, part in thin.bands()) <= max(band, 11)
    order = dense.flatten().argsort(descending=True)
    for largest, places in ((True, order[:9]), (False, order.flip(0)[:9])):
        found = thin.top_entries(9, largest)
        assert [row * 11 + column for row, column, _ in found] == places.tolist()
        assert [v for *_, v in found] == pytest.approx(dense.flatten()[places].tolist())


def test_a_vocabulary_sized_product_is_never_whole():
    generator = torch.Generator().manual_seed(0)
    tokens = 30_000
    left = torch.randn(tokens, 2, generator=generator)
    thin = FactoredMatrix(left, torch.randn(2, tokens, generator=generator))
    assert thin.svd()[1].shape == (2,) and thin.eigenvalues().shape == (2,)
    assert next(thin.bands())[1].numel() <= 2**24
    with pytest.raises(OptionError, match="30000 × 30000") as refused:
        thin.dense()
    assert "top_entries" in refused.value.mend


def test_what_is_no_product_is_refused():
    ones = torch.ones(2, 3)
    for left, right in ((ones, ones), (ones, torch.ones(3)), (ones, torch.ones(3, 2).double())):
        with pytest.raises(ShapeError):
            FactoredMatrix(left, right)
    with pytest.raises(ShapeError, match="NaN"):
        FactoredMatrix(ones * torch.nan, torch.ones(3, 2))
    thin = FactoredMatrix(ones, torch.ones(3, 4))
    for refused in (
        thin.trace,
        thin.eigenvalues,
        lambda: thin @ ones,
        lambda: thin.rows([2]),
        lambda: thin.columns([4]),
        lambda: thin.rows([0.5]),
    ):
        with pytest.raises(ShapeError) as error:
            refused()
        assert error.value.mend
    with pytest.raises(OptionError):
        thin.top_entries(0)
