"""HSIC against its definition, and its permutation p-values."""

from __future__ import annotations

import itertools

import numpy as np
from kolmogorov import ks_p

from residuum.circuits.trial.independence import hsic, hsic_p, power_of


def by_definition(x, y):
    """E[k l] + E[k] E[l] - 2 E[E[k] E[l]], sums over all examples written out."""
    n = len(x)

    def kernel(values):
        apart = [abs(a - b) for a, b in itertools.combinations(values, 2)]
        width = np.median(apart)
        return [[np.exp(-((a - b) ** 2) / (2 * width**2)) for b in values] for a in values]

    k, m = kernel(x), kernel(y)
    joint = sum(k[i][j] * m[i][j] for i in range(n) for j in range(n)) / n**2
    apart = sum(map(sum, k)) * sum(map(sum, m)) / n**4
    mixed = sum(sum(k[i]) * sum(m[i]) for i in range(n)) / n**3
    return joint + apart - 2 * mixed


def test_hsic_is_what_its_definition_says():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 12))
    np.testing.assert_allclose(hsic(x, y), by_definition(x, y), rtol=1e-12)
    np.testing.assert_allclose(hsic(x, x), by_definition(x, x), rtol=1e-12)


def test_p_values_of_independent_samples_are_uniform():
    found = []
    for seed in range(200):
        x, y = np.random.default_rng(seed).normal(size=(2, 16))
        found.append(hsic_p(x, y, permutations=99, seed=seed))
    assert ks_p(found) > 0.05


def test_dependence_without_correlation_is_seen():
    x = np.linspace(-1, 1, 30)
    assert abs(np.corrcoef(x, x**2)[0, 1]) < 1e-12
    assert hsic_p(x, x**2) <= 0.002


def test_a_constant_depends_on_nothing():
    x = np.random.default_rng(1).normal(size=20)
    assert hsic(x, np.full(20, 3.0)) == 0.0
    assert hsic_p(x, np.full(20, 3.0)) == 1.0 == hsic_p(np.full(20, 3.0), x)
    assert power_of(np.full(20, 3.0), 0.05) == 0.0


def test_power_grows_with_the_examples():
    x = np.random.default_rng(2).normal(size=40)
    few, many = power_of(x[:6], 0.05), power_of(x, 0.05)
    assert few < 0.6 and many > 0.95
