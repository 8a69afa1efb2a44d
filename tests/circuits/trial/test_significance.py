"""p-values from draws, and several together, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kolmogorov import ks_p

from residuum.circuits.trial.significance import (
    at_least,
    benjamini_hochberg,
    draws_needed,
    holm,
    p_value,
    pairs_needed,
)
from residuum.core import OptionError


def test_a_p_value_counts_the_found_one_too():
    assert p_value(5.0, [1.0, 2.0, 3.0]) == 0.25
    assert p_value(2.0, [1.0, 2.0, 3.0]) == 0.75
    assert p_value(2.0 + 1e-9, [1.0, 2.0, 3.0], tolerance=1e-8) == 0.75
    with pytest.raises(OptionError, match="no draws"):
        p_value(1.0, [])


def test_p_values_of_a_draw_among_draws_are_uniform_and_of_a_shifted_one_are_not():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(400, 100))
    assert ks_p([p_value(row[0], row[1:]) for row in values]) > 0.05
    assert ks_p([p_value(row[0] + 0.5, row[1:]) for row in values]) < 1e-6


def rejected_by_holm(p, alpha):
    """The procedure step by step."""
    out, order = np.zeros(len(p), dtype=bool), np.argsort(p)
    for place, test in enumerate(order):
        if p[test] > alpha / (len(p) - place):
            break
        out[test] = True
    return out


def rejected_by_bh(p, alpha):
    out, order = np.zeros(len(p), dtype=bool), np.argsort(p)
    passing = [k for k, test in enumerate(order, 1) if p[test] <= alpha * k / len(p)]
    out[order[: max(passing, default=0)]] = True
    return out


@pytest.mark.parametrize("seed", range(20))
def test_adjusted_p_values_reject_what_the_procedures_reject(seed):
    p = np.random.default_rng(seed).random(9) ** 3
    for alpha in (0.01, 0.05, 0.2):
        assert ((holm(p) <= alpha) == rejected_by_holm(p, alpha)).all()
        assert ((benjamini_hochberg(p) <= alpha) == rejected_by_bh(p, alpha)).all()


def test_what_could_not_be_tested_takes_no_part_in_holm():
    assert holm([0.01, math.nan, 0.02])[[0, 2]].tolist() == [0.02, 0.02]
    assert math.isnan(holm([0.01, math.nan])[1])


def test_at_least_all_is_the_largest_and_at_least_one_is_simes():
    p = np.array([0.3, 0.01, 0.04])
    assert at_least(p, 3) == 0.3
    assert at_least(p, 1) == pytest.approx(min(3 * 0.01, 3 * 0.04 / 2, 0.3))
    with pytest.raises(OptionError, match="least=4 of 3"):
        at_least(p, 4)


def test_at_least_half_is_rarely_rejected_where_all_but_one_of_that_half_are_false():
    """The least favourable null: four of ten p-values zero, five asked for."""
    generator = np.random.default_rng(1)
    p = np.concatenate([np.zeros((2000, 4)), generator.random((2000, 6))], axis=1)
    share = np.mean([at_least(row, 5) <= 0.05 for row in p])
    assert 0.03 < share < 0.07


def test_draws_and_pairs_that_a_correction_needs():
    """100 random circuits cannot give p below .0099, and so Holm fails from 6 tests on."""
    assert draws_needed(5, 0.05) == 100 and draws_needed(6, 0.05) > 100
    for tests in range(1, 30):
        n, pairs = draws_needed(tests, 0.05), pairs_needed(tests, 0.05)
        assert 1 / (n + 1) < 0.05 / tests <= (1 + 1e-9) / n
        assert 2.0**-pairs <= 0.05 / tests and (pairs == 2 or 2.0 ** (1 - pairs) > 0.05 / tests)
