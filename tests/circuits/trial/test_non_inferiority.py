"""As good as the model within a margin: size and power, and what weak data say."""

from __future__ import annotations

import numpy as np
import pytest
from kolmogorov import ks_p, least_p

from residuum.circuits import non_inferiority

FULL, EMPTY = np.full(24, 3.0), np.full(24, 1.0)
"""A gap of 2 on every prompt: a margin of .1 is .2."""


def noisy(seed, mean, spread, n=24):
    return mean + spread * np.random.default_rng(seed).normal(size=n)


def test_an_equal_circuit_passes_with_the_smallest_p_there_is():
    test = non_inferiority(FULL[:8], FULL[:8], EMPTY[:8])
    assert test.p == pytest.approx(2.0**-8)
    assert (test.difference, test.interval, test.bound) == (0.0, (0.0, 0.0), pytest.approx(0.2))


def test_at_the_margin_p_values_are_uniform_on_either_side():
    tests = [
        non_inferiority(FULL, FULL - noisy(seed, 0.2, 0.05), EMPTY, seed=seed)
        for seed in range(200)
    ]
    below, above = [test.p_below for test in tests], [test.p_above for test in tests]
    assert ks_p(below) > 0.01 and least_p(below) > 0.01
    assert max(above) < 0.01, "the other side is far from its bound"
    assert [test.p for test in tests] == below


def test_a_weak_test_does_not_pass_and_a_strong_one_does():
    """No difference in either; where the data are noisy an ordinary t test sees none too."""
    weak = non_inferiority(FULL, FULL - noisy(0, 0.0, 2.0), EMPTY)
    strong = non_inferiority(FULL, FULL - noisy(0, 0.0, 0.1), EMPTY)
    assert weak.p > 0.2 and strong.p < 0.001


def test_both_sides_count():
    short = non_inferiority(FULL, FULL - noisy(1, 1.0, 0.1), EMPTY)
    above = non_inferiority(FULL, FULL + noisy(1, 1.0, 0.1), EMPTY)
    assert short.p_below > 0.99 and short.p_above < 0.01
    assert above.p_above > 0.99 and above.p_below < 0.01
    assert short.interval[0] > 0.2 and above.interval[1] < -0.2


def test_a_circuit_that_fails_on_rare_prompts_is_not_passed_too_often():
    """One prompt in ten loses all: exactly the margin. A t test alone would pass it far oftener."""
    full, empty, passed, naive = np.ones(32), np.zeros(32), 0, 0
    for seed in range(100):
        lost = (np.random.default_rng(seed).random(32) < 0.1).astype(float)
        passed += non_inferiority(full, full - lost, empty, seed=seed).p <= 0.05
        spread = lost.std(ddof=1) / np.sqrt(32)
        naive += lost.mean() + 1.6955 * spread < 0.1
    assert passed <= 11
    assert passed <= naive


def test_without_a_gap_nothing_is_equal():
    assert non_inferiority(FULL, FULL, FULL).p == 1.0
    assert non_inferiority(EMPTY, EMPTY, FULL).p == 1.0


def test_templates_as_units_count_less_than_pairs():
    templates = [str(i // 3) for i in range(24)]
    circuit = FULL - noisy(2, 0.0, 0.1)
    by_pair = non_inferiority(FULL, circuit, EMPTY)
    by_template = non_inferiority(FULL, circuit, EMPTY, units=templates)
    assert by_template.p == pytest.approx(2.0**-8)
    assert by_pair.p < by_template.p
