"""Bootstrap intervals of whole grids: one by one, by clusters, in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from residuum.core import OptionError
from residuum.runs import bootstrap_mean_interval, bootstrap_mean_intervals, intervals

VALUES = np.random.default_rng(0).normal(size=(3, 4, 12)) + 0.3
LABELS = list("aabbbcddddde")


def drawn_by_hand(values: np.ndarray, labels: list[str], seed: int) -> tuple[float, float]:
    """Whole clusters put into a bag, resample by resample."""
    names = sorted(set(labels))
    members = [values[[label == name for label in labels]] for name in names]
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(names), size=(2000, len(names)))
    means = [np.concatenate([members[i] for i in draw]).mean() for draw in draws]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize("labels", [None, LABELS], ids=["examples", "clusters"])
def test_a_grid_is_its_cells_one_by_one(labels: list[str] | None) -> None:
    low, high = bootstrap_mean_intervals(VALUES, seed=3, clusters=labels)
    assert low.shape == high.shape == (3, 4)
    for cell in np.ndindex(3, 4):
        alone = bootstrap_mean_interval(VALUES[cell].tolist(), seed=3, clusters=labels)
        assert (low[cell], high[cell]) == pytest.approx(alone, abs=1e-12)
        by_hand = drawn_by_hand(VALUES[cell], labels or list("abcdefghijkl"), 3)
        assert (low[cell], high[cell]) == pytest.approx(by_hand, abs=1e-12)
    assert (low < VALUES.mean(-1)).all() and (VALUES.mean(-1) < high).all()


def test_equal_values_have_an_interval_of_no_width() -> None:
    low, high = bootstrap_mean_intervals(np.full((2, 7), 0.1))
    assert (low == high).all() and low.tolist() == pytest.approx([0.1] * 2, abs=1e-15)


def test_a_bad_cell_spoils_no_other() -> None:
    spoilt = VALUES.copy()
    spoilt[1, 2, 5], spoilt[0, 0, 0] = np.nan, np.inf
    low, high = bootstrap_mean_intervals(spoilt)
    clean_low, clean_high = bootstrap_mean_intervals(VALUES)
    for got, expected in ((low, clean_low), (high, clean_high)):
        assert np.argwhere(np.isnan(got)).tolist() == [[0, 0], [1, 2]]
        kept = np.isfinite(got)
        np.testing.assert_allclose(got[kept], expected[kept], atol=1e-12)
    for empty in (np.zeros((3, 1)), np.zeros((3, 0))):
        assert all(np.isnan(end).all() for end in bootstrap_mean_intervals(empty))
    one = bootstrap_mean_intervals(VALUES, clusters=["a"] * 12)
    assert all(np.isnan(end).all() for end in one)


def test_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_mean_intervals(VALUES)
    monkeypatch.setattr(intervals, "_AT_ONCE", 5000)
    pieces = bootstrap_mean_intervals(VALUES)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_coverage_of_a_true_mean_is_near_the_level() -> None:
    samples = np.random.default_rng(1).normal(size=(1000, 40))
    low, high = bootstrap_mean_intervals(samples)
    assert 0.90 < ((low <= 0) & (high >= 0)).mean() < 0.97


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(OptionError, match="3 labels"):
        bootstrap_mean_intervals(VALUES, clusters=["a", "b", "c"])
    with pytest.raises(OptionError, match="level"):
        bootstrap_mean_intervals(VALUES, level=1.0)
