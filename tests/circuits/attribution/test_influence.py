"""Influence, scores and pruning, by hand and by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from residuum.circuits.attribution.influence import (
    covering,
    cumulative,
    influence_of,
    normalised,
    pruned,
    scores_of,
)
from residuum.circuits.attribution.selection import known_influence

# token 0, token 1, error 2, feature 3, feature 4, logit 5
WEIGHTS = np.zeros((6, 6))
WEIGHTS[3, [0, 2]] = 3.0, -1.0
WEIGHTS[4, [1, 3]] = 1.0, 1.0
WEIGHTS[5, [2, 3, 4]] = 1.0, -1.0, 2.0
SHARES = np.array([0, 0, 0, 0, 0, 1.0])
TOKENS, ERRORS = np.arange(6) < 2, np.arange(6) == 2
FIXED, READS = TOKENS | (np.arange(6) == 5), np.isin(np.arange(6), (3, 4))


def random_graph(seed, n=12):
    rng = np.random.default_rng(seed)
    weights = np.tril(rng.normal(size=(n, n)), -1)
    weights[:4] = 0
    shares = np.zeros(n)
    shares[-2:] = 0.25, 0.75
    return weights, shares


def test_influence_by_hand():
    strengths = normalised(WEIGHTS)
    assert strengths[3, 0] == 0.75 and strengths[5].tolist() == [0, 0, 0.25, 0.25, 0.5, 0]
    found = influence_of(strengths, SHARES)
    # feature 3: a quarter directly, half of feature 4's half
    assert found[4] == 0.5 and found[3] == 0.25 + 0.5 * 0.5
    assert found[0] == 0.5 * 0.75 and found[1] == 0.25 and found[2] == 0.25 + 0.5 * 0.25
    assert found[5] == 0


def test_scores_by_hand():
    found = scores_of(normalised(WEIGHTS), SHARES, TOKENS, ERRORS)
    assert found.replacement == 0.625 and found.error_share == 0.375
    # the logit reads .75 without errors, feature 3 (.5) reads .75, feature 4 (.5) all of it
    assert found.completeness == pytest.approx((0.75 + 0.5 * 0.75 + 0.5) / 2)


@given(st.integers(0, 1000))
def test_influence_is_the_inverse_less_the_identity(seed):
    weights, shares = random_graph(seed)
    strengths = normalised(weights)
    one = np.eye(len(strengths))
    wanted = shares @ (np.linalg.inv(one - strengths) - one)
    assert np.allclose(influence_of(strengths, shares), wanted)


@given(st.integers(0, 1000))
def test_paths_end_at_sources_and_nothing_is_lost(seed):
    weights, shares = random_graph(seed)
    tokens, errors = np.arange(12) < 2, np.isin(np.arange(12), (2, 3))
    found = scores_of(normalised(weights), shares, tokens, errors)
    assert found.replacement + found.error_share == pytest.approx(1)
    assert 0 <= found.completeness <= 1
    # an answer that errors explain in part is less complete than one that they do not touch
    weights[:, errors] = 0
    free = scores_of(normalised(weights), shares, tokens, errors)
    assert free.replacement == pytest.approx(1) and free.completeness == pytest.approx(1)


def test_known_rows_give_the_whole_influence_once_all_are_known():
    weights, shares = random_graph(3)
    rows = np.concatenate([weights[-2:, :10], weights[4:10, :10]])
    found = known_influence(rows, np.arange(4, 10), shares[-2:])
    weights[-1, -2] = 0
    wanted = influence_of(normalised(weights), shares)[:10]
    assert np.allclose(found, wanted)


def test_covering_takes_the_fewest_largest():
    values = np.array([0.1, 0.5, 0.0, 0.4])
    assert covering(values, 0.5).tolist() == [False, True, False, False]
    assert covering(values, 0.51).tolist() == [False, True, False, True]
    assert covering(values, 1.0).tolist() == [True, True, False, True]
    assert cumulative(values).tolist() == pytest.approx([1.0, 0.5, 1.0, 0.9])


def test_nothing_is_pruned_at_thresholds_of_one():
    kept, edges = pruned(WEIGHTS, SHARES, FIXED, READS, 1.0, 1.0)
    assert kept.all() and (edges == (WEIGHTS != 0)).all()


@given(st.integers(0, 300), st.floats(0.2, 1.0), st.floats(0.2, 1.0))
def test_what_is_left_hangs_together(seed, nodes, edges):
    weights, shares = random_graph(seed)
    n = len(weights)
    fixed = np.isin(np.arange(n), (0, 1, n - 2, n - 1))
    reads = (np.arange(n) >= 4) & ~fixed
    kept, left = pruned(weights, shares, fixed, reads, nodes, edges)
    assert kept[fixed].all()
    assert not left[~kept].any() and not left[:, ~kept].any()
    assert left[:, kept & ~fixed].any(0).all()
    assert left[kept & reads].any(1).all()
    assert not (left & (weights == 0)).any()


def test_pruned_nodes_hold_the_share_that_was_asked_for():
    weights, shares = random_graph(5)
    fixed = np.zeros(12, bool)
    fixed[-2:] = True
    influence = influence_of(normalised(weights), shares)
    kept = covering(influence, 0.8)
    assert influence[kept].sum() >= 0.8 * influence.sum()
    smallest = np.flatnonzero(kept)[np.argmin(influence[kept])]
    assert influence[kept].sum() - influence[smallest] < 0.8 * influence.sum()
